"""Batches of any size for a network that takes one size only."""

from collections.abc import Mapping, Sequence

import numpy as np


def split(arrays: Mapping[str, np.ndarray], size: int | None) -> list[dict[str, np.ndarray]]:
    """Cuts a batch into parts of `size`, the last filled up with zeros.

    Args:
        arrays: `[batch, ...]` each, by name.
        size: None for a network that takes any: one part.
    """
    if size is None:
        return [dict(arrays)]
    count = len(next(iter(arrays.values())))
    return [
        {name: _filled_up(array[start : start + size], size) for name, array in arrays.items()}
        for start in range(0, count, size)
    ]


def join(parts: Sequence[Mapping[str, np.ndarray]], count: int) -> dict[str, np.ndarray]:
    """Puts the outputs of the parts together again, without those of the zeros.

    Args:
        parts: `[size, ...]` each, by name.
        count: Size of the batch that was split.
    """
    if len(parts) == 1:
        return {name: array[:count] for name, array in parts[0].items()}
    return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}


def _filled_up(part: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(part)
    if not missing:
        return part
    return np.concatenate([part, np.zeros((missing, *part.shape[1:]), part.dtype)])
