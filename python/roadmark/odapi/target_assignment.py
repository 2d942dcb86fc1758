"""Training targets by the native op instead of the OD API's graph, with the same results.

The graph compares every anchor with every box and copies the outcome several times over; the op
(`roadmark.ops.tensorflow_ops.assign_targets`) looks only where a box can overlap an anchor.
"""

from collections.abc import Sequence
from typing import Any

from roadmark.errors import UserError
from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection.box_coders import faster_rcnn_box_coder  # noqa: E402
from object_detection.core import region_similarity_calculator, target_assigner  # noqa: E402
from object_detection.matchers import argmax_matcher  # noqa: E402
from object_detection.meta_architectures import ssd_meta_arch  # noqa: E402

from roadmark.ops import tensorflow_ops  # noqa: E402


def use_native_op(model: Any) -> str | None:
    """Has the native op assign the model's training targets, where it can.

    Args:
        model: A detection model.

    Returns:
        None, or in a few words why the OD API's graph goes on assigning them.
    """
    reason = _why_not(model)
    if reason is None:
        # An attribute of the object hides the method of its class.
        model._assign_targets = NativeTargetAssignment(model)
    return reason


def _why_not(model: Any) -> str | None:
    if type(model) is not ssd_meta_arch.SSDMetaArch:
        return f"the native op serves SSD models, this is a {type(model).__name__}"
    assigner = model._target_assigner
    parts = (
        (assigner, target_assigner.TargetAssigner),
        (assigner._similarity_calc, region_similarity_calculator.IouSimilarity),
        (assigner._matcher, argmax_matcher.ArgMaxMatcher),
        (assigner._box_coder, faster_rcnn_box_coder.FasterRcnnBoxCoder),
    )
    for part, expected in parts:
        if type(part) is not expected:
            return f"the native op knows {expected.__name__}, the config has {type(part).__name__}"
    if model._use_confidences_as_targets:
        return "the native op does not know use_confidences_as_targets"
    try:
        tensorflow_ops.load()
    except UserError as error:
        return str(error)
    return None


class NativeTargetAssignment:
    """Does what `SSDMetaArch._assign_targets` does.

    One thing differs: the weights of class targets are `[B, N, 1]`, which losses broadcast, instead
    of the same weight repeated for every class.

    Args:
        model: The model whose method this replaces.
    """

    def __init__(self, model: Any):
        self._model = model
        assigner = model._target_assigner
        matcher = assigner._matcher
        # Without thresholds every anchor is matched, as with thresholds of 0.
        self._options = {
            "matched_threshold": matcher._matched_threshold or 0.0,
            "unmatched_threshold": matcher._unmatched_threshold or 0.0,
            "negatives_lower_than_unmatched": matcher._negatives_lower_than_unmatched,
            "force_match_for_each_row": matcher._force_match_for_each_row,
            "scale_factors": assigner._box_coder._scale_factors or (1.0, 1.0, 1.0, 1.0),
            "negative_class_weight": assigner._negative_class_weight,
        }

    def __call__(
        self,
        groundtruth_boxes_list: Sequence[tf.Tensor],
        groundtruth_classes_list: Sequence[tf.Tensor],
        groundtruth_keypoints_list: Sequence[tf.Tensor] | None = None,
        groundtruth_weights_list: Sequence[tf.Tensor] | None = None,
        groundtruth_confidences_list: Sequence[tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Assigns the ground truth of a batch of B images to the model's N anchors.

        Args:
            groundtruth_boxes_list: For each image, float32 `[M, 4]`, normalised.
            groundtruth_classes_list: For each image, float32 one-hot `[M, C]`.
            groundtruth_keypoints_list: Plays no part, as with the OD API's Faster R-CNN box coder.
            groundtruth_weights_list: For each image, float32 `[M]`; 1 without.
            groundtruth_confidences_list: Plays no part.

        Returns:
            Class targets `[B, N, C]` (one more with a background column), their weights
            `[B, N, 1]`, box targets `[B, N, 4]`, their weights `[B, N]`, and matches `[B, N]`.
        """
        del groundtruth_keypoints_list, groundtruth_confidences_list
        labels = groundtruth_classes_list
        if self._model._add_background_class:
            labels = [tf.pad(one_hot, [[0, 0], [1, 0]]) for one_hot in labels]
        weights = groundtruth_weights_list
        if weights is None:
            weights = [tf.ones(tf.shape(boxes)[:1]) for boxes in groundtruth_boxes_list]
        targets = tensorflow_ops.assign_targets(
            self._model.anchors.get(),
            self._model._unmatched_class_label,
            groundtruth_boxes_list,
            labels,
            weights,
            **self._options,
        )
        return targets._replace(class_weights=targets.class_weights[..., tf.newaxis])
