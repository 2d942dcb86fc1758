"""How far a metric would move on other pictures of the same kind: the bootstrap.

B. Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; percentile intervals. Frames of
one drive resemble each other, so drives are drawn and not pictures, where there are any.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from roadmark.evaluation import average_precision
from roadmark.evaluation.average_precision import Ranking

_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """Between what a metric lies in 95 of 100 samples.

    Attributes:
        low: The 2.5th percentile; NaN with fewer than two units.
        high: The 97.5th percentile.
    """

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Confidence:
    """Intervals of COCO's mAP and AP50.

    Attributes:
        unit: What was drawn: `drives` or `pictures`.
        units: How many there are; below ten, take the interval for a rough guess.
        resamples: Number of samples.
        seed: Of the draws.
        level: 0.95.
        intervals: By metric, `mAP` and `AP50`.
    """

    unit: str
    units: int
    resamples: int
    seed: int
    level: float
    intervals: Mapping[str, Interval]


def confidence(
    rankings: Sequence[Ranking], groups: np.ndarray, unit: str, seed: int, resamples: int
) -> Confidence:
    """Draws groups of pictures with replacement and computes the metrics of each sample.

    Args:
        rankings: Of each class.
        groups: int `[pictures]`, group of each picture, 0 to the number of groups - 1.
        unit: What a group is, for the reader.
        seed: Same seed, same intervals.
        resamples: Number of samples.
    """
    units = int(groups.max(initial=-1)) + 1
    generator = np.random.default_rng(seed)
    samples = np.empty((resamples, 2))
    for number in range(resamples if units > 1 else 0):
        drawn = np.bincount(generator.integers(units, size=units), minlength=units)
        values = average_precision.mean(rankings, drawn[groups])
        samples[number] = values.mean(), values[0]
    tail = (1 - _LEVEL) / 2
    intervals = {
        name: _interval(column, tail) if units > 1 else Interval(float("nan"), float("nan"))
        for name, column in zip(("mAP", "AP50"), samples.T, strict=True)
    }
    return Confidence(unit, units, resamples, seed, _LEVEL, intervals)


def _interval(values: np.ndarray, tail: float) -> Interval:
    defined = values[~np.isnan(values)]  # A sample may hold no object.
    if not len(defined):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))
