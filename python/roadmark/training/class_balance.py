"""How often pictures with rare classes are to be seen. Needs no TensorFlow."""

from collections import Counter
from collections.abc import Sequence

import numpy as np


def repeat_factors(classes: Sequence[tuple[int, ...]], threshold: float) -> np.ndarray:
    """Repeat-factor sampling, after Gupta et al. 2019 (LVIS, arXiv:1908.03195, appendix A).

    A class on a share f of the pictures wants them max(1, sqrt(threshold / f)) times as often; a
    picture is seen as often as the class on it that wants most.

    Args:
        classes: For each picture, the classes that are on it, each once.
        threshold: The share of the pictures below which a class is rare.

    Returns:
        float64 `[N]`, at least 1.
    """
    pictures = Counter(number for found in classes for number in found)
    wanted = {
        number: max(1.0, (threshold * len(classes) / count) ** 0.5)
        for number, count in pictures.items()
    }
    return np.array([max((wanted[number] for number in found), default=1.0) for found in classes])
