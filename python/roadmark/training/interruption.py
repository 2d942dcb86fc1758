"""Ctrl-C and SIGTERM, noted so that the loop can stop between two steps."""

import signal
import types
from collections.abc import Iterator
from contextlib import contextmanager

from roadmark.app import EXIT_INTERRUPTED, EXIT_TERMINATED

_EXIT_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}


class _CutShort(BaseException):
    pass


class Interruption:
    """A context in which the first Ctrl-C or SIGTERM is only noted; the second acts at once.

    Attributes:
        exit_code: What the process should exit with, or None when nothing came.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._previous: dict[int, object] = {}
        self._cuts = False

    def __enter__(self) -> "Interruption":
        for number in _EXIT_CODES:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    @contextmanager
    def cutting_short(self) -> Iterator[None]:
        """A block that the first signal ends at once, wherever it is."""
        self._cuts = True
        try:
            yield
        except _CutShort:
            return
        finally:
            self._cuts = False

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        self.exit_code = _EXIT_CODES[signal.Signals(number)]
        self._restore()
        if self._cuts:
            raise _CutShort

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
