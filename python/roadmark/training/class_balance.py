"""How often pictures with rare classes, and mined ones, are to be seen. Needs no TensorFlow."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadmark.errors import UserError
from roadmark.training.recipe import Recipe
from roadmark.training.record_index import RecordIndex

# `evaluate --mine` names its records so.
MINED = "mined-"


def repeats(index: RecordIndex, recipe: Recipe) -> np.ndarray | None:
    """How often each example is to be seen in an epoch.

    Returns:
        float64 `[N]`, at least 1; None for once each.

    Raises:
        UserError: As `mined_factors`.
    """
    factors = []
    if recipe.repeat_threshold:
        factors.append(repeat_factors(index.classes, recipe.repeat_threshold))
    if recipe.mined > 1:
        factors.append(mined_factors(index.paths, index.files, recipe.mined))
    return np.prod(factors, axis=0) if factors else None


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


def mined_factors(paths: Sequence[Path], files: np.ndarray, weight: float) -> np.ndarray:
    """How often pictures of files named `mined-*` are to be seen as against the others.

    Args:
        paths: The files.
        files: int32 `[N]`, number of the file of each picture.
        weight: Of those in mined files.

    Returns:
        float64 `[N]`.

    Raises:
        UserError: No file is named so.
    """
    is_mined = np.array([path.name.startswith(MINED) for path in paths])
    if not is_mined.any():
        raise UserError(
            "recipe.mined", f"found {weight:g}, but no training records named {MINED}*",
            "give the records of evaluate --mine too: --train_records='...,runs/x/mined/mined-*'",
        )  # fmt: skip
    return np.where(is_mined[files], float(weight), 1.0)
