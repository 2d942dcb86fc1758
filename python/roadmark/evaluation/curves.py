"""Precision, recall and F1 over the score threshold, and how far scores can be believed."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from roadmark.evaluation.matching import Matches

THRESHOLDS = np.round(np.linspace(0, 1, 101), 2)
_BINS = 10


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """A class at one score threshold, at an IoU of 0.5.

    Attributes:
        threshold: Detections with at least this score count; NaN where there is no choice, for
            lack of true positives.
        precision: Of the detections, how many are right.
        recall: Of the objects, how many are found.
        f1: Their harmonic mean.
    """

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclasses.dataclass(frozen=True)
class Curve:
    """A class over all score thresholds, at an IoU of 0.5.

    Attributes:
        best: The threshold with the highest F1, of equals the highest threshold.
        precision: At thresholds 0, 0.01, ... 1; NaN where nothing scores as much.
        recall: At the same; NaN where there is no object.
        f1: At the same; 0 where precision is undefined.
    """

    best: OperatingPoint
    precision: Sequence[float]
    recall: Sequence[float]
    f1: Sequence[float]


@dataclasses.dataclass(frozen=True)
class Bin:
    """Detections of like score.

    Attributes:
        count: How many.
        score: Their mean score; NaN where there is none.
        precision: How many of them are right at an IoU of 0.5.
    """

    count: int
    score: float
    precision: float


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Whether 0.8 means that 8 of 10 are right.

    Attributes:
        expected_error: Mean distance of score and precision over the bins, each weighed by its
            count: the expected calibration error (C. Guo et al., ICML 2017,
            https://arxiv.org/abs/1706.04599) of detections. NaN without detections.
        bins: Ten of equal width.
    """

    expected_error: float
    bins: Sequence[Bin]


def curve(matches: Matches, class_id: int) -> Curve:
    """The curve of one class."""
    own = (matches.classes == class_id) & ~matches.ignored[:, 0]
    order = np.argsort(-matches.scores[own], kind="stable")
    scores = matches.scores[own][order].astype(np.float64)
    hits = np.cumsum(matches.is_true[own, 0][order])
    objects = int(((matches.truth_classes == class_id) & ~matches.truth_crowd).sum())
    # As float32, which the scores are: 0.7 must count for a threshold of 0.7.
    grid = THRESHOLDS.astype(np.float32).astype(np.float64)
    count = np.searchsorted(-scores, -grid, side="right")
    precision, recall, f1 = _rates(np.append(0, hits)[count], count, objects)
    return Curve(
        best=_best(scores, hits, objects),
        precision=precision.tolist(),
        recall=recall.tolist(),
        f1=f1.tolist(),
    )


def calibration(matches: Matches, class_ids: Sequence[int]) -> Calibration:
    """How scores and precision agree, over the detections of these classes."""
    counted = np.isin(matches.classes, class_ids) & ~matches.ignored[:, 0]
    scores, right = matches.scores[counted].astype(np.float64), matches.is_true[counted, 0]
    place = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    bins = [_bin(scores[place == number], right[place == number]) for number in range(_BINS)]
    total = sum(part.count for part in bins)
    if not total:
        return Calibration(math.nan, bins)
    filled = (part for part in bins if part.count)
    error = sum(part.count * abs(part.score - part.precision) for part in filled) / total
    return Calibration(error, bins)


def _bin(scores: np.ndarray, right: np.ndarray) -> Bin:
    if not len(scores):
        return Bin(0, math.nan, math.nan)
    return Bin(len(scores), float(scores.mean()), float(right.mean()))


def _best(scores: np.ndarray, hits: np.ndarray, objects: int) -> OperatingPoint:
    # A threshold cannot part equal scores, so each run of them ends in one candidate.
    ends = np.flatnonzero(np.append(scores[:-1] != scores[1:], True)) if len(scores) else []
    if not len(ends) or not objects or not hits[-1]:
        return OperatingPoint(math.nan, math.nan, 0.0 if objects else math.nan, 0.0)
    precision, recall, f1 = _rates(hits[ends], np.asarray(ends) + 1, objects)
    best = int(np.argmax(f1))
    return OperatingPoint(
        float(scores[ends[best]]), float(precision[best]), float(recall[best]), float(f1[best])
    )


def _rates(
    hits: np.ndarray, count: np.ndarray, objects: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(count > 0, hits / count, np.nan)
        recall = hits / objects if objects else np.full(len(count), np.nan)
        f1 = np.where(count + objects > 0, 2 * hits / (count + objects), np.nan)
    return precision, recall, f1
