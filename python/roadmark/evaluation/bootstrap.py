"""How far a metric would move on other pictures of the same kind: the bootstrap.

B. Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; percentile intervals. Frames of
one drive resemble each other, so drives are drawn and not pictures, where there are any.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from roadmark.evaluation import average_precision
from roadmark.evaluation.average_precision import Ranking

METRICS = ("mAP", "AP50")

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
    (samples,), units = _samples([rankings], groups, seed, resamples)
    intervals = {name: _interval(samples[:, number]) for number, name in enumerate(METRICS)}
    return Confidence(unit, units, resamples, seed, _LEVEL, intervals)


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much better one evaluation is than another on the same pictures.

    Attributes:
        first: Number of the one evaluation.
        second: Number of the other.
        metric: `mAP` or `AP50`.
        value: The second's less the first's.
        interval: Between what that lies in 95 of 100 samples.
    """

    first: int
    second: int
    metric: str
    value: float
    interval: Interval

    @property
    def is_real(self) -> bool:
        """Whether the interval is on one side of zero."""
        return self.interval.low > 0 or self.interval.high < 0


def differences(
    evaluations: Sequence[Sequence[Ranking]], groups: np.ndarray, seed: int, resamples: int
) -> tuple[list[Difference], list[Mapping[str, Interval]]]:
    """Differences of every two evaluations: the paired bootstrap.

    The same pictures are drawn for all, so that what makes a drive hard for every model cancels
    out, and a difference can be real though the intervals of the two overlap.

    Args:
        evaluations: The rankings of each, of the same pictures.
        groups: As for `confidence`.
        seed: Same seed, same intervals.
        resamples: Number of samples.

    Returns:
        The differences, and the intervals of each evaluation by metric.
    """
    samples, _ = _samples(evaluations, groups, seed, resamples)
    whole = np.ones(len(groups))
    values = [_metrics(rankings, whole) for rankings in evaluations]
    pairs = [
        Difference(
            first,
            second,
            name,
            float(values[second][number] - values[first][number]),
            _interval(samples[second][:, number] - samples[first][:, number]),
        )
        for first, second in itertools.combinations(range(len(evaluations)), 2)
        for number, name in enumerate(METRICS)
    ]
    own = [
        {name: _interval(columns[:, number]) for number, name in enumerate(METRICS)}
        for columns in samples
    ]
    return pairs, own


def _samples(
    evaluations: Sequence[Sequence[Ranking]], groups: np.ndarray, seed: int, resamples: int
) -> tuple[np.ndarray, int]:
    """Metrics `[evaluation, sample, metric]`, NaN with fewer than two units; number of units."""
    units = int(groups.max(initial=-1)) + 1
    generator = np.random.default_rng(seed)
    samples = np.full((len(evaluations), resamples, len(METRICS)), np.nan)
    for number in range(resamples if units > 1 else 0):
        drawn = np.bincount(generator.integers(units, size=units), minlength=units)
        for own, rankings in zip(samples, evaluations, strict=True):
            own[number] = _metrics(rankings, drawn[groups])
    return samples, units


def _metrics(rankings: Sequence[Ranking], weights: np.ndarray) -> tuple[float, float]:
    values = average_precision.mean(rankings, weights)
    return values.mean(), values[0]


def _interval(values: np.ndarray) -> Interval:
    defined = values[~np.isnan(values)]  # A sample may hold no object.
    if not len(defined):
        return Interval(float("nan"), float("nan"))
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))
