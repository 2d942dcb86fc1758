"""Pictures judged part by part on the machines of a cluster."""

import dataclasses
import functools
import hashlib
import pickle
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from roadmark.cluster import jobs, sources
from roadmark.cluster.choice import Choice
from roadmark.cluster.jobs import Job
from roadmark.cluster.task import Task, Work
from roadmark.data import validation
from roadmark.data.source import SourceImage
from roadmark.data.validation import Judged, Rules
from roadmark.errors import UserError
from roadmark.storage import address

_PICTURES = 64
_FILE = "judged.pickle"


@dataclasses.dataclass(frozen=True)
class ClusterJudge:
    """Judges pictures on a cluster; used in the place of `preparation.judged`.

    Attributes:
        choice: The cluster.
        folder: For what is judged, here, until all is.
        places: Where the data set's files are, as the user gave them; of those in buckets each
            machine makes its own copies, in a cache at the same path.
    """

    choice: Choice
    folder: Path
    places: tuple[str, ...]

    def __call__(self, images: Sequence[SourceImage], rules: Rules) -> Iterator[Judged]:
        """Yields what came of each picture, in order.

        Raises:
            UserError: A part failed, all of which are named, or as `jobs.run`.
        """
        tasks = [_task(images[at : at + _PICTURES]) for at in range(0, len(images), _PICTURES)]
        remote = tuple(place for place in self.places if address.is_remote(place))
        job = Job(
            what="judging",
            unit="parts",
            make=functools.partial(_make, rules, remote),
            out=str(self.folder),
            settings=dataclasses.asdict(rules),
            told=lambda facts: f"{facts['pictures']} pictures",
            gives_back=True,
        )
        failures = jobs.run(job, tasks, self.choice).failures
        for line in failures.values():
            print(f"error: {line}", file=sys.stderr)
        if failures:
            raise UserError(
                self.folder,
                f"{len(failures)} of {len(tasks)} parts failed, so nothing was written",
                "put that right, and repeat the command, which goes on with these",
            )
        for task in tasks:
            # Written by this program's processes alone.
            yield from pickle.loads((self.folder / task.name / _FILE).read_bytes())

    def end(self) -> None:
        """Removes what was kept for the same command to go on from."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _task(images: Sequence[SourceImage]) -> Task:
    """Named by its content: the parts of all splits lie in one folder."""
    digest = hashlib.sha256(pickle.dumps(images)).hexdigest()
    stamps = [_stamp(image) for image in images]
    return Task(digest[:16], (images, stamps), {"pictures": digest, "files": stamps})


def _stamp(image: SourceImage) -> list[int] | None:
    """Size and time of a picture's file; None where it has none, or it is not there."""
    path = getattr(image.load, "path", None)
    try:
        found = None if path is None else Path(path).stat()
    except OSError:
        return None
    return None if found is None else [found.st_size, found.st_mtime_ns]


def _make(rules: Rules, remote: Sequence[str]) -> Work:
    def work(task: Task, folder: Path) -> dict[str, Any]:
        images, stamps = task.source
        with sources.all_fetched(",".join(remote)):
            _require_files(images, stamps)
            found = [validation.judge(image, rules) for image in images]
        path = folder / task.name / _FILE
        path.parent.mkdir(parents=True)
        path.write_bytes(pickle.dumps(found))
        return {"pictures": len(found)}

    return work


def _require_files(images: Sequence[SourceImage], stamps: Sequence[Any]) -> None:
    """A file that this machine does not see must not count as one that the set lacks."""
    for image, stamp in zip(images, stamps, strict=True):
        found = _stamp(image)
        if stamp is not None and (found is None or found[0] != stamp[0]):
            raise UserError(
                getattr(image.load, "path", image.name),
                "is not what the command's machine sees there",
                "put the data set where all machines see it, or into a bucket",
            )
