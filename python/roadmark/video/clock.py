"""Presentation times of frames, as exact as the frame rate lets them be."""

import math
from fractions import Fraction

# Containers store the ticks per second in 32 bits.
_MAX_TICKS_PER_SECOND = 2**31 - 1


class Clock:
    """Turns the times that a container gives into strictly increasing, exact ones.

    Matroska rounds times to milliseconds, so 29.97 frames/s come as 0, 33, 67, 100 ms. Written
    again as they are, they would no longer be 29.97 frames/s. A time that is, but for this
    rounding, a whole number of frames after the first one is put back to exactly that; every other
    time stays what it is, so a varying rate stays varying.

    Attributes:
        time_base: Seconds per tick of the times that `tick` returns.

    Args:
        source: Seconds per tick in the container.
        rate: Frames per second.
    """

    def __init__(self, source: Fraction, rate: Fraction) -> None:
        self._source = source
        self._rate = rate
        self._first: Fraction | None = None
        self._last: int | None = None
        self.time_base = source
        fine = math.lcm(source.denominator, rate.numerator)
        self._is_rounded = (1 / rate / source).denominator != 1 and fine <= _MAX_TICKS_PER_SECOND
        if self._is_rounded:
            self.time_base = Fraction(1, fine)

    def tick(self, pts: int | None) -> int:
        """The time of the next frame in ticks of `time_base`.

        Args:
            pts: Its time in ticks of the container, or None where the container does not say; it
                then follows one frame after the one before.
        """
        last = self._last
        if pts is not None:
            found = self._exact(pts)
        else:
            found = 0 if last is None else last + round(1 / self._rate / self.time_base)
        self._last = found if last is None else max(found, last + 1)
        return self._last

    def _exact(self, pts: int) -> int:
        seconds = pts * self._source
        if self._first is None:
            self._first = seconds
        if self._is_rounded:
            frames = round((seconds - self._first) * self._rate)
            whole = self._first + frames / self._rate
            seconds = whole if abs(whole - seconds) <= self._source / 2 else seconds
        return round(seconds / self.time_base)
