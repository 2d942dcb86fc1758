"""What a run writes to its folder besides checkpoints. Needs no TensorFlow."""

import json
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from roadmark import atomic
from roadmark.errors import UserError
from roadmark.odapi import checkpoints, pipeline_config

_CONFIG = "pipeline.config"
_LABEL_MAP = "label_map.pbtxt"
_VERSIONS = "versions.json"
_METRICS = "metrics.csv"
_TENSORBOARD = "tensorboard"
# Distributions whose versions decide what a run computes.
_DISTRIBUTIONS = (
    "tensorflow",
    "tensorflow-cpu",
    "tf-keras",
    "tf-models-official",
    "tf-models-research-object-detection",
    "numpy",
    "protobuf",
)


class RunFolder:
    """The folder of one run.

    Args:
        path: Made by `begin`.
    """

    def __init__(self, path: Path):
        self.path = path
        self.metrics = path / _METRICS
        self.tensorboard = path / _TENSORBOARD

    def remove_training(self) -> list[str]:
        """Removes checkpoints, metrics and event files of an earlier run.

        Returns:
            What was removed, for the user.
        """
        found = checkpoints.complete(self.path)
        removed = []
        if found:
            last = checkpoints.step_of(found[-1])
            removed.append(f"{len(found)} checkpoints (the last of step {last})")
        for part in (checkpoints.folder(self.path), self.tensorboard):
            shutil.rmtree(part, ignore_errors=True)
        for file in (self.metrics, self.path / _VERSIONS):
            if file.exists():
                file.unlink()
                removed.append(file.name)
        return removed

    def seed(self) -> int | None:
        """The seed of the run that is in the folder, or None."""
        path = self.path / _VERSIONS
        return json.loads(path.read_text())["seed"] if path.exists() else None

    def choose_seed(self, asked: int | None) -> int:
        """The seed to run with: the one asked for, else that of the run in the folder, else 0.

        Raises:
            UserError: A run with another seed is in the folder.
        """
        before = self.seed()
        if asked is None or before is None or asked == before:
            return asked if asked is not None else before or 0
        raise UserError(
            self.path,
            f"the run in this folder began with --seed={before}, found --seed={asked}",
            "leave --seed out to resume it, or begin anew with --restart or another --model_dir",
        )

    def begin(self, config: Any, label_map: Path, seed: int) -> None:
        """Writes the as-run config, the label map and the versions.

        Raises:
            OSError: The disk is full or the folder cannot be written to.
        """
        pipeline_config.save(config, self.path / _CONFIG)
        atomic.write_text(self.path / _LABEL_MAP, label_map.read_text(encoding="utf-8"))
        atomic.write_text(self.path / _VERSIONS, json.dumps(versions(seed), indent=2) + "\n")


def versions(seed: int) -> dict[str, Any]:
    """What a run can be repeated with: exact versions, machine and seed."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "seed": seed,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": found,
    }
