"""Progress of long work: a bar with rate and ETA on a terminal, plain lines elsewhere."""

import dataclasses
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_PLAIN_INTERVAL_S = 10.0
# Of more parts than a screen has room for, sums are shown.
_SHOWN_PARTS = 8


@dataclasses.dataclass(frozen=True)
class State:
    """How far something has come that `track` shows.

    Attributes:
        what: As `track` takes it.
        unit: Likewise.
        done: Items done.
        total: As `track` takes it.
        rate: Items a second, on average.
    """

    what: str
    unit: str
    done: int
    total: int | None
    rate: float

    def __str__(self) -> str:
        of = f"/{self.total}" if self.total is not None else ""
        eta = ""
        if self.total is not None and self.rate > 0 and self.done < self.total:
            eta = f", {(self.total - self.done) / self.rate:.0f} s left"
        return f"{self.what}: {self.done}{of} {self.unit}, {self.rate:.2f} {self.unit}/s{eta}"


class Meter(Protocol):
    """What `track` yields."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Counts `count` more items done; `note` is shown beside the bar."""

    def show_parts(self, parts: Mapping[str, State]) -> None:
        """Shows how far items are that others work on, by name; replaces what was shown before.

        Each of them has a bar, or a line now; where they are many, all of one unit have.
        """


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
    count = _Count(what, total, unit, done)
    _counts.append(count)
    try:
        if sys.stderr.isatty():
            yield from _bar(count)
        else:
            meter = _PlainMeter(count)
            yield meter
            meter.finish()
    finally:
        _counts.remove(count)


def state() -> State | None:
    """How far the work is that this process, in any thread, has tracked last and still does."""
    under_way = list(_counts)
    return under_way[-1].state() if under_way else None


class _Count:
    def __init__(self, what: str, total: int | None, unit: str, done: int):
        self.what, self.total, self.unit, self.done = what, total, unit, done
        self._first, self._start = done, time.monotonic()

    def state(self) -> State:
        done, elapsed = self.done, max(time.monotonic() - self._start, 1e-9)
        rate = (done - self._first) / elapsed
        return State(self.what, self.unit, done, self.total, rate)


# What is under way, the outermost first.
_counts: list[_Count] = []


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed, unit = task.finished_speed or task.speed, task.fields["unit"]
        return Text(f"{speed:.1f} {unit}/s" if speed else f"- {unit}/s")


class _BarMeter:
    def __init__(self, progress: Progress, count: _Count):
        self._progress, self._count = progress, count
        self._task = self._add(count.what, count.state())
        self._parts: dict[tuple[str, str], TaskID] = {}

    def advance(self, count: int = 1, note: str = "") -> None:
        self._count.done += count
        self._progress.update(self._task, advance=count, note=note)

    def show_parts(self, parts: Mapping[str, State]) -> None:
        # One that goes from fetching files to another unit is another bar.
        shown = {(name, part.unit): part for name, part in _shown(parts)}
        for key in self._parts.keys() - shown.keys():
            self._progress.remove_task(self._parts.pop(key))
        for key, part in shown.items():
            if key not in self._parts:
                self._parts[key] = self._add(key[0], part)
            self._progress.update(self._parts[key], completed=part.done, total=part.total)

    def remove(self) -> None:
        self.show_parts({})
        self._progress.remove_task(self._task)

    def _add(self, title: str, at: State) -> TaskID:
        fields = {"note": "", "unit": at.unit}
        return self._progress.add_task(title, total=at.total, completed=at.done, **fields)


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


def _bar(count: _Count) -> Iterator[Meter]:
    if _displays:
        meter = _BarMeter(_displays[-1], count)
        try:
            yield meter
        finally:
            meter.remove()
        return
    with Progress(*_COLUMNS, console=Console(stderr=True)) as progress:
        meter = _BarMeter(progress, count)
        _displays.append(progress)
        try:
            yield meter
        finally:
            _displays.remove(progress)
            meter.show_parts({})


def stop() -> None:
    """Leaves the terminal as it was found, for a process that ends without leaving `track`."""
    for progress in _displays:
        progress.stop()


class _PlainMeter:
    def __init__(self, count: _Count):
        self._count, self._last = count, time.monotonic()
        self._note = ""

    def advance(self, count: int = 1, note: str = "") -> None:
        self._count.done += count
        self._note = note
        if time.monotonic() - self._last >= _PLAIN_INTERVAL_S:
            self._print()

    def show_parts(self, parts: Mapping[str, State]) -> None:
        for name, part in _shown(parts):
            print(f"{name}: {part}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        self._print()

    def _print(self) -> None:
        self._last = time.monotonic()
        note = f", {self._note}" if self._note else ""
        print(f"{self._count.state()}{note}", file=sys.stderr, flush=True)


def _shown(parts: Mapping[str, State]) -> list[tuple[str, State]]:
    if len(parts) <= _SHOWN_PARTS:
        return list(parts.items())
    units = dict.fromkeys(part.unit for part in parts.values())
    return [("in all", _sum([p for p in parts.values() if p.unit == unit])) for unit in units]


def _sum(parts: list[State]) -> State:
    totals = [part.total for part in parts]
    return State(
        f"{len(parts)} under way",
        parts[0].unit,
        sum(part.done for part in parts),
        None if None in totals else sum(totals),
        sum(part.rate for part in parts),
    )
