"""Greedy non-maximum suppression with a stated order of ties.

Candidates are taken by score, highest first; of equal scores the lower index comes first. The
results are those of `tf.image.non_max_suppression_with_scores`.
"""

import heapq

import numpy as np

# Candidates compared with each other at a time. A greedy scan rarely looks far beyond its limit.
_BLOCK = 256
# Sorting every candidate costs more than the scan when a very low threshold lets all of them in.
_FIRST_LOOK = 4096


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair.

    Args:
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels. Corners may be
            in either order.
        others: float32 `[M, 4]` in the same unit.

    Returns:
        float32 `[N, M]`; 0 where either box has no area.
    """
    low, high = _ordered(boxes)
    other_low, other_high = _ordered(others)
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
            instead (https://arxiv.org/abs/1704.04503, with the 2 that TensorFlow puts in).

    Returns:
        `(indices, scores)`: int64 `[K]` into `boxes`, and float32 `[K]` in decreasing order.
    """
    if soft_nms_sigma > 0:
        return _soft_nms(boxes, scores, score_threshold, max_outputs, soft_nms_sigma)
    candidates = np.flatnonzero(scores > np.float32(score_threshold))
    best = _best(candidates, scores, _FIRST_LOOK)
    kept = _hard_nms(boxes, best, iou_threshold, max_outputs)
    if len(kept) < max_outputs and len(best) < len(candidates):
        best = _best(candidates, scores, len(candidates))
        kept = _hard_nms(boxes, best, iou_threshold, max_outputs)
    return kept, scores[kept]


def _best(candidates: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """The `count` best candidates and all that tie with the last, best first."""
    if len(candidates) > count:
        values = scores[candidates]
        last = np.partition(values, len(values) - count)[len(values) - count]
        candidates = candidates[values >= last]
    return candidates[np.argsort(-scores[candidates], kind="stable")]


def _hard_nms(
    boxes: np.ndarray, order: np.ndarray, iou_threshold: float, max_outputs: int
) -> np.ndarray:
    kept = np.zeros(0, np.int64)
    threshold = np.float32(iou_threshold)
    for start in range(0, len(order), _BLOCK):
        if len(kept) >= max_outputs:
            break
        block = order[start : start + _BLOCK]
        block = block[~(iou(boxes[block], boxes[kept]) > threshold).any(axis=1)]
        kept = np.concatenate([kept, block[_survivors(boxes[block], threshold)]])
    return kept[:max_outputs]


def _survivors(boxes: np.ndarray, threshold: np.float32) -> np.ndarray:
    overlaps = np.triu(iou(boxes, boxes) > threshold, k=1)
    alive = np.ones(len(boxes), bool)
    for index in np.flatnonzero(overlaps.any(axis=1)):
        if alive[index]:
            alive &= ~overlaps[index]
    return alive


def _soft_nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    score_threshold: float,
    max_outputs: int,
    sigma: float,
) -> tuple[np.ndarray, np.ndarray]:
    scale, threshold = np.float32(-0.5 / sigma), np.float32(score_threshold)
    above = np.flatnonzero(scores > threshold)
    # (negative score, index, how many kept boxes it was compared with): heapq pops the smallest.
    heap = [(-scores[index], int(index), 0) for index in above]
    heapq.heapify(heap)
    kept: list[int] = []
    kept_scores: list[np.float32] = []
    while heap and len(kept) < max_outputs:
        negative, index, compared = heapq.heappop(heap)
        score = -negative
        overlaps = iou(boxes[index : index + 1], boxes[kept[compared:]])[0]
        for overlap in overlaps[::-1]:
            score *= np.exp(scale * overlap * overlap)
            if score <= threshold:
                break
        if score == -negative:
            kept.append(index)
            kept_scores.append(score)
        elif score > threshold:
            heapq.heappush(heap, (-score, index, len(kept)))
    return np.array(kept, np.int64), np.array(kept_scores, np.float32)


def _ordered(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
