"""`Detections`: what every detector yields and every drawer, tracker and evaluator takes."""

import dataclasses
from typing import Any

import numpy as np

# Attributes of what a classifier has looked at: the class that each object has from it, or else
# from the detector; and how sure it is, 0 where the detector's class stays, -1 for objects that it
# does not name.
LABEL, LABEL_PROBABILITY = "label", "label_probability"


@dataclasses.dataclass(frozen=True)
class Detections:
    """The objects found in one image, best first by convention of whoever makes them.

    Attributes:
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]` in pixels of the original image
            (not normalised; the far edge of a box that fills the image is its height or width).
        scores: float32 `[N]`, between 0 and 1.
        classes: int32 `[N]`, ids of the label map (1 and up).
        masks: bool `[N, height, width]` over the original image, or None.
        track_ids: int32 `[N]`, 0 for an object not yet tracked; None when nothing was tracked.
        attributes: Further values per object: name to array of length N.

    Raises:
        ValueError: An array has another shape or dtype, a box is not finite or is inverted,
            a score is outside [0, 1], or a class id is below 1; the message names it.

    Example:
        >>> found = Detections(
        ...     boxes=np.array([[10, 20, 30, 60]], np.float32),
        ...     scores=np.array([0.9], np.float32),
        ...     classes=np.array([1], np.int32))
        >>> len(found)
        1
        >>> len(found.select(found.scores > 0.95))
        0
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    masks: np.ndarray | None = None
    track_ids: np.ndarray | None = None
    attributes: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        _require("boxes", self.boxes, np.float32, ("N", 4))
        count = self.boxes.shape[0]
        _require("scores", self.scores, np.float32, (count,))
        _require("classes", self.classes, np.int32, (count,))
        if self.masks is not None:
            _require("masks", self.masks, np.bool_, (count, "height", "width"))
        if self.track_ids is not None:
            _require("track_ids", self.track_ids, np.int32, (count,))
        for name, values in self.attributes.items():
            if len(values) != count:
                raise ValueError(
                    f"attributes[{name!r}]: found {len(values)} values, expected {count}, "
                    "one per box"
                )
        self._check_values()

    def _check_values(self) -> None:
        _none(~np.isfinite(self.boxes).all(axis=1), "boxes", self.boxes, "finite corners")
        inverted = (self.boxes[:, 2:] < self.boxes[:, :2]).any(axis=1)
        _none(inverted, "boxes", self.boxes, "ymin <= ymax and xmin <= xmax")
        bad_score = ~((self.scores >= 0) & (self.scores <= 1))
        _none(bad_score, "scores", self.scores, "a score between 0 and 1")
        _none(self.classes < 1, "classes", self.classes, "a label map id of 1 or more")

    def __len__(self) -> int:
        return self.boxes.shape[0]

    @classmethod
    def empty(cls) -> "Detections":
        """No objects, no masks."""
        return cls(
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            classes=np.zeros(0, np.int32),
        )

    def select(self, index: Any) -> "Detections":
        """The objects that a boolean mask, an index array or a slice picks, in its order."""
        return Detections(
            boxes=self.boxes[index],
            scores=self.scores[index],
            classes=self.classes[index],
            masks=None if self.masks is None else self.masks[index],
            track_ids=None if self.track_ids is None else self.track_ids[index],
            attributes={name: np.asarray(v)[index] for name, v in self.attributes.items()},
        )


def _require(name: str, array: Any, dtype: type, shape: tuple) -> None:
    expected = f"a NumPy {np.dtype(dtype).name} array of shape ({', '.join(map(str, shape))})"
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name}: found {type(array).__name__}, expected {expected}")
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or got == want for got, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise ValueError(f"{name}: found {array.dtype.name} {array.shape}, expected {expected}")


def _none(bad: np.ndarray, name: str, array: np.ndarray, expected: str) -> None:
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise ValueError(f"{name}[{first}]: found {array[first].tolist()}, expected {expected}")
