"""Average precision of matched detections, of all pictures or of any weighting of them.

The interpolation is COCO's: precision, made to fall with recall, at 101 recalls
(`COCOeval.accumulate`). Weights stand for how often a picture is in the sample, so that a bootstrap
need not match again.
"""

from collections.abc import Iterable

import numpy as np

from roadmark.evaluation.matching import IOU_THRESHOLDS, Matches

RECALLS = np.linspace(0.0, 1.0, 101)


class Ranking:
    """The detections of one class, best first.

    Args:
        matches: The evaluation.
        class_id: The class.
    """

    def __init__(self, matches: Matches, class_id: int):
        own = np.flatnonzero(matches.classes == class_id)
        order = own[np.argsort(-matches.scores[own], kind="stable")]
        self._image = matches.image[order]
        self._ignored = matches.ignored[order]
        self._hits = [np.flatnonzero(column) for column in matches.is_true[order].T]
        objects = (matches.truth_classes == class_id) & ~matches.truth_crowd
        self._truth_image = matches.truth_image[objects]

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """AP at each of `IOU_THRESHOLDS`, float64 `[10]`; NaN where no object has weight.

        Args:
            weights: `[pictures]`, how often each picture counts.
        """
        positives = weights[self._truth_image].sum()
        if positives <= 0:
            return np.full(len(IOU_THRESHOLDS), np.nan)
        share = weights[self._image].astype(np.float64)
        seen = np.cumsum(share)
        values = np.empty(len(IOU_THRESHOLDS))
        for number in range(len(IOU_THRESHOLDS)):
            values[number] = interpolated(*self._counts(share, seen, number), positives)
        return values

    def precision_at_recalls(self) -> np.ndarray:
        """COCO's precision at an IoU of 0.5, float64 `[101]` at `RECALLS`; NaN without objects."""
        if not len(self._truth_image):
            return np.full(len(RECALLS), np.nan)
        share = np.ones(len(self._image))
        counts = self._counts(share, np.cumsum(share), 0)
        return precision_at_recalls(*counts, len(self._truth_image))

    def _counts(
        self, share: np.ndarray, seen: np.ndarray, number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weight of the true positives, and of all detections, up to each true positive."""
        hits, ignored = self._hits[number], self._ignored[:, number]
        counted = np.cumsum(np.where(ignored, 0, share)) if ignored.any() else seen
        return np.cumsum(share[hits]), counted[hits]


def interpolated(hits: np.ndarray, seen: np.ndarray, positives: float) -> float:
    """COCO's AP of one class at one IoU threshold: the mean of `precision_at_recalls`."""
    return float(precision_at_recalls(hits, seen, positives).sum() / len(RECALLS))


def precision_at_recalls(hits: np.ndarray, seen: np.ndarray, positives: float) -> np.ndarray:
    """COCO's precision, float64 `[101]` at `RECALLS`, of one class at one IoU threshold.

    Args:
        hits: `[T]`, weight of the true positives up to each true positive, best first.
        seen: `[T]`, weight of all detections up to each true positive.
        positives: Weight of the objects; more than 0.
    """
    found = np.zeros(len(RECALLS))
    if not len(hits):
        return found
    precision = hits / np.maximum(seen, np.spacing(1.0))
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(hits / positives, RECALLS, side="left")
    reached = at < len(falling)
    found[reached] = falling[at[reached]]
    return found


def mean(rankings: Iterable[Ranking], weights: np.ndarray) -> np.ndarray:
    """AP at each of `IOU_THRESHOLDS`, float64 `[10]`, averaged over the classes with objects.

    NaN where there is no object at all; COCO's mAP is the mean of the ten.
    """
    values = np.array([ranking.average_precision(weights) for ranking in rankings])
    defined = values[~np.isnan(values).any(axis=1)] if len(values) else values
    return defined.mean(axis=0) if len(defined) else np.full(len(IOU_THRESHOLDS), np.nan)
