"""Average precision of matched detections, of all pictures or of any weighting of them.

The interpolation is COCO's: precision, made to fall with recall, at 101 recalls
(`COCOeval.accumulate`). Weights stand for how often a picture is in the sample, so that a bootstrap
need not match again.
"""

from collections.abc import Iterable

import numpy as np

from roadmark.evaluation.matching import IOU_THRESHOLDS, Matches

_RECALLS = np.linspace(0.0, 1.0, 101)


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
        for number, hits in enumerate(self._hits):
            ignored = self._ignored[:, number]
            counted = np.cumsum(np.where(ignored, 0, share)) if ignored.any() else seen
            values[number] = interpolated(np.cumsum(share[hits]), counted[hits], positives)
        return values


def interpolated(hits: np.ndarray, seen: np.ndarray, positives: float) -> float:
    """COCO's AP of one class at one IoU threshold.

    Args:
        hits: `[T]`, weight of the true positives up to each true positive, best first.
        seen: `[T]`, weight of all detections up to each true positive.
        positives: Weight of the objects; more than 0.
    """
    if not len(hits):
        return 0.0
    precision = hits / np.maximum(seen, np.spacing(1.0))
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(hits / positives, _RECALLS, side="left")
    return float(falling[at[at < len(falling)]].sum() / len(_RECALLS))


def mean(rankings: Iterable[Ranking], weights: np.ndarray) -> np.ndarray:
    """AP at each of `IOU_THRESHOLDS`, float64 `[10]`, averaged over the classes with objects.

    NaN where there is no object at all; COCO's mAP is the mean of the ten.
    """
    values = np.array([ranking.average_precision(weights) for ranking in rankings])
    defined = values[~np.isnan(values).any(axis=1)] if len(values) else values
    return defined.mean(axis=0) if len(defined) else np.full(len(IOU_THRESHOLDS), np.nan)
