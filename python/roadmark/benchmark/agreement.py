"""How the results of two sides compare, in words for a row. Each takes ours, then theirs."""

from collections.abc import Callable

import numpy as np

Arrays = dict[str, np.ndarray]
Agreement = Callable[[Arrays, Arrays], str]

# Where both sides compute in float32, in another order.
_SCORE, _CORNER = 1e-4, 1e-3


def same_detections(ours: Arrays, theirs: Arrays) -> str:
    """Compares boxes (normalised or pixels), scores and classes, best first."""
    count = min(len(ours["scores"]), len(theirs["scores"]))
    same = np.isclose(ours["scores"][:count], theirs["scores"][:count], rtol=_SCORE, atol=1e-6)
    same &= ours["classes"][:count] == theirs["classes"][:count]
    unit = max(1.0, float(np.abs(theirs["boxes"]).max(initial=0)))
    corners = np.isclose(ours["boxes"][:count], theirs["boxes"][:count], atol=_CORNER * unit)
    return _of(int((same & corners.all(axis=1)).sum()), len(ours["scores"]), len(theirs["scores"]))


def same_indices(ours: Arrays, theirs: Arrays) -> str:
    """Compares which boxes were kept, in whatever order."""
    mine, others = set(ours["indices"].tolist()), set(theirs["indices"].tolist())
    return _of(len(mine & others), len(mine), len(others))


def close(name: str) -> Agreement:
    """Compares an array number by number."""

    def compare(ours: Arrays, theirs: Arrays) -> str:
        difference = float(np.abs(ours[name] - theirs[name]).max())
        return f"largest difference {difference:.2g} of {float(np.abs(theirs[name]).max()):.3g}"

    return compare


def same_targets(ours: Arrays, theirs: Arrays) -> str:
    """Compares matches, class targets and box targets of target assignment."""
    same = int((ours["matches"] == theirs["matches"]).sum())
    matched = int((theirs["matches"] >= 0).sum())
    classes = np.array_equal(ours["class_targets"], theirs["class_targets"])
    boxes = float(np.abs(ours["box_targets"] - theirs["box_targets"]).max())
    return (
        f"{same:,} of {theirs['matches'].size:,} matches the same ({matched:,} of them to a box), "
        f"class targets {'equal' if classes else 'different'}, largest difference of box targets "
        f"{boxes:.2g}"
    )


def same_pixels(ours: Arrays, theirs: Arrays) -> str:
    """Compares pasted masks pixel by pixel."""
    mine, others = ours["masks"], theirs["masks"]
    return f"{int((mine & others).sum()):,} pixels set by both, {int((mine ^ others).sum())} by one"


def not_comparable(why: str) -> Agreement:
    """For results that differ on purpose."""
    return lambda *_: f"results not compared: {why}"


def _of(same: int, ours: int, theirs: int) -> str:
    if same == ours == theirs:
        return f"the same {ours} boxes kept"
    return f"{same} boxes kept by both, of our {ours} and their {theirs}"
