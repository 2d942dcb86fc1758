"""The newest frame of a source that does not wait, such as a camera."""

import collections
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import av

from roadmark.video.frame_pool import FramePool
from roadmark.video.reader import Frame

_LIVE = re.compile(r"(rtsps?|rtp|udp|srt|rtmps?)://", re.IGNORECASE)


def is_live(source: str) -> bool:
    """Whether a source goes on whether or not anyone reads it."""
    if "://" in source:
        return _LIVE.match(source) is not None
    path = Path(source)
    return path.exists() and stat.S_ISCHR(path.stat().st_mode)


class Newest:
    """Reads a live source as fast as it comes, and gives the newest frame to who asks.

    Frames for which nobody has asked when the next one is there are dropped and counted; sound is
    not. A context manager, which ends when the source has given its next item.

    Attributes:
        dropped: Frames that were dropped so far.

    Args:
        source: Frames and packets of sound; it is iterated in a thread of its own.
        pool: Takes back the memory of dropped frames.
    """

    def __init__(self, source: Iterable[Frame | av.Packet], pool: FramePool) -> None:
        self.dropped = 0
        self._source = source
        self._pool = pool
        self._items: collections.deque[Frame | av.Packet] = collections.deque()
        self._changed = threading.Condition()
        self._ended = self._stopping = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Newest":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    def __iter__(self) -> Iterator[Frame | av.Packet]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    break
                item = self._items.popleft()
            yield item
        if self._error is not None:
            raise self._error

    def _read(self) -> None:
        try:
            for item in self._source:
                if self._stopping:
                    break
                self._add(item)
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()

    def _add(self, item: Frame | av.Packet) -> None:
        with self._changed:
            if isinstance(item, Frame):
                self._drop_waiting()
            self._items.append(item)
            self._changed.notify()

    def _drop_waiting(self) -> None:
        for index, waiting in enumerate(self._items):
            if isinstance(waiting, Frame):
                del self._items[index]
                self._pool.give_back(waiting.yuv)
                self.dropped += 1
                return
