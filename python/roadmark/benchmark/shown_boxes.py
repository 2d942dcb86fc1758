"""Whether two sides show the same boxes on the frames of a clip."""

import numpy as np

from roadmark.benchmark.agreement import Arrays, Comparison
from roadmark.ops.nms import iou

# A box of the other side stands for one that it overlaps so much, as in COCO's AP50.
_SAME = 0.5
# A score moves by so much in bf16, or where another decoder makes a picture a grey level darker.
_NEAR = 0.02
# Of all boxes: what must have a partner, and what may have none that is not near the threshold.
_PAIRED, _FAR = 0.9, 0.02


def compare(ours: Arrays, theirs: Arrays, frames: int, threshold: float) -> Comparison:
    """Pairs the boxes of each frame one to one, by class and an IoU of 0.5 or more.

    Args:
        ours: `frame` int `[N]`, from 0; `boxes` float32 `[N, 4]` in pixels; `classes` int `[N]`;
            `scores` float32 `[N]`.
        theirs: Likewise.
        frames: How many the clip has.
        threshold: The score above which boxes are shown.
    """
    shown = len(ours["frame"]) + len(theirs["frame"])
    alone = [_scores_alone(ours, theirs, frame) for frame in range(frames)]
    unmatched = np.concatenate(alone)
    share = 1 - len(unmatched) / shown if shown else 0.0
    says = (
        f"above {threshold:.4g} ours shows {len(ours['frame']):,} boxes, theirs "
        f"{len(theirs['frame']):,}, {share:.1%} of them matched by class and IoU >= {_SAME:g}; all "
        f"matched in {sum(not len(one) for one in alone):,} of {frames:,} frames"
    )
    near = int((unmatched <= threshold + _NEAR).sum())
    if len(unmatched):
        says += f"; {near:,} of {len(unmatched):,} unmatched are within {_NEAR:g} of the threshold"
    return Comparison(says, share >= _PAIRED and len(unmatched) - near <= _FAR * shown)


def _scores_alone(ours: Arrays, theirs: Arrays, frame: int) -> np.ndarray:
    """Of the boxes in a frame that either side shows alone."""
    sides = [_of_frame(side, frame) for side in (ours, theirs)]
    alone = zip(sides, _unmatched(*sides), strict=True)
    return np.concatenate([side["scores"][is_alone] for side, is_alone in alone])


def _of_frame(side: Arrays, frame: int) -> Arrays:
    here = side["frame"] == frame
    return {name: side[name][here] for name in ("boxes", "classes", "scores")}


def _unmatched(mine: Arrays, others: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Which boxes of either side stand alone; those that overlap most are paired first."""
    same_class = mine["classes"][:, None] == others["classes"]
    overlap = np.where(same_class, iou(mine["boxes"], others["boxes"]), 0)
    alone = np.ones(len(mine["boxes"]), bool), np.ones(len(others["boxes"]), bool)
    rows, columns = np.nonzero(overlap >= _SAME)
    for index in np.argsort(-overlap[rows, columns], kind="stable"):
        row, column = rows[index], columns[index]
        if alone[0][row] and alone[1][column]:
            alone[0][row] = alone[1][column] = False
    return alone
