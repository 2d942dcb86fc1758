"""The native operations as TensorFlow ops, for `tf.data`, `tf.function` and SavedModels.

TensorFlow and the library are loaded at the first call, so that importing this costs nothing and
whoever opens the OD API first decides on the Keras. A SavedModel with such ops is loaded after
`load()`. The ops run on the CPU and have no gradient.
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from roadmark.errors import UserError
from roadmark.ops.matcher import TargetAssignment

_LIBRARY = Path(__file__).with_name("_tensorflow_ops.so")
_BUILT_FOR = re.compile(rb"roadmark: built for TensorFlow ([\w.+-]+)")
_BUILD = "build the ops for the installed one: bazel build //python/roadmark/ops:tensorflow_ops"


class BatchDetections(NamedTuple):
    """What is kept in each of B pictures, best first, in tensors of a fixed size K.

    Rows from `num_detections` on are zeros.

    Attributes:
        boxes: float32 `[B, K, 4]`, `[ymin, xmin, ymax, xmax]`.
        scores: float32 `[B, K]`.
        classes: int32 `[B, K]`, from 0; a background column is no class.
        indices: int64 `[B, K]`, of the box, anchor or proposal.
        num_detections: int32 `[B]`.
        masks: float32 `[B, K, mask height, mask width]`, probabilities; None without mask logits.
    """

    boxes: Any
    scores: Any
    classes: Any
    indices: Any
    num_detections: Any
    masks: Any = None


@functools.cache
def load(path: Path = _LIBRARY) -> Any:
    """Loads the library, and with it the ops.

    Args:
        path: The library file.

    Returns:
        The module of generated functions.

    Raises:
        UserError: The library is missing, or was built for another TensorFlow.
    """
    import tensorflow as tf

    found = f"TensorFlow {tf.__version__} is installed"
    try:
        match = _BUILT_FOR.search(path.read_bytes())
    except OSError as error:
        problem = f"the ops cannot be read, and {found}: {error.strerror}"
        raise UserError(str(path), problem, _BUILD) from None
    version = match[1].decode() if match else "an unknown version"
    if _minor(version) != _minor(tf.__version__):
        raise UserError(str(path), f"built for TensorFlow {version}, but {found}", _BUILD)
    try:
        return tf.load_op_library(str(path))
    except tf.errors.OpError as error:
        problem = f"does not load, and {found}: {error.message}"
        raise UserError(str(path), problem, _BUILD) from None


def assign_targets(
    anchors: Any,
    unmatched_label: Any,
    boxes: Sequence[Any],
    labels: Sequence[Any],
    weights: Sequence[Any],
    *,
    matched_threshold: float,
    unmatched_threshold: float,
    negatives_lower_than_unmatched: bool = True,
    force_match_for_each_row: bool = False,
    scale_factors: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    negative_class_weight: float = 1.0,
) -> TargetAssignment:
    """Targets and weights of a batch of B images; see `roadmark.ops.matcher.TargetAssigner`.

    Anchors that are the same as at the call before are not arranged again.

    Args:
        anchors: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels.
        unmatched_label: float32 `[C]`.
        boxes: For each image, float32 `[M, 4]` in the anchors' unit; M may differ.
        labels: For each image, float32 `[M, C]`.
        weights: For each image, float32 `[M]`; 0 for padding.
        matched_threshold: As there, and so are the others.
        unmatched_threshold: Likewise.
        negatives_lower_than_unmatched: Likewise.
        force_match_for_each_row: Likewise.
        scale_factors: Likewise.
        negative_class_weight: Likewise.

    Returns:
        Tensors.

    Raises:
        ValueError: While a graph is traced: shapes do not fit.
        tf.errors.InvalidArgumentError: When run: shapes do not fit, a corner is not a number from
            -1e18 to 1e18, or a threshold or factor is out of range.
        UserError: As `load`.
    """
    outputs = load().roadmark_assign_targets(
        anchors=anchors,
        unmatched_label=unmatched_label,
        boxes=boxes,
        labels=labels,
        weights=weights,
        matched_threshold=matched_threshold,
        unmatched_threshold=unmatched_threshold,
        negatives_lower_than_unmatched=negatives_lower_than_unmatched,
        force_match_for_each_row=force_match_for_each_row,
        scale_factors=scale_factors,
        negative_class_weight=negative_class_weight,
    )
    return TargetAssignment(*outputs)


def nms(
    boxes: Any,
    scores: Any,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_outputs: int,
    soft_nms_sigma: float = 0.0,
) -> tuple[Any, Any]:
    """Keeps the best of boxes that overlap; see `roadmark.ops.nms.nms`.

    Args:
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels.
        scores: float32 `[N]`.
        score_threshold: As there, and so are the others.
        iou_threshold: Likewise.
        max_outputs: Likewise.
        soft_nms_sigma: Likewise.

    Returns:
        `(indices, scores)`: int64 and float32 `[K]`, best first.

    Raises:
        ValueError: As `batch_multiclass_nms`, and so are the others.
        tf.errors.InvalidArgumentError: Likewise.
        UserError: Likewise.
    """
    import tensorflow as tf

    indices, _, kept_scores = batched_nms(
        boxes,
        scores,
        tf.zeros(tf.shape(scores), tf.int32),
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_per_class=max_outputs,
        max_total=max_outputs,
        soft_nms_sigma=soft_nms_sigma,
    )
    return indices, kept_scores


def batched_nms(
    boxes: Any,
    scores: Any,
    classes: Any,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float = 0.0,
) -> tuple[Any, Any, Any]:
    """Like `nms`, each class for itself; see `roadmark.ops.nms.batched_nms`.

    Args:
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels.
        scores: float32 `[N]`.
        classes: int32 `[N]`, 0 and up.
        score_threshold: As there, and so are the others.
        iou_threshold: Likewise.
        max_per_class: Likewise.
        max_total: Likewise.
        soft_nms_sigma: Likewise.

    Returns:
        `(indices, classes, scores)`: int64, int32 and float32 `[K]`, best first.

    Raises:
        ValueError: As `batch_multiclass_nms`, and so are the others.
        tf.errors.InvalidArgumentError: Likewise.
        UserError: Likewise.
    """
    kept = load().roadmark_batched_nms(
        boxes=boxes,
        scores=scores,
        classes=classes,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_per_class=max_per_class,
        max_total=max_total,
        soft_nms_sigma=soft_nms_sigma,
    )
    return kept.kept_indices, kept.kept_classes, kept.kept_scores


def batch_multiclass_nms(
    boxes: Any,
    scores: Any,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    class_agnostic: bool = False,
    max_candidates: int = 0,
    soft_nms_sigma: float = 0.0,
) -> BatchDetections:
    """Suppresses the boxes of B pictures; see `roadmark.ops.nms.multiclass_nms`.

    TensorFlow's threads share the pictures.

    Args:
        boxes: float32 `[B, N, 4]`, or `[B, N, C, 4]` with a box per class; `[ymin, xmin, ymax,
            xmax]`, normalised or pixels.
        scores: float32 `[B, N, C]`.
        score_threshold: As there, and so are the others.
        iou_threshold: Likewise.
        max_per_class: Likewise.
        max_total: Likewise; the outputs have room for so many.
        class_agnostic: Likewise.
        max_candidates: Likewise.
        soft_nms_sigma: Likewise.

    Returns:
        The kept boxes in the unit of `boxes`.

    Raises:
        ValueError: While a graph is traced: shapes do not fit.
        tf.errors.InvalidArgumentError: When run: shapes do not fit, a box has a NaN corner, or a
            threshold or limit is out of range; the message names the argument.
        UserError: As `load`.
    """
    return BatchDetections(
        *load().roadmark_batch_multiclass_nms(
            boxes=boxes,
            scores=scores,
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            max_per_class=max_per_class,
            max_total=max_total,
            class_agnostic=class_agnostic,
            max_candidates=max_candidates,
            soft_nms_sigma=soft_nms_sigma,
        )
    )


def postprocess(
    class_logits: Any,
    box_encodings: Any,
    anchors: Any,
    *,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    counts: Any = None,
    windows: Any = None,
    mask_logits: Any = None,
    scale_factors: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    score_converter: str = "sigmoid",
    logit_scale: float = 1.0,
    background_column: bool = False,
    class_agnostic: bool = False,
    soft_nms_sigma: float = 0.0,
) -> BatchDetections:
    """Raw outputs of B pictures to their detections; see `roadmark.ops.postprocess.postprocess`.

    TensorFlow's threads share the pictures.

    Args:
        class_logits: float32 `[B, N, C]`, or with a background column `[B, N, C + 1]`.
        box_encodings: float32 `[B, N, 4]`, or `[B, N, 1 or C, 4]`, of the Faster R-CNN box coder.
        anchors: float32 `[N, 4]` anchors or `[B, N, 4]` proposals, `[ymin, xmin, ymax, xmax]`
            normalised to the network's input.
        score_threshold: Drops boxes with this score or less.
        iou_threshold: A box that overlaps a kept one of its class by more than this is dropped.
        max_per_class: Limit per class; plays no part when class-agnostic.
        max_total: Limit in all; the outputs have room for so many.
        counts: int32 `[B]`, how many of the N rows are real, from the first; by default all.
        windows: float32 `[B, 2]`, height and width of the part of the network's input that the
            picture fills, in 0 to 1; by default all of it.
        mask_logits: float32 `[B, N, height, width]`, or `[B, N, 1 or C, height, width]`.
        scale_factors: The box coder's, of y, x, height and width.
        score_converter: `identity`, `sigmoid` or `softmax`.
        logit_scale: Logits are divided by it first.
        background_column: Whether column 0 of the logits is the background.
        class_agnostic: Each box has its best class only and suppresses those of others.
        soft_nms_sigma: See `roadmark.ops.nms.nms`.

    Returns:
        Boxes normalised to the picture and clipped to it.

    Raises:
        ValueError: While a graph is traced: shapes do not fit, or there is no such converter.
        tf.errors.InvalidArgumentError: When run: shapes do not fit, or a value is out of range;
            the message names the argument.
        UserError: As `load`.
    """
    import tensorflow as tf

    class_logits = tf.convert_to_tensor(class_logits)
    shape = tf.shape(class_logits)
    pictures, rows = shape[0], shape[1]
    *detections, masks = load().roadmark_postprocess(
        class_logits=class_logits,
        box_encodings=box_encodings,
        anchors=anchors,
        counts=tf.fill([pictures], rows) if counts is None else counts,
        windows=tf.ones([pictures, 2]) if windows is None else windows,
        mask_logits=[] if mask_logits is None else [mask_logits],
        scale_factors=scale_factors,
        score_converter=score_converter,
        logit_scale=logit_scale,
        background_column=background_column,
        class_agnostic=class_agnostic,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_per_class=max_per_class,
        max_total=max_total,
        soft_nms_sigma=soft_nms_sigma,
    )
    return BatchDetections(*detections, *masks)


def _minor(version: str) -> str:
    # Patch releases keep the binary interface.
    return ".".join(version.split(".")[:2])
