"""Progress of long work: a bar with rate and ETA on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_PLAIN_INTERVAL_S = 10.0


class Meter(Protocol):
    """What `track` yields."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Counts `count` more items done; `note` is shown beside the bar."""


@contextmanager
def track(what: str, total: int | None, unit: str = "it", done: int = 0) -> Iterator[Meter]:
    """Shows progress on stderr while the block runs.

    Args:
        what: A short description, such as `training`.
        total: Number of items, or None when it is not known.
        unit: Plural name of an item, for the rate (`steps` gives `12.3 steps/s`).
        done: Items already done when the work begins (a resumed run).

    Yields:
        A meter to advance.
    """
    if sys.stderr.isatty():
        yield from _bar(what, total, unit, done)
    else:
        meter = _PlainMeter(what, total, unit, done)
        yield meter
        meter.finish()


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed, unit = task.finished_speed or task.speed, task.fields["unit"]
        return Text(f"{speed:.1f} {unit}/s" if speed else f"- {unit}/s")


class _BarMeter:
    def __init__(self, progress: Progress, task: int):
        self._progress, self._task = progress, task

    def advance(self, count: int = 1, note: str = "") -> None:
        self._progress.update(self._task, advance=count, note=note)


_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    _Rate(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.fields[note]}"),
)
# The display that is on the terminal: what begins meanwhile gets a line in it.
_displays: list[Progress] = []


def _bar(what: str, total: int | None, unit: str, done: int) -> Iterator[Meter]:
    if _displays:
        task = _displays[-1].add_task(what, total=total, completed=done, note="", unit=unit)
        try:
            yield _BarMeter(_displays[-1], task)
        finally:
            _displays[-1].remove_task(task)
        return
    with Progress(*_COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, completed=done, note="", unit=unit)
        _displays.append(progress)
        try:
            yield _BarMeter(progress, task)
        finally:
            _displays.remove(progress)


def stop() -> None:
    """Leaves the terminal as it was found, for a process that ends without leaving `track`."""
    for progress in _displays:
        progress.stop()


class _PlainMeter:
    def __init__(self, what: str, total: int | None, unit: str, done: int):
        self._what, self._total, self._unit = what, total, unit
        self._start = self._last = time.monotonic()
        self._first = self._done = done
        self._note = ""

    def advance(self, count: int = 1, note: str = "") -> None:
        self._done += count
        self._note = note
        if time.monotonic() - self._last >= _PLAIN_INTERVAL_S:
            self._print()

    def finish(self) -> None:
        self._print()

    def _print(self) -> None:
        self._last = time.monotonic()
        elapsed = max(self._last - self._start, 1e-9)
        rate = (self._done - self._first) / elapsed
        of = f"/{self._total}" if self._total is not None else ""
        eta = ""
        if self._total is not None and rate > 0 and self._done < self._total:
            eta = f", {(self._total - self._done) / rate:.0f} s left"
        note = f", {self._note}" if self._note else ""
        print(
            f"{self._what}: {self._done}{of} {self._unit}, {rate:.2f} {self._unit}/s{eta}{note}",
            file=sys.stderr,
            flush=True,
        )
