"""The speed of the work, shown in a corner of the picture."""

import collections
import time

import numpy as np

from roadmark.ops import annotate

_FRAMES = 60
_CORNER = np.zeros((1, 4), np.float32)
_COLOUR = np.ones(1, np.int32)


class SpeedTag:
    """Draws the frames per second of the last few frames, as they are drawn."""

    def __init__(self) -> None:
        self._times: collections.deque[float] = collections.deque(maxlen=_FRAMES)

    def draw(self, picture: annotate.Yuv420) -> None:
        """Draws on the next frame; nothing on the first, of which no speed is known."""
        self._times.append(time.monotonic())
        passed = self._times[-1] - self._times[0]
        if passed > 0:
            text = f"{(len(self._times) - 1) / passed:.1f} frames/s"
            annotate.draw_boxes(picture, _CORNER, _COLOUR, [text])
