"""Which example stands at which position of the endless stream that training reads."""

import functools

import numpy as np


class ExampleOrder:
    """A fresh shuffle of all examples per epoch, computed from the seed and the epoch alone.

    Args:
        count: Number of examples, at least 1.
        seed: Any non-negative integer.
        repeats: float64 `[count]`, how often each example is to be seen in an epoch, at least 1;
            fractions come true on average. None for once each.

    Attributes:
        epoch: Positions of an epoch.
    """

    def __init__(self, count: int, seed: int, repeats: np.ndarray | None = None):
        self.epoch = count if repeats is None else round(repeats.sum())

        def order(epoch: int) -> np.ndarray:
            rng = np.random.default_rng([seed, epoch])
            shuffled = rng.permutation(count)
            return shuffled if repeats is None else _repeated(shuffled, repeats, self.epoch, rng)

        # Threads that prepare batches may be on both sides of an epoch's end, and mosaics take
        # their pictures from the first epoch.
        self._order = functools.lru_cache(maxsize=4)(order)

    def example_at(self, position: int) -> int:
        """The number of the example at a position, from 0."""
        epoch, place = divmod(position, self.epoch)
        return int(self._order(epoch)[place])


def _repeated(
    shuffled: np.ndarray, repeats: np.ndarray, length: int, rng: np.random.Generator
) -> np.ndarray:
    """Systematic sampling: each example as often as wanted, rounded down or up, `length` in all."""
    shares = repeats[shuffled]
    ends = np.cumsum(shares * (length / shares.sum()))
    places = np.searchsorted(ends, np.arange(length) + rng.random(), side="right")
    return rng.permutation(shuffled[np.minimum(places, len(shuffled) - 1)])
