"""The models that the suite `video` runs when the user names none, made once."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from roadmark.benchmark import untrained_models


@dataclasses.dataclass(frozen=True)
class BenchmarkModel:
    """A model to measure.

    Attributes:
        folder: The exported folder.
        is_trained: Whether its detections mean anything.
        target: How many times faster than the tutorials' loop we should be.
    """

    folder: Path
    is_trained: bool
    target: float


# By the name of the config.
_TARGETS = {"ssd_mobilenet_v2_fpnlite_640": 3.0, "effdet_d0": 2.0}


def given(folder: Path) -> list[BenchmarkModel]:
    """The one that the user named, which somebody has trained."""
    return [BenchmarkModel(folder, True, min(_TARGETS.values()))]


def make(
    cache: Path, configs: Path, threads: int, say: Callable[[str], None]
) -> list[BenchmarkModel]:
    """Exports both models that the project promises something about, with random weights.

    Args:
        cache: Where they are kept; one that is there already is used again.
        configs: The folder with the pipeline configs.
        threads: Of the process that makes them.
        say: Takes a line about what is going on.
    """
    folders = untrained_models.make(cache, configs, _TARGETS, threads, say)
    return [
        BenchmarkModel(folder, False, target)
        for folder, target in zip(folders, _TARGETS.values(), strict=True)
    ]
