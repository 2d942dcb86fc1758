"""Divides a set into training and validation pictures, whole groups at a time."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from roadmark.data.findings import Ledger, Rule
from roadmark.data.source import SourceImage
from roadmark.errors import UserError

# The best of this many random divisions is taken, so that rare classes reach both sides.
_DRAWS = 64

Splits = dict[str, list[SourceImage]]


def split(
    images: Sequence[SourceImage],
    val_fraction: float,
    seed: int,
    group_by: str | None,
    ledger: Ledger,
) -> tuple[Splits, str]:
    """Assigns every picture to `train`, `val` or `test`.

    Where the set has both training and validation pictures, that division is kept, and pictures
    of no known split train. Else the pictures that are not for testing are divided at random:
    groups stay whole, and of several random divisions the one is taken whose share of every class
    is nearest to `val_fraction`, and that leaves neither side without a class where it can.

    Args:
        images: The pictures.
        val_fraction: Share of the pictures to validate on.
        seed: Of the division.
        group_by: Regular expression whose first group (or whole match) within a picture's name
            is its group, or None to keep the set's own groups.
        ledger: Learns of a set that cannot be divided by group, and of pictures that a divided set
            has in neither part.

    Returns:
        The pictures by split in the set's order, and one line on how they were divided.

    Raises:
        UserError: The set is too small to divide, or `group_by` is no regular expression or does
            not match a name.
    """
    named = {image.split for image in images}
    if {"train", "val"} <= named:
        return _kept(images, ledger)
    groups = _groups(images, group_by)
    pool = [index for index, image in enumerate(images) if image.split != "test"]
    kinds = sorted({groups[index] for index in pool})
    if len(pool) < 2:
        raise UserError(
            "data set",
            f"{len(pool)} pictures to divide into training and validation, expected 2 or more",
            "add pictures",
        )
    if len(kinds) == 1:
        ledger.add(Rule.ONE_GROUP, f"group {kinds[0]!r}", f"{len(pool)} pictures")
        groups = [image.name for image in images]
        kinds = sorted({groups[index] for index in pool})
    chosen = _choose([images[i] for i in pool], [groups[i] for i in pool], val_fraction, seed)
    names = ["test" if image.split == "test" else "train" for image in images]
    for index in pool:
        names[index] = "val" if groups[index] in chosen else "train"
    how = (
        f"split: {len(chosen)} of {len(kinds)} groups to val, drawn with seed {seed}"
        if len(kinds) < len(pool)
        else f"split: {len(chosen)} of {len(pool)} pictures to val, drawn with seed {seed}"
    )
    return _by_split(images, names), how


def shuffled(images: Sequence[SourceImage], seed: int) -> list[SourceImage]:
    """The pictures in a random order, so that neighbouring frames do not train together."""
    order = np.random.default_rng(seed).permutation(len(images))
    return [images[index] for index in order]


def _kept(images: Sequence[SourceImage], ledger: Ledger) -> tuple[Splits, str]:
    without = [image for image in images if image.split is None]
    for image in without:
        ledger.add(Rule.NO_SPLIT, image.where, image.name)
    how = "split: as the set has it"
    if without:
        how += f", and {len(without)} pictures of no known split to train"
    return _by_split(images, [image.split or "train" for image in images]), how


def _by_split(images: Sequence[SourceImage], names: Sequence[str]) -> Splits:
    splits: Splits = {"train": [], "val": [], "test": []}
    for image, name in zip(images, names, strict=True):
        splits[name].append(image)
    return {name: members for name, members in splits.items() if members}


def _groups(images: Sequence[SourceImage], group_by: str | None) -> list[str]:
    if group_by is None:
        return [image.group for image in images]
    return groups_by(group_by, [image.name for image in images])


def groups_by(expression: str, names: Sequence[str]) -> list[str]:
    """The group of each picture by its name.

    Args:
        expression: Regular expression whose first group (or whole match) within a picture's name
            is its group.
        names: Of the pictures.

    Raises:
        UserError: It is no regular expression, or does not match a name.
    """
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise UserError("--group_by", f"not a regular expression: {error}", "mend it") from None
    return [_group(pattern, name) for name in names]


def _group(pattern: re.Pattern, name: str) -> str:
    found = pattern.search(name)
    if found is None:
        raise UserError(
            "--group_by",
            f"{pattern.pattern!r} does not match the picture name {name!r}",
            "give an expression that matches every name, such as '^(.*)_[0-9]+'",
        )
    return (found.group(1) if pattern.groups else found.group(0)) or ""


def _choose(
    images: Sequence[SourceImage], groups: Sequence[str], val_fraction: float, seed: int
) -> set[str]:
    """The groups to validate on: at least one, never all."""
    kinds = sorted(set(groups))
    columns = {name: n for n, name in enumerate(sorted({c for i in images for c in i.classes}))}
    # Column 0 counts pictures, the others boxes by class.
    counts = np.zeros((len(kinds), 1 + len(columns)))
    row_of = {kind: row for row, kind in enumerate(kinds)}
    for image, group in zip(images, groups, strict=True):
        row = counts[row_of[group]]
        row[0] += 1
        for name, count in Counter(image.classes).items():
            row[1 + columns[name]] += count
    totals = counts.sum(axis=0)
    rng = np.random.default_rng(seed)
    draws = [_draw(counts[:, 0], val_fraction, rng) for _ in range(_DRAWS)]
    best = min(draws, key=lambda rows: _unevenness(counts[rows].sum(axis=0), totals, val_fraction))
    return {kinds[row] for row in best}


def _unevenness(held: np.ndarray, totals: np.ndarray, val_fraction: float) -> float:
    # A class that one side lacks altogether is worse than any share that is off.
    lacking = (totals > 1) & ((held == 0) | (held == totals))
    return float(np.abs(held / totals - val_fraction).sum() + lacking.sum())


def _draw(sizes: np.ndarray, val_fraction: float, rng: np.random.Generator) -> np.ndarray:
    order = rng.permutation(len(sizes))
    held = np.cumsum(sizes[order])
    wanted = val_fraction * held[-1]
    count = int(np.argmin(np.abs(held - wanted))) + 1
    return order[: min(count, len(sizes) - 1)]
