"""The native operations as TensorFlow ops, for `tf.data`, `tf.function` and SavedModels.

TensorFlow and the library are loaded at the first call, so that importing this costs nothing and
whoever opens the OD API first decides on the Keras. A SavedModel with such ops is loaded after
`load()`. The ops run on the CPU and have no gradient.
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roadmark.errors import UserError
from roadmark.ops.matcher import TargetAssignment

_LIBRARY = Path(__file__).with_name("_tensorflow_ops.so")
_BUILT_FOR = re.compile(rb"roadmark: built for TensorFlow ([\w.+-]+)")
_BUILD = "build it for this one: bazel build //python/roadmark/ops:tensorflow_ops"


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
        raise UserError(str(path), f"the ops cannot be read: {error.strerror}", _BUILD) from None
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


def _minor(version: str) -> str:
    # Patch releases keep the binary interface.
    return ".".join(version.split(".")[:2])
