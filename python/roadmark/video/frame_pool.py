"""Frames whose memory is used again."""

import collections

import av

from roadmark.video import yuv_frame


class FramePool:
    """Gives yuv420p frames and takes them back; may be used from several threads.

    It never holds more of a size than were out at the same time.
    """

    def __init__(self) -> None:
        self._free: dict[tuple[int, int], collections.deque[av.VideoFrame]] = {}

    def take(self, width: int, height: int) -> av.VideoFrame:
        """A frame of that size in pixels, with any content."""
        try:
            frame = self._of(width, height).popleft()
        except IndexError:
            return av.VideoFrame(width, height, yuv_frame.FORMAT)
        # An encoder that still looks at it keeps what it has.
        frame.make_writable()
        return frame

    def give_back(self, frame: av.VideoFrame) -> None:
        """Has a frame used again, which the caller no longer looks at."""
        self._of(frame.width, frame.height).append(frame)

    def _of(self, width: int, height: int) -> collections.deque[av.VideoFrame]:
        return self._free.setdefault((width, height), collections.deque())
