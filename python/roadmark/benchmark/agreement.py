"""How the results of two sides compare. Each takes ours, then theirs."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Arrays = dict[str, np.ndarray]

# Where both sides compute in float32, in another order.
_SCORE, _CORNER = 1e-4, 1e-3
# Of the largest value.
_ROUNDING = 1e-4
# What of the boxes or pixels may come out the other way where a value meets a threshold.
_TIES = 0.01


class Comparison(NamedTuple):
    """What was found.

    Attributes:
        says: In words for a row.
        agrees: Whether both sides did the same work, give or take rounding.
    """

    says: str
    agrees: bool

    def __str__(self) -> str:
        """For a row."""
        return self.says if self.agrees else f"RESULTS DIFFER: {self.says}"


Agreement = Callable[[Arrays, Arrays], Comparison]


def same_detections(ours: Arrays, theirs: Arrays) -> Comparison:
    """Compares boxes (normalised or pixels), scores and classes, best first."""
    count = min(len(ours["scores"]), len(theirs["scores"]))
    same = np.isclose(ours["scores"][:count], theirs["scores"][:count], rtol=_SCORE, atol=1e-6)
    same &= ours["classes"][:count] == theirs["classes"][:count]
    unit = max(1.0, float(np.abs(theirs["boxes"]).max(initial=0)))
    corners = np.isclose(ours["boxes"][:count], theirs["boxes"][:count], atol=_CORNER * unit)
    return _of(int((same & corners.all(axis=1)).sum()), len(ours["scores"]), len(theirs["scores"]))


def same_indices(ours: Arrays, theirs: Arrays) -> Comparison:
    """Compares which boxes were kept, in whatever order."""
    mine, others = set(ours["indices"].tolist()), set(theirs["indices"].tolist())
    return _of(len(mine & others), len(mine), len(others))


def close(name: str) -> Agreement:
    """Compares an array number by number."""

    def compare(ours: Arrays, theirs: Arrays) -> Comparison:
        difference = float(np.abs(ours[name] - theirs[name]).max())
        largest = float(np.abs(theirs[name]).max())
        says = f"largest difference {difference:.2g} of {largest:.3g}"
        return Comparison(says, difference <= _ROUNDING * largest)

    return compare


def same_targets(ours: Arrays, theirs: Arrays) -> Comparison:
    """Compares matches, class targets and box targets of target assignment."""
    same = int((ours["matches"] == theirs["matches"]).sum())
    matched = int((theirs["matches"] >= 0).sum())
    classes = np.array_equal(ours["class_targets"], theirs["class_targets"])
    boxes = float(np.abs(ours["box_targets"] - theirs["box_targets"]).max())
    largest = float(np.abs(theirs["box_targets"]).max())
    return Comparison(
        f"{same:,} of {theirs['matches'].size:,} matches the same ({matched:,} of them to a box), "
        f"class targets {'equal' if classes else 'different'}, largest difference of box targets "
        f"{boxes:.2g}",
        same == theirs["matches"].size and classes and boxes <= _ROUNDING * largest,
    )


def same_pixels(ours: Arrays, theirs: Arrays) -> Comparison:
    """Compares pasted masks pixel by pixel."""
    mine, others = ours["masks"], theirs["masks"]
    both, one = int((mine & others).sum()), int((mine ^ others).sum())
    return Comparison(f"{both:,} pixels set by both, {one} by one", one <= _TIES * both)


def not_comparable(why: str) -> Agreement:
    """For results that differ on purpose; they have the same names and shapes at least."""

    def compare(ours: Arrays, theirs: Arrays) -> Comparison:
        mine, others = (
            {name: array.shape for name, array in sorted(side.items())} for side in (ours, theirs)
        )
        if mine != others:
            return Comparison(f"ours are {mine}, theirs {others}", False)
        return Comparison(f"results not compared: {why}", True)

    return compare


def _of(same: int, ours: int, theirs: int) -> Comparison:
    if same == ours == theirs:
        return Comparison(f"the same {ours} boxes kept", ours > 0)
    says = f"{same} boxes kept by both, of our {ours} and their {theirs}"
    return Comparison(says, same >= (1 - _TIES) * max(ours, theirs))
