"""Non-maximum suppression with a stated order of ties.

Candidates are taken by score, highest first; of equal scores the lower class comes first, then the
lower index. The results are those of `tf.image.non_max_suppression_with_scores`,
`tf.image.combined_non_max_suppression` and torchvision's `nms` where their options coincide.

In all functions arrays may be anything with the buffer protocol or DLPack; they are read in place
when contiguous, and never changed. Corners of a box may be in either order. A box without area or
with an infinite corner overlaps nothing. A NaN score is below every threshold. Other threads of
Python run meanwhile.
"""

import numpy as np

from roadmark.ops import _native
from roadmark.ops.arrays import as_array


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair.

    Args:
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels. Corners may be
            in either order.
        others: float32 `[M, 4]` in the same unit.

    Returns:
        float32 `[N, M]`; 0 where either box has no area.

    Raises:
        ValueError: An argument has another shape or dtype; the message names it.
    """
    low, high = _ordered(_checked(boxes, "boxes"))
    other_low, other_high = _ordered(_checked(others, "others"))
    overlap = np.minimum(high[:, None], other_high) - np.maximum(low[:, None], other_low)
    intersection = np.prod(np.maximum(overlap, np.float32(0)), axis=-1)
    area, other_area = np.prod(high - low, axis=-1), np.prod(other_high - other_low, axis=-1)
    union = area[:, None] + other_area - intersection
    valid = (area[:, None] > 0) & (other_area > 0)
    return np.divide(intersection, union, out=np.zeros_like(union), where=valid)


def nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_outputs: int,
    soft_nms_sigma: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Keeps the best of boxes that overlap.

    Args:
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels.
        scores: float32 `[N]`.
        score_threshold: Boxes with this score or less are dropped.
        iou_threshold: A box that overlaps a kept one by more than this is dropped (hard NMS).
        max_outputs: Stop after as many.
        soft_nms_sigma: Above 0, scores decay by `exp(-iou² / (2 * sigma))` per better box
            instead (https://arxiv.org/abs/1704.04503, with the 2 that TensorFlow puts in); the
            score threshold has to be 0 or more then.

    Returns:
        `(indices, scores)`: int64 `[K]` into `boxes`, and float32 `[K]` in decreasing order.

    Raises:
        ValueError: An argument has another shape or dtype, a box has a NaN corner, or a threshold
            or limit is out of range; the message names it.
    """
    indices, _, kept_scores = _native.nms(
        boxes,
        scores,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_outputs=max_outputs,
        soft_nms_sigma=soft_nms_sigma,
    )
    return indices, kept_scores


def batched_nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Like `nms`, where boxes of different classes do not suppress each other.

    Args:
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels.
        scores: float32 `[N]`.
        classes: int32 `[N]`, 0 and up. (Or the number of each box's picture.)
        score_threshold: As for `nms`.
        iou_threshold: As for `nms`.
        max_per_class: Limit per class.
        max_total: Limit in all.
        soft_nms_sigma: As for `nms`.

    Returns:
        `(indices, classes, scores)`: int64, int32 and float32 `[K]`, best first.

    Raises:
        ValueError: As for `nms`.
    """
    return _native.batched_nms(
        boxes,
        scores,
        classes,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_per_class=max_per_class,
        max_total=max_total,
        soft_nms_sigma=soft_nms_sigma,
    )


def multiclass_nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    class_agnostic: bool = False,
    max_candidates: int = 0,
    soft_nms_sigma: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Suppresses boxes that have a score for every class.

    Args:
        boxes: float32 `[N, 4]`, or `[N, C, 4]` with a box per class; `[ymin, xmin, ymax, xmax]`,
            normalised or pixels.
        scores: float32 `[N, C]`.
        score_threshold: As for `nms`.
        iou_threshold: As for `nms`.
        max_per_class: Limit per class; plays no part when class-agnostic.
        max_total: Limit in all.
        class_agnostic: Each box stands for its best class only and suppresses those of others.
        max_candidates: Above 0, only so many of the best pairs of box and class take part, as in
            EfficientDet (https://arxiv.org/abs/1911.09070).
        soft_nms_sigma: As for `nms`.

    Returns:
        `(indices, classes, scores)`: int64, int32 (from 0) and float32 `[K]`, best first.

    Raises:
        ValueError: As for `nms`.
    """
    return _native.multiclass_nms(
        boxes,
        scores,
        class_agnostic=class_agnostic,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_per_class=max_per_class,
        max_total=max_total,
        max_candidates=max_candidates,
        soft_nms_sigma=soft_nms_sigma,
    )


def batch_multiclass_nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    class_agnostic: bool = False,
    max_candidates: int = 0,
    soft_nms_sigma: float = 0.0,
    threads: int = 1,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`multiclass_nms` of several pictures, each for itself.

    Args:
        boxes: float32 `[B, N, 4]`, or `[B, N, C, 4]` with a box per class.
        scores: float32 `[B, N, C]`.
        score_threshold: As for `multiclass_nms`, and so on to `soft_nms_sigma`.
        iou_threshold: See there.
        max_per_class: See there.
        max_total: See there.
        class_agnostic: See there.
        max_candidates: See there.
        soft_nms_sigma: See there.
        threads: How many threads share the pictures.

    Returns:
        Per picture `(indices, classes, scores)`, as `multiclass_nms` gives them.

    Raises:
        ValueError: As for `nms`.
    """
    return _native.batch_multiclass_nms(
        boxes,
        scores,
        class_agnostic=class_agnostic,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_per_class=max_per_class,
        max_total=max_total,
        max_candidates=max_candidates,
        soft_nms_sigma=soft_nms_sigma,
        threads=threads,
    )


def _checked(boxes: np.ndarray, name: str) -> np.ndarray:
    boxes = as_array(boxes, name)
    if boxes.dtype != np.float32 or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name}: found {boxes.dtype} {boxes.shape}, expected float32 (any, 4)")
    return boxes


def _ordered(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
