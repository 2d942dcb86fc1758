"""Which detection stands for which object, at each of COCO's IoU thresholds.

The rules are those of pycocotools (`COCOeval.evaluateImg`): in each picture and class, detections
choose in the order of their scores the free object that they overlap most; what lies in a crowd
and on no free object is neither right nor wrong.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from faster_coco_eval.core import mask as run_lengths

from roadmark.detections import Detections
from roadmark.evaluation.coco import GroundTruth

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
NONE = -1

_MAX_DETECTIONS = 100  # of a class in a picture
_MATCHABLE = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)  # as pycocotools has it


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture of an evaluation.

    Attributes:
        name: Its file name in the records.
        truth: What is marked in it.
        found: What was found in it.
    """

    name: str
    truth: GroundTruth
    found: Detections


@dataclasses.dataclass(frozen=True, eq=False)
class Matches:
    """All detections (`D`) and objects (`G`) of an evaluation, picture after picture.

    Detections of one picture stand best first. Boxes are float32 `[ymin, xmin, ymax, xmax]` in
    pixels of their picture.

    Attributes:
        pictures: Names of the pictures.
        image: int32 `[D]`, index into `pictures`.
        classes: int32 `[D]`, label map ids.
        scores: float32 `[D]`.
        boxes: float32 `[D, 4]`.
        matched: int32 `[D, 10]`, index of the object that the detection stands for at each of
            `IOU_THRESHOLDS`, or `NONE`.
        ignored: bool `[D, 10]`, whether that object is a crowd.
        iou_same: float32 `[D]`, largest IoU with an object of the detection's class, crowds aside.
        nearest_same: int32 `[D]`, that object, or `NONE`.
        iou_other: float32 `[D]`, largest IoU with an object of another class, crowds aside.
        nearest_other: int32 `[D]`, that object, or `NONE`.
        truth_image: int32 `[G]`.
        truth_classes: int32 `[G]`.
        truth_boxes: float32 `[G, 4]`.
        truth_crowd: bool `[G]`.
    """

    pictures: tuple[str, ...]
    image: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    iou_same: np.ndarray
    nearest_same: np.ndarray
    iou_other: np.ndarray
    nearest_other: np.ndarray
    truth_image: np.ndarray
    truth_classes: np.ndarray
    truth_boxes: np.ndarray
    truth_crowd: np.ndarray

    @property
    def is_true(self) -> np.ndarray:
        """Whether a detection is a true positive: bool `[D, 10]`."""
        return (self.matched != NONE) & ~self.ignored


def match(pictures: Sequence[Picture], class_ids: Iterable[int]) -> Matches:
    """Matches detections with objects.

    Args:
        pictures: The evaluation.
        class_ids: Of the label map; detections of other classes are left out, and those of one
            class beyond the best 100 of a picture.
    """
    known = tuple(class_ids)
    columns: list[dict[str, np.ndarray]] = []
    truth_count = 0
    for number, picture in enumerate(pictures):
        columns.append(_matched(picture, number, truth_count, known))
        truth_count += len(picture.truth.boxes)
    joined = {
        name: np.concatenate([_EMPTY[name], *(rows[name] for rows in columns)]) for name in _EMPTY
    }
    return Matches(pictures=tuple(picture.name for picture in pictures), **joined)


def overlaps(found: np.ndarray, marked: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """IoU of every detection with every object; over a crowd, the share of the detection in it.

    Args:
        found: float32 `[D, 4]` boxes.
        marked: float32 `[G, 4]` boxes.
        crowd: bool `[G]`.

    Returns:
        float64 `[D, G]`, pycocotools' numbers.
    """
    if not len(found) or not len(marked):
        return np.zeros((len(found), len(marked)))
    flags = crowd.astype(int).tolist()
    return np.asarray(run_lengths.iou(_corner_and_size(found), _corner_and_size(marked), flags))


def best_first(found: Detections, class_ids: Sequence[int]) -> Detections:
    """The detections that count: of these classes, the best 100 of each, in order of scores."""
    ordered = found.select(np.argsort(-found.scores, kind="stable"))
    rank = np.full(len(ordered), _MAX_DETECTIONS)
    for class_id in class_ids:
        own = ordered.classes == class_id
        rank[own] = np.arange(own.sum())
    return ordered.select(rank < _MAX_DETECTIONS)


def _matched(
    picture: Picture, number: int, offset: int, class_ids: Sequence[int]
) -> dict[str, np.ndarray]:
    """The columns of one picture; objects are counted from `offset`."""
    truth, found = picture.truth, best_first(picture.found, class_ids)
    iou = overlaps(found.boxes, truth.boxes, truth.is_crowd)
    matched = np.full((len(found), len(IOU_THRESHOLDS)), NONE, np.int32)
    for rows, objects in _by_class(found.classes, truth):
        chosen = _greedy(iou[np.ix_(rows, objects)], truth.is_crowd[objects])
        matched[rows] = np.where(chosen == NONE, NONE, objects[chosen])
    same = found.classes[:, np.newaxis] == truth.classes[np.newaxis]
    iou_same, nearest_same = _nearest(iou, same & ~truth.is_crowd)
    iou_other, nearest_other = _nearest(iou, ~same & ~truth.is_crowd)
    crowd = np.append(truth.is_crowd, False)  # for NONE
    return {
        "image": np.full(len(found), number, np.int32),
        "classes": found.classes,
        "scores": found.scores,
        "boxes": found.boxes,
        "matched": _moved(matched, offset),
        "ignored": crowd[matched],
        "iou_same": iou_same,
        "nearest_same": _moved(nearest_same, offset),
        "iou_other": iou_other,
        "nearest_other": _moved(nearest_other, offset),
        "truth_image": np.full(len(truth.boxes), number, np.int32),
        "truth_classes": truth.classes,
        "truth_boxes": truth.boxes,
        "truth_crowd": truth.is_crowd,
    }


def _by_class(classes: np.ndarray, truth: GroundTruth) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for class_id in np.intersect1d(classes, truth.classes):
        yield np.flatnonzero(classes == class_id), np.flatnonzero(truth.classes == class_id)


def _greedy(iou: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Which object `[D, 10]` each detection, best first, takes at each threshold."""
    taken = np.full((len(iou), len(_MATCHABLE)), NONE)
    free = np.ones((iou.shape[1], len(_MATCHABLE)), bool)
    for row in np.flatnonzero(iou.max(axis=1) >= _MATCHABLE[0]):
        fits = free & (iou[row][:, np.newaxis] >= _MATCHABLE)
        plain = _last_largest(iou[row], fits & ~crowd[:, np.newaxis])
        crowds = _last_largest(iou[row], fits & crowd[:, np.newaxis])
        taken[row] = np.where(plain != NONE, plain, crowds)
        at = np.flatnonzero(plain != NONE)
        free[plain[at], at] = False
    return taken


def _last_largest(values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Index `[10]` of the largest allowed value, the last of equals, as pycocotools takes it."""
    candidates = np.where(allowed, values[:, np.newaxis], -1.0)
    best = len(values) - 1 - np.argmax(candidates[::-1], axis=0)
    return np.where(allowed.any(axis=0), best, NONE)


def _nearest(iou: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not iou.size:
        return np.zeros(len(iou), np.float32), np.full(len(iou), NONE, np.int32)
    masked = np.where(allowed, iou, 0.0)
    best = np.argmax(masked, axis=1)
    value = masked[np.arange(len(iou)), best]
    return value.astype(np.float32), np.where(value > 0, best, NONE).astype(np.int32)


def _moved(index: np.ndarray, offset: int) -> np.ndarray:
    return np.where(index == NONE, NONE, index + offset).astype(np.int32)


def _corner_and_size(boxes: np.ndarray) -> np.ndarray:
    """COCO's `[x, y, width, height]`, float64 `[N, 4]`."""
    corners = boxes[:, [1, 0]]
    return np.hstack([corners, boxes[:, [3, 2]] - corners]).astype(np.float64)


_EMPTY = {
    "image": np.zeros(0, np.int32),
    "classes": np.zeros(0, np.int32),
    "scores": np.zeros(0, np.float32),
    "boxes": np.zeros((0, 4), np.float32),
    "matched": np.zeros((0, len(IOU_THRESHOLDS)), np.int32),
    "ignored": np.zeros((0, len(IOU_THRESHOLDS)), bool),
    "iou_same": np.zeros(0, np.float32),
    "nearest_same": np.zeros(0, np.int32),
    "iou_other": np.zeros(0, np.float32),
    "nearest_other": np.zeros(0, np.int32),
    "truth_image": np.zeros(0, np.int32),
    "truth_classes": np.zeros(0, np.int32),
    "truth_boxes": np.zeros((0, 4), np.float32),
    "truth_crowd": np.zeros(0, bool),
}
