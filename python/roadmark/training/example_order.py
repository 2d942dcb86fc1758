"""Which example stands at which position of the endless stream that training reads."""

import functools

import numpy as np


class ExampleOrder:
    """A fresh shuffle of all examples per epoch, computed from the seed and the epoch alone.

    Args:
        count: Number of examples, at least 1.
        seed: Any non-negative integer.
    """

    def __init__(self, count: int, seed: int):
        self._count = count
        # Threads that prepare batches may be on both sides of an epoch's end.
        self._permutation = functools.lru_cache(maxsize=3)(
            lambda epoch: np.random.default_rng([seed, epoch]).permutation(count)
        )

    def example_at(self, position: int) -> int:
        """The number of the example at a position, from 0."""
        epoch, place = divmod(position, self._count)
        return int(self._permutation(epoch)[place])
