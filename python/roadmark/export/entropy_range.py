"""Ranges of activations for int8 by relative entropy.

S. Migacz, "8-bit Inference with TensorRT" (GTC 2017, S7310): of all magnitudes at which a tensor
could be cut off, the one is taken whose 128 levels say most about the values that were seen.
"""

from typing import Any

import numpy as np
from nncf.common.tensor_statistics.collectors import HistogramAggregator
from nncf.quantization.algorithms.min_max import algorithm

# Of a signed byte on one side of 0.
LEVELS = 128
# Bins between two magnitudes that are tried; a 256th of the range.
_STEP = 8


class EntropyAggregator(HistogramAggregator):
    """nncf's histogram of a tensor, cut by relative entropy in place of squared error."""

    def _non_linear_param_search(self) -> tuple[float, float]:
        counts, low, high = np.asarray(self.histogram.data), self.min_val, self.max_val
        if low == high:
            return low, high
        largest = magnitude(counts, low, high)
        return max(low, -largest), min(high, largest)


def replace_squared_error() -> None:
    """Has nncf's HISTOGRAM ranges go by entropy in this process; nncf has no way to ask for it."""
    made: Any = algorithm
    made.HistogramAggregator = EntropyAggregator


def magnitude(counts: np.ndarray, low: float, high: float) -> float:
    """Where to cut a tensor off.

    Args:
        counts: Of its values in equal bins from `low` to `high`.
        low: The smallest value.
        high: The largest, above `low`.
    """
    width = (high - low) / len(counts)
    largest = max(abs(low), abs(high))
    centres = np.abs(low + width * (np.arange(len(counts)) + 0.5))
    folded, _ = np.histogram(centres, round(largest / width), (0, largest), weights=counts)
    # 0 is exact whatever the range; behind a ReLU it would drown all other values.
    folded[0] = folded[1]
    tried = [*range(LEVELS, len(folded), _STEP), len(folded)]
    best = min(tried, key=lambda bins: divergence(folded, bins))
    return largest * best / len(folded)


def divergence(counts: np.ndarray, bins: int) -> float:
    """What is lost (Kullback-Leibler, in nats) where values are cut off and then have 128 levels.

    Args:
        counts: By magnitude, from 0 on.
        bins: How many of them are kept; what lies above is counted in the last one.
    """
    kept = counts[:bins].astype(np.float64)
    level = np.arange(bins) * LEVELS // bins
    seen = kept > 0
    share = np.bincount(level, kept, LEVELS) / np.maximum(np.bincount(level, seen, LEVELS), 1)
    said = np.where(seen, share[level], 0.0)
    kept[-1] += counts[bins:].sum()
    if not said.sum() or np.any((kept > 0) & (said == 0)):
        return np.inf
    found = kept > 0
    kept, said = kept[found] / kept.sum(), said[found] / said.sum()
    return float(np.sum(kept * np.log(kept / said)))
