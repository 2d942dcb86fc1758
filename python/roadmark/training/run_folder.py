"""What a run writes to its folder besides checkpoints. Needs no TensorFlow."""

import contextlib
import dataclasses
import fcntl
import itertools
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from roadmark import atomic
from roadmark.errors import UserError
from roadmark.odapi import checkpoints, pipeline_config
from roadmark.odapi import label_map as label_maps
from roadmark.odapi.label_map import LabelMap
from roadmark.training import recipe as recipes
from roadmark.training import tracking
from roadmark.training.recipe import Recipe

_CONFIG = "pipeline.config"
_LABEL_MAP = "label_map.pbtxt"
_RECIPE = "recipe.yaml"
_VERSIONS = "versions.json"
_METRICS = "metrics.csv"
_EVALUATIONS = "evaluations.csv"
_BEST = "best"
_TENSORBOARD = "tensorboard"
_OF_ONE_RUN = (_VERSIONS, tracking.STATE)
# What a process that was killed may take to give back a GPU.
_ENDING_S = 30.0
_POLL_S = 0.25
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


@dataclasses.dataclass(frozen=True)
class Beginning:
    """What decides which batches a run sees, and so may not change on its way.

    Attributes:
        seed: Of the order of the examples and their augmentation.
        batch_size: Images per step.
        records: Digest of the training records.
    """

    seed: int
    batch_size: int
    records: str


class RunFolder:
    """The folder of one run.

    Args:
        path: Made by `begin`.
    """

    def __init__(self, path: Path):
        self.path = path
        self.metrics = path / _METRICS
        self.evaluations = path / _EVALUATIONS
        self.best = path / _BEST
        self.tensorboard = path / _TENSORBOARD

    @contextlib.contextmanager
    def held(self, say: Callable[[str], None]) -> Iterator[None]:
        """A block in which no other process trains into the folder, which is made when missing.

        Args:
            say: Is told, once, when another one does and is waited for.

        Raises:
            UserError: It does not end soon.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        # The lock goes with the process, however that ends.
        folder = os.open(self.path, os.O_RDONLY)
        try:
            self._lock(folder, say)
            yield
        finally:
            os.close(folder)

    def _lock(self, folder: int, say: Callable[[str], None]) -> None:
        problem = "another process is training into this folder"
        begin = time.monotonic()
        for tries in itertools.count():
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() - begin > _ENDING_S:
                    break
            except OSError:
                return  # A file system without locks.
            if not tries:
                say(f"{self.path}: {problem}; waiting {_ENDING_S:g} s for it to end")
            time.sleep(_POLL_S)
        raise UserError(
            self.path, problem, "wait until it has ended, or choose another --model_dir"
        )

    def remove_training(self) -> list[str]:
        """Removes checkpoints, metrics and event files of an earlier run.

        Returns:
            What was removed, for the user.

        Raises:
            UserError: Something cannot be removed.
        """
        found = checkpoints.complete(self.path)
        removed = []
        if found:
            last = checkpoints.step_of(found[-1])
            removed.append(f"{len(found)} checkpoints (the last of step {last})")
        for part in (checkpoints.folder(self.path), self.best, self.tensorboard):
            _remove_tree(part)
        for file in (self.metrics, self.evaluations, *(self.path / name for name in _OF_ONE_RUN)):
            if file.exists():
                file.unlink()
                removed.append(file.name)
        return removed

    def beginning(self, seed: int | None, batch_size: int, records: str) -> Beginning:
        """What the run begins with, or goes on with when there is a checkpoint to resume.

        Args:
            seed: The one asked for; None for that of the run that is resumed, else 0.
            batch_size: Images per step.
            records: Digest of the training records.

        Raises:
            UserError: The run in the folder began with something else.
        """
        if checkpoints.latest(self.path) is None:
            return Beginning(seed or 0, batch_size, records)
        before = self._read_beginning()
        now = Beginning(before.seed if seed is None else seed, batch_size, records)
        self._check_same(before, now)
        return now

    def _read_beginning(self) -> Beginning:
        path = self.path / _VERSIONS
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            fields = [(field.type, found[field.name]) for field in dataclasses.fields(Beginning)]
            if not all(type(value) is kind for kind, value in fields):
                raise ValueError
            return Beginning(*(value for _, value in fields))
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(
                path,
                "does not say which seed, batch size and records the run in this folder began with",
                "begin anew with --restart, or choose another --model_dir",
            ) from None

    def _check_same(self, before: Beginning, now: Beginning) -> None:
        for flag in ("seed", "batch_size"):
            old, new = getattr(before, flag), getattr(now, flag)
            if old != new:
                raise UserError(
                    self.path,
                    f"the run in this folder began with --{flag}={old}, found --{flag}={new}",
                    f"give --{flag}={old} to resume it, or begin anew with --restart",
                )
        if before.records != now.records:
            raise UserError(
                self.path,
                "the run in this folder began with other training records (their names, sizes "
                "or number differ)",
                "give those to resume it, or begin anew with --restart",
            )

    def check_label_map(self, now: LabelMap) -> None:
        """Checks that the classes are still those that a run in the folder began with.

        Raises:
            UserError: A class has another number or name, or is not there any more; or the copy of
                the label map in the folder is damaged.
        """
        path = self.path / _LABEL_MAP
        if checkpoints.latest(self.path) is None or not path.exists():
            return
        before = label_maps.load(path)
        for number, name in before.names.items():
            found = now.name_of(number) if number in now.ids else None
            if found != name:
                raise UserError(
                    now.source,
                    f"id {number} is {'missing' if found is None else repr(found)}, but the run in "
                    f"{self.path} began with {name!r} for it",
                    "put it back to resume, or begin anew with --restart",
                )

    def begin(self, config: Any, label_map: Path, recipe: Recipe, beginning: Beginning) -> None:
        """Writes the as-run config, the label map, the recipe and the versions.

        Raises:
            OSError: The disk is full or the folder cannot be written to.
        """
        pipeline_config.save(config, self.path / _CONFIG)
        atomic.write_text(self.path / _LABEL_MAP, label_map.read_text(encoding="utf-8"))
        recipes.save(recipe, self.path / _RECIPE)
        atomic.write_text(self.path / _VERSIONS, json.dumps(versions(beginning), indent=2) + "\n")


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(
            folder,
            f"cannot be removed ({error.strerror or error})",
            "remove it by hand, or choose another --model_dir",
        ) from None


def versions(beginning: Beginning) -> dict[str, Any]:
    """What a run can be repeated with: its beginning, exact versions and the machine."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        **dataclasses.asdict(beginning),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": found,
    }
