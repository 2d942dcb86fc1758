"""Detections on records, found part by part on the machines of a cluster.

A part begins where a batch of the whole does, so that batches, and with them the last bits of what
a network gives, are those of one machine.
"""

import dataclasses
import functools
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from roadmark.cluster import jobs, sources
from roadmark.cluster.choice import Choice
from roadmark.cluster.jobs import Job
from roadmark.cluster.task import Task, Work
from roadmark.data import records
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.evaluation.corruption import CorruptedSelection
from roadmark.evaluation.records import Selection
from roadmark.storage import address

PICTURES = 64
"""In a part; every batch size divides it."""

_FILE = "found.npz"

Found = tuple[Detections, Mapping[str, float]]
"""What a model found in a picture, and its losses there by name."""


class Finder(Protocol):
    """A model at work."""

    def find(self, selection: Selection) -> Iterable[Found]:
        """What is found in each chosen record's picture, in order."""

    def facts(self, selection: Selection) -> Mapping[str, Any]:
        """What else is known of it then, for JSON."""


@dataclasses.dataclass(frozen=True)
class Sharing:
    """How a cluster looks for objects in records.

    Attributes:
        choice: The cluster.
        make: Loads the model, in each process; pickled by its name.
        folder: For what is found, here, until all is.
        settings: What that depends on besides the records; JSON can hold it.
        records: Where other machines find the records: files, patterns, or addresses.
    """

    choice: Choice
    make: Callable[[], Finder]
    folder: Path
    settings: Mapping[str, Any]
    records: str


class Parts:
    """What a cluster has found.

    Args:
        sharing: How.

    Attributes:
        facts: As the finders gave them, of each part so far.
    """

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self.facts: list[Mapping[str, Any]] = []

    def find(self, selection: Selection) -> Iterator[Found]:
        """Yields what is found in each chosen record's picture, in order.

        Args:
            selection: The records, as they are or made worse.

        Raises:
            UserError: A part failed, all of which are named, or as `jobs.run`.
        """
        sharing = self._sharing
        tasks = _tasks(selection)
        job = Job(
            what="looking",
            unit="parts",
            make=functools.partial(_make, sharing.make, _elsewhere(sharing.records)),
            out=str(sharing.folder),
            settings=sharing.settings,
            told=lambda facts: f"{facts['pictures']} pictures",
            gives_back=True,
        )
        result = jobs.run(job, tasks, sharing.choice)
        _require_all(result.failures, len(tasks), sharing.folder)
        self.facts += result.facts.values()
        for task in tasks:
            yield from _load(sharing.folder / task.name / _FILE)

    def end(self) -> None:
        """Removes what was kept for the same command to go on from."""
        shutil.rmtree(self._sharing.folder, ignore_errors=True)


def _tasks(selection: Selection) -> list[Task]:
    name = "as_they_are"
    if isinstance(selection, CorruptedSelection):
        name = f"{selection.corruption.kind}_{selection.corruption.severity}"
    files = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in selection.paths]
    found = []
    for number, first in enumerate(range(0, len(selection), PICTURES)):
        part = dataclasses.replace(selection, picked=selection.picked[first : first + PICTURES])
        identity = {"files": files, "picked": part.picked}
        found.append(Task(f"{name}/{number:05d}", part, identity))
    return found


def _require_all(failures: Mapping[str, str], count: int, folder: Path) -> None:
    for line in failures.values():
        print(f"error: {line}", file=sys.stderr)
    if failures:
        raise UserError(
            folder,
            f"{len(failures)} of {count} parts failed, so there are no metrics",
            "put that right, and repeat the command, which goes on with these",
        )


def _make(make: Callable[[], Finder], given: str) -> Work:
    finder = make()

    def work(task: Task, folder: Path) -> dict[str, Any]:
        with sources.all_fetched(given) as pattern:
            # Their copies lie elsewhere on each machine, in the same order.
            paths = tuple(records.match(pattern))
            part = dataclasses.replace(task.source, paths=paths)
            found = list(finder.find(part))
        path = folder / task.name / _FILE
        path.parent.mkdir(parents=True)
        _save(path, found)
        return {"pictures": len(found), **finder.facts(part)}

    return work


def _elsewhere(given: str) -> str:
    parts = (one.strip() for one in given.split(","))
    return ",".join(one if address.is_remote(one) else str(Path(one).absolute()) for one in parts)


def _save(path: Path, found: Sequence[Found]) -> None:
    detections = [one for one, _ in found]
    names = list(found[0][1])
    arrays = {
        "boxes": np.concatenate([one.boxes for one in detections]),
        "scores": np.concatenate([one.scores for one in detections]),
        "classes": np.concatenate([one.classes for one in detections]),
        "counts": np.array([len(one) for one in detections]),
        "loss_names": np.array(names, np.str_),
        "losses": np.array([[losses[name] for name in names] for _, losses in found], np.float64),
    }
    for number, one in enumerate(detections):
        if one.masks is not None:
            arrays[f"masks_{number}"] = np.packbits(one.masks, axis=-1)
            arrays[f"width_{number}"] = np.array(one.masks.shape[-1])
    np.savez(path, **arrays)


def _load(path: Path) -> Iterator[Found]:
    with np.load(path) as arrays:
        names = arrays["loss_names"].tolist()
        ends = np.cumsum(arrays["counts"])[:-1]
        split = (np.split(arrays[name], ends) for name in ("boxes", "scores", "classes"))
        for number, (boxes, scores, classes) in enumerate(zip(*split, strict=True)):
            masks = None
            if f"masks_{number}" in arrays:
                width = int(arrays[f"width_{number}"])
                packed = arrays[f"masks_{number}"]
                masks = np.unpackbits(packed, axis=-1, count=width).astype(np.bool_)
            losses = dict(zip(names, arrays["losses"][number].tolist(), strict=True))
            yield Detections(boxes, scores, classes, masks), losses
