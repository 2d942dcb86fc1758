"""Which class is taken for which, with background as one more."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from roadmark.evaluation import matching
from roadmark.evaluation.matching import Picture

BACKGROUND = "background"
_FITS = 0.5


@dataclasses.dataclass(frozen=True)
class Confusion:
    """A confusion matrix.

    Attributes:
        thresholds: By class name, the score that a detection needs to count.
        classes: Names of rows and columns; the last is `background`.
        counts: Row: what is marked. Column: what was found. In the last column are the objects
            that nothing was found at, in the last row the detections that no object is at.
    """

    thresholds: Mapping[str, float]
    classes: Sequence[str]
    counts: Sequence[Sequence[int]]


def confusion(
    pictures: Sequence[Picture], categories: Mapping[int, str], thresholds: Mapping[int, float]
) -> Confusion:
    """Pairs objects and detections one to one at an IoU of 0.5 or more, whatever their classes.

    Pairs of one class come first, then those of largest IoU. A detection that is left over and half
    in a crowd of its class does not count; nor does a crowd.

    Args:
        pictures: The evaluation.
        categories: Class name by label map id.
        thresholds: By label map id, the least score; NaN for a class that is never found.
    """
    ids = np.array(list(categories), np.int32)
    least = np.array([thresholds[class_id] for class_id in categories])
    counts = np.zeros((len(ids) + 1, len(ids) + 1), int)
    for picture in pictures:
        _count(picture, ids, least, counts)
    names = list(categories.values())
    return Confusion(
        dict(zip(names, least.tolist(), strict=True)), [*names, BACKGROUND], counts.tolist()
    )


def _count(picture: Picture, ids: np.ndarray, least: np.ndarray, counts: np.ndarray) -> None:
    truth, found = picture.truth, matching.best_first(picture.found, ids.tolist())
    found = found.select(found.scores >= least[_rows(found.classes, ids)])
    marked, columns = _rows(truth.classes, ids), _rows(found.classes, ids)
    iou = matching.overlaps(found.boxes, truth.boxes, truth.is_crowd)
    same = columns[:, np.newaxis] == marked[np.newaxis]
    left_found = np.ones(len(found), bool)
    left_marked = ~truth.is_crowd
    candidates = np.argwhere((iou >= _FITS) & ~truth.is_crowd)
    order = np.lexsort((-iou[tuple(candidates.T)], ~same[tuple(candidates.T)]))
    for detection, item in candidates[order]:
        if left_found[detection] and left_marked[item]:
            left_found[detection] = left_marked[item] = False
            counts[marked[item], columns[detection]] += 1
    left_found &= ~((iou >= _FITS) & same & truth.is_crowd).any(axis=1)
    np.add.at(counts[:, -1], marked[left_marked], 1)
    np.add.at(counts[-1], columns[left_found], 1)


def _rows(classes: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Position of each class in `ids`, which are not sorted."""
    order = np.argsort(ids)
    return order[np.searchsorted(ids, classes, sorter=order)]
