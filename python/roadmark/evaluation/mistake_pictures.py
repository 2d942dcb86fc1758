"""Cuts mistakes out of their pictures, with their surroundings and all that is marked there."""

from collections.abc import Sequence

import cv2
import numpy as np

from roadmark.data import example
from roadmark.evaluation import records
from roadmark.evaluation.analysis import Mistake
from roadmark.evaluation.matching import Picture
from roadmark.evaluation.records import Selection

MISTAKE_COLOUR, MARKED_COLOUR = (213, 94, 0), (0, 158, 115)  # RGB

_WIDTH, _HEIGHT = 320, 240
_SURROUNDINGS = 3.0  # sides of the cut over the box's
_LEAST_WIDTH = 160  # pixels of the picture
_JPEG_QUALITY = 80


def jpegs(
    mistakes: Sequence[Mistake], pictures: Sequence[Picture], selection: Selection
) -> list[bytes]:
    """A JPEG file of 320 x 240 pixels for each mistake; its box is thick, marked objects thin.

    Args:
        mistakes: What to cut out.
        pictures: The evaluation's.
        selection: The evaluation's records, in the order of `pictures`.

    Raises:
        UserError: A record is damaged or its picture cannot be decoded.
    """
    wanted: dict[int, list[int]] = {}
    for index, mistake in enumerate(mistakes):
        wanted.setdefault(mistake.number, []).append(index)
    cuts = [b""] * len(mistakes)
    for number, (where, record) in enumerate(selection.records()):
        if number not in wanted:
            continue
        pixels = records.picture(example.parse(record, where), where)
        for index in wanted[number]:
            cuts[index] = _cut(pixels, mistakes[index], pictures[number].truth.boxes)
    return cuts


def _cut(pixels: np.ndarray, mistake: Mistake, marked: np.ndarray) -> bytes:
    box = np.array(mistake.box)
    size = np.array(pixels.shape[:2])
    wanted = _width_around(_SURROUNDINGS * (box[2:] - box[:2]))
    width = max(_LEAST_WIDTH, min(wanted, _width_around(size)))
    scale = _WIDTH / width
    half = np.array([_HEIGHT, _WIDTH]) / scale / 2
    # Inside the picture; where the cut is larger, what lies outside is black.
    middle = size / 2
    centre = np.clip(
        (box[:2] + box[2:]) / 2, np.minimum(half, middle), np.maximum(size - half, middle)
    )
    move = np.array(
        [
            [scale, 0, _WIDTH / 2 - scale * centre[1]],
            [0, scale, _HEIGHT / 2 - scale * centre[0]],
        ]
    )
    small = cv2.warpAffine(pixels, move, (_WIDTH, _HEIGHT), flags=_interpolation(scale))
    for other in marked:
        _frame(small, _moved(other, move), MARKED_COLOUR, 1)
    _frame(small, _moved(box, move), MISTAKE_COLOUR, 2)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _width_around(sides: np.ndarray) -> float:
    """Width of the smallest cut that holds this height and width."""
    return max(sides[1], sides[0] * _WIDTH / _HEIGHT)


def _interpolation(scale: float) -> int:
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR


def _moved(box: np.ndarray, move: np.ndarray) -> list[int]:
    corners = move @ np.array([[box[1], box[3]], [box[0], box[2]], [1, 1]])
    return np.clip(np.round(corners), -(2**14), 2**14).astype(int).T.ravel().tolist()


def _frame(pixels: np.ndarray, corners: Sequence[int], colour: tuple, thickness: int) -> None:
    cv2.rectangle(pixels, tuple(corners[:2]), tuple(corners[2:]), colour, thickness)
