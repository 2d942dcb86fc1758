"""Arg-max matching of anchors with ground truth, and the targets that a detector is trained on.

The results are those of the OD API's `ArgMaxMatcher` over `IouSimilarity`, `FasterRcnnBoxCoder`
and `batch_assign` (`object_detection/core/target_assigner.py`): matches and weights exactly, box
targets within 2 ulp. The matrix of anchors by boxes is never formed.
"""

from typing import Any, NamedTuple

import numpy as np

from roadmark.ops import _native

UNMATCHED = -1
IGNORED = -2


class TargetAssignment(NamedTuple):
    """Targets and weights of B images and N anchors: arrays, or tensors of a TensorFlow op.

    Attributes:
        class_targets: float32 `[B, N, C]`: the label of the matched box; the unmatched label
            where there is none.
        class_weights: float32 `[B, N]`, for all C classes of an anchor: the matched box's weight,
            the negative class weight where unmatched, 0 where ignored.
        box_targets: float32 `[B, N, 4]`: the matched box as `roadmark.ops.box_coder` encodes it;
            0 where there is none.
        box_weights: float32 `[B, N]`: the matched box's weight; 0 where there is none.
        matches: int32 `[B, N]`: number of the matched box, `UNMATCHED` or `IGNORED`.
    """

    class_targets: Any
    class_weights: Any
    box_targets: Any
    box_weights: Any
    matches: Any


class TargetAssigner:
    """Assigns ground truth to anchors that are arranged once, for quick access.

    An anchor is matched to the box of its largest IoU (the first of equal ones) where that is
    `matched_threshold` or more, unmatched below `unmatched_threshold`, and ignored in between.
    A forced match comes before that: a box with weight above 0 gets the (first) anchor of its
    largest IoU, and of two boxes that claim one anchor the first gets it. A box that overlaps no
    anchor claims anchor 0. Boxes without area, with which batches are padded, cost nothing; with
    weight 0 they change nothing. An inverted box or anchor overlaps nothing.

    Args:
        anchors: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels; copied.
        unmatched_label: float32 `[C]`: class target of anchors without a box.
        matched_threshold: IoU, up to 1.
        unmatched_threshold: IoU from 0 to `matched_threshold`.
        negatives_lower_than_unmatched: If not, anchors below `unmatched_threshold` are ignored and
            those between the thresholds unmatched.
        force_match_for_each_row: Whether every box gets an anchor.
        scale_factors: Of the box coder: y, x, height and width.
        negative_class_weight: Of unmatched anchors.

    Raises:
        ValueError: An argument has another shape or dtype, a corner is not a number from -1e18 to
            1e18, or a threshold or factor is out of range; the message names it.
    """

    def __init__(
        self,
        anchors: np.ndarray,
        unmatched_label: np.ndarray,
        *,
        matched_threshold: float,
        unmatched_threshold: float,
        negatives_lower_than_unmatched: bool = True,
        force_match_for_each_row: bool = False,
        scale_factors: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0),
        negative_class_weight: float = 1.0,
    ):
        self._native = _native.TargetAssigner(
            anchors,
            unmatched_label,
            matched_threshold=matched_threshold,
            unmatched_threshold=unmatched_threshold,
            negatives_lower_than_unmatched=negatives_lower_than_unmatched,
            force_match_for_each_row=force_match_for_each_row,
            scale_factors=scale_factors,
            negative_class_weight=negative_class_weight,
        )

    def assign(
        self, boxes: np.ndarray, labels: np.ndarray, weights: np.ndarray, *, threads: int = 1
    ) -> TargetAssignment:
        """Assigns the ground truth of a batch. Other threads of Python run meanwhile.

        Args:
            boxes: float32 `[B, M, 4]`, `[ymin, xmin, ymax, xmax]`, in the anchors' unit.
            labels: float32 `[B, M, C]`, for instance one-hot.
            weights: float32 `[B, M]`; 0 for padding.
            threads: Images are dealt out to so many threads.

        Returns:
            Targets and weights.

        Raises:
            ValueError: An argument has another shape or dtype, or a corner is not a number from
                -1e18 to 1e18; the message names it.
        """
        return TargetAssignment(*self._native.assign(boxes, labels, weights, threads=threads))
