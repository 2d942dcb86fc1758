"""A process of a Ray cluster that does one task after the other."""

import os
import time
import traceback
from pathlib import Path

from roadmark import progress
from roadmark.cluster import outputs, receipts
from roadmark.cluster.outputs import GivenBack
from roadmark.cluster.task import MakeWork, Outcome, Task, Work
from roadmark.errors import DISK_CURES, UserError
from roadmark.progress import State

ASKING = "asking"
"""The group of calls that are answered while others work, which Ray gives a thread of its own."""


class Worker:
    """Works on tasks; a Ray actor.

    Args:
        make: Makes the work, which is done once, in `load`.
        folder: Where the user is, for relative paths.
        place: Where results go; None to give them back.
        command: See `outputs.FolderOutputs`.
        settings: What `receipts.digest` gave.
    """

    def __init__(
        self, make: MakeWork, folder: str, place: str | None, command: str, settings: str
    ) -> None:
        self._make, self._folder = make, folder
        self._place, self._command, self._settings = place, command, settings
        self._task: Task | None = None

    def begin(self) -> None:
        """Returns when the process has its place."""

    def load(self) -> Outcome:
        """Makes the work ready."""
        try:
            os.chdir(self._folder)
            self._work: Work = self._make()
            self._outputs = outputs.of_worker(self._place, self._command)
        except Exception as error:
            return _failed(error)
        return Outcome()

    def run(self, task: Task) -> Outcome:
        """Does a task, unless it is done."""
        begin, self._task = time.monotonic(), task
        try:
            facts = receipts.finished_elsewhere(self._outputs, task, self._settings)
            if facts is not None:
                return Outcome(facts)
            with self._outputs.unfinished() as folder:
                return self._outcome(task, folder, begin)
        except Exception as error:
            return _failed(error)

    def how_far(self) -> tuple[str, State] | None:
        """The task that is being done and how far, where that is known; may be called meanwhile."""
        task, state = self._task, progress.state()
        if task is None or state is None or task is not self._task:
            return None
        return task.name, state

    def _outcome(self, task: Task, folder: Path, begin: float) -> Outcome:
        try:
            facts = self._work(task, folder)
        except Exception as error:
            if isinstance(error, UserError):
                # What could be made of a damaged source, as on one machine.
                self._outputs.publish(folder, receipts.written(folder))
            return _failed(error, str(folder), self._place or "")
        receipts.publish(self._outputs, task, self._settings, folder, facts)
        back = self._outputs
        files = back.taken() if isinstance(back, GivenBack) else {}
        return Outcome(facts, time.monotonic() - begin, files=files)


def _failed(error: Exception, unfinished: str = "", place: str = "") -> Outcome:
    if isinstance(error, UserError):
        text = str(error)
        return Outcome(failure=text.replace(unfinished, place) if unfinished else text)
    if isinstance(error, OSError) and error.errno in DISK_CURES:
        name = str(error.filename or "disk")
        name = name.replace(unfinished, place) if unfinished else name
        line = f"{name}: {error.strerror}; {DISK_CURES[error.errno]}"
        return Outcome(failure=line, may_pass=True)
    *_, last = traceback.extract_tb(error.__traceback__)
    words = " ".join(str(error).split())
    where = f"{Path(last.filename).name}:{last.lineno}"
    return Outcome(failure=f"{type(error).__name__}: {words} ({where})", may_pass=True)
