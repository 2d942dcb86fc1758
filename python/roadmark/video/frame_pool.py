"""Frames whose memory is used again."""

import collections

import av

from roadmark.video import yuv_frame


class FramePool:
    """Gives yuv420p frames and takes them back; may be used from several threads.

    It never holds more than were out at the same time.
    """

    def __init__(self) -> None:
        self._free: collections.deque[av.VideoFrame] = collections.deque()

    def take(self, width: int, height: int) -> av.VideoFrame:
        """A frame of that size in pixels, with any content."""
        while self._free:
            try:
                frame = self._free.popleft()
            except IndexError:  # Another thread was quicker.
                break
            if (frame.width, frame.height) == (width, height):
                # An encoder that still looks at it keeps what it has.
                frame.make_writable()
                return frame
        return av.VideoFrame(width, height, yuv_frame.FORMAT)

    def give_back(self, frame: av.VideoFrame) -> None:
        """Has a frame used again, which the caller no longer looks at."""
        self._free.append(frame)
