"""Ctrl-C and SIGTERM, noted so that the loop can stop between two steps."""

import signal
import types

from roadmark.app import EXIT_INTERRUPTED, EXIT_TERMINATED

_EXIT_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}


class Interruption:
    """A context in which the first Ctrl-C or SIGTERM is only noted; the second acts at once.

    Attributes:
        exit_code: What the process should exit with, or None when nothing came.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        for number in _EXIT_CODES:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        self.exit_code = _EXIT_CODES[signal.Signals(number)]
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
