"""When and where in a video objects were seen, in memory that does not depend on its length."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

_MOST_SLOTS = 240
_FIRST_SLOT_S = 0.25
_COLUMNS = 96


@dataclasses.dataclass
class Slot:
    """A piece of the video's time.

    Attributes:
        frames: How many frames were looked at in it.
        objects: How many objects of which class they showed, altogether.
    """

    frames: int = 0
    objects: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


class Sights:
    """Sums up detections over time and over the picture.

    Attributes:
        slot_s: Seconds that a slot stands for; it doubles when there are too many slots.
        slots: One after the other, from second 0 on.
        frames: How many frames were looked at.
        heat: float64 `[rows, columns]`: in how many of them a box lay over this part of the
            picture; two boxes count twice.
    """

    def __init__(self) -> None:
        self.slot_s = _FIRST_SLOT_S
        self.slots: list[Slot] = []
        self.frames = 0
        self.heat = np.zeros((0, 0))

    def add(
        self, time_s: float, size: tuple[int, int], classes: Sequence[str], boxes: np.ndarray
    ) -> None:
        """Adds a frame.

        Args:
            time_s: Its time in seconds.
            size: Its height and width in pixels, the same for all frames.
            classes: The class name of each object.
            boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]` in its pixels.
        """
        if not self.frames:
            self.heat = np.zeros((max(1, round(_COLUMNS * size[0] / size[1])), _COLUMNS))
        self.frames += 1
        slot = self._slot(max(0.0, time_s))
        slot.frames += 1
        slot.objects.update(classes)
        self._warm(size, boxes)

    def per_frame(self, name: str) -> list[float]:
        """How many objects of a class a frame shows on average, by slot; NaN without frames."""
        return [
            slot.objects[name] / slot.frames if slot.frames else float("nan") for slot in self.slots
        ]

    def _slot(self, time_s: float) -> Slot:
        while time_s >= self.slot_s * _MOST_SLOTS:
            self.slot_s *= 2
            self.slots = [_joined(self.slots[i : i + 2]) for i in range(0, len(self.slots), 2)]
        number = int(time_s / self.slot_s)
        while len(self.slots) <= number:
            self.slots.append(Slot())
        return self.slots[number]

    def _warm(self, size: tuple[int, int], boxes: np.ndarray) -> None:
        rows, columns = self.heat.shape
        scale = np.array([rows / size[0], columns / size[1]] * 2)
        cells = boxes * scale
        first = np.floor(cells[:, :2]).astype(int).clip(0)
        last = np.ceil(cells[:, 2:]).astype(int)
        for (top, left), (bottom, right) in zip(first, last, strict=True):
            self.heat[top : max(0, bottom), left : max(0, right)] += 1


def _joined(slots: Sequence[Slot]) -> Slot:
    objects: collections.Counter[str] = collections.Counter()
    for slot in slots:
        objects.update(slot.objects)
    return Slot(sum(slot.frames for slot in slots), objects)
