"""The models that the suite `video` runs: the user's, or some that are made once."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from roadmark import manifest
from roadmark.benchmark import untrained_models


@dataclasses.dataclass(frozen=True)
class BenchmarkModel:
    """A model to measure.

    Attributes:
        folder: The exported folder.
        is_trained: Whether its detections mean anything.
        weights: What they are, in words.
        most_boxes: How many a picture can show at most.
        names: Class name by id.
        target: How many times faster than the tutorials' loop we should be.
    """

    folder: Path
    is_trained: bool
    weights: str
    most_boxes: int
    names: Mapping[int, str]
    target: float


# By the name of the config.
_TARGETS = {"ssd_mobilenet_v2_fpnlite_640": 3.0, "effdet_d0": 2.0}


def given(folder: Path) -> list[BenchmarkModel]:
    """The one that the user named."""
    return [_described(folder)]


def make(
    cache: Path, configs: Path, threads: int, say: Callable[[str], None]
) -> list[BenchmarkModel]:
    """Both models that the project promises something about.

    Those that nobody has trained and exported into the cache get random weights.

    Args:
        cache: Where they are kept; one that is there already is used again.
        configs: The folder with the pipeline configs.
        threads: Of the process that makes them.
        say: Takes a line about what is going on.
    """
    folders = untrained_models.make(cache, configs, _TARGETS, threads, say)
    return [_described(folder) for folder in folders]


def _described(folder: Path) -> BenchmarkModel:
    description = manifest.load(folder)
    name = folder.parent.name if folder.name == "export" else description.model
    return BenchmarkModel(
        folder,
        description.step > 0,
        _weights(folder, description.step),
        description.postprocess.nms.max_total,
        description.names(),
        _TARGETS.get(name, min(_TARGETS.values())),
    )


def _weights(folder: Path, step: int) -> str:
    """What the manifest and the files of the run around the folder tell."""
    if not step:
        return "random weights"
    batch = _read(folder.parent / "versions.json").get("batch_size")
    told = f"trained for {step:,} steps" + (f" of {batch} pictures" if batch else "")
    evaluation = _read(folder.parent / "evaluation.json")
    if evaluation.get("step") != step:
        return told
    metrics = evaluation["metrics"]
    return f"{told}, mAP {metrics['summary']['bbox']['mAP']:.3f} on {metrics['images']} pictures"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
