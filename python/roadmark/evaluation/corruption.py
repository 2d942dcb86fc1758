"""Pictures made worse on purpose, to see how far a detector's metrics fall.

Fog, rain, night and blur are those that training can augment with; `jpeg` is compression, with the
qualities of ImageNet-C (D. Hendrycks and T. Dietterich, ICLR 2019).
"""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from roadmark.data import example
from roadmark.errors import UserError
from roadmark.evaluation import records
from roadmark.evaluation.coco import BOXES, CocoMetrics
from roadmark.evaluation.records import Selection

JPEG = "jpeg"
KINDS = ("fog", "rain", "night", "blur", JPEG)
SEVERITIES = (1, 2, 3, 4, 5)

_JPEG_QUALITIES = (25, 18, 15, 10, 7)
_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One way to make pictures worse.

    Attributes:
        kind: One of `KINDS`.
        severity: 1, the mildest that training draws, to 5, the harshest.
    """

    kind: str
    severity: int


@dataclasses.dataclass(frozen=True)
class Robustness:
    """Metrics on pictures that were made worse.

    Attributes:
        corruption: How.
        mAP: COCO's, of boxes.
        AP50: The same at an IoU of 0.5.
    """

    corruption: Corruption
    mAP: float  # noqa: N815 the metric's name
    AP50: float


@dataclasses.dataclass(frozen=True)
class CorruptedSelection(Selection):
    """Records whose pictures are made worse when they are read; the objects stay.

    Attributes:
        corruption: How.
    """

    corruption: Corruption

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Yields place and data of each chosen record; see `Selection.records`.

        Raises:
            UserError: A record is damaged or its picture cannot be decoded.
        """
        for where, data in super().records():
            image = example.parse(data, where)
            worse = records.picture(image, where)
            if self.corruption.kind != JPEG:
                worse = corrupt(worse, self.corruption, image.filename)
            encoded, kind = _encoded(worse, self.corruption)
            yield where, example.serialise(dataclasses.replace(image, encoded=encoded, format=kind))


def parse(kinds: Sequence[str], severities: Sequence[str]) -> tuple[Corruption, ...]:
    """Every kind with every severity.

    Args:
        kinds: Of `KINDS`, each once.
        severities: Of `SEVERITIES`, as texts, each once.

    Raises:
        UserError: There is no such kind or severity, or one is given twice.
    """
    _check("--corruptions", kinds, KINDS)
    _check("--severities", severities, tuple(map(str, SEVERITIES)))
    return tuple(Corruption(kind, int(severity)) for kind in kinds for severity in severities)


def measure(
    corruptions: Sequence[Corruption],
    selection: Selection,
    evaluate: Callable[[Selection], CocoMetrics],
) -> tuple[Robustness, ...]:
    """Evaluates again and again.

    Args:
        corruptions: What to do to the pictures, one at a time.
        selection: The records.
        evaluate: Gives a model's metrics on records.
    """
    found = []
    for one in corruptions:
        print(f"{one.kind}, severity {one.severity}", flush=True)
        fields = {field.name: getattr(selection, field.name) for field in _FIELDS}
        summary = evaluate(CorruptedSelection(**fields, corruption=one)).summary[BOXES]
        found.append(Robustness(one, summary["mAP"], summary["AP50"]))
    return tuple(found)


def corrupt(pixels: np.ndarray, corruption: Corruption, name: str) -> np.ndarray:
    """A picture made worse.

    Args:
        pixels: uint8 `[H, W, 3]` RGB.
        corruption: How.
        name: Of the picture; what is drawn by chance, such as the drops, follows from it.

    Returns:
        The same shape and dtype.
    """
    if corruption.kind == JPEG:
        encoded, _ = _encoded(pixels, corruption)
        return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    strength = (corruption.severity - 1) / (len(SEVERITIES) - 1)
    return _weather(corruption.kind, strength)(pixels, [zlib.crc32(name.encode()), 0]).numpy()


@functools.cache
def _weather(kind: str, strength: float) -> Callable:
    """Takes a picture and a seed."""
    import tensorflow as tf  # takes seconds, and JPEG needs none of it

    from roadmark.data import weather

    change = getattr(weather, kind)

    @tf.function(
        input_signature=(tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int64)),
        autograph=False,
    )
    def changed(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return weather.changed(change, pixels, seed, strength)

    return changed


def _encoded(pixels: np.ndarray, corruption: Corruption) -> tuple[bytes, str]:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    if corruption.kind == JPEG:
        quality = _JPEG_QUALITIES[corruption.severity - 1]
        return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes(), "jpeg"
    return cv2.imencode(".png", bgr, _FAST_PNG)[1].tobytes(), "png"


def _check(flag: str, given: Sequence[str], known: Sequence[str]) -> None:
    for number, one in enumerate(given):
        if one not in known or one in given[:number]:
            raise UserError(
                flag, f"found {one!r}", f"give some of {', '.join(known)}, each once, with commas"
            )


_FIELDS = dataclasses.fields(Selection)
