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
    def __init__(self, unit: str):
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} {self._unit}/s" if speed else f"- {self._unit}/s")


class _BarMeter:
    def __init__(self, progress: Progress, task: int):
        self._progress, self._task = progress, task

    def advance(self, count: int = 1, note: str = "") -> None:
        self._progress.update(self._task, advance=count, note=note)


def _bar(what: str, total: int | None, unit: str, done: int) -> Iterator[Meter]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total, completed=done, note="")
        yield _BarMeter(progress, task)


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
