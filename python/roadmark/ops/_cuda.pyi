# Arrays are in CUDA memory: anything with DLPack or __cuda_array_interface__; roadmark.ops.cuda has
# their shapes.
from collections.abc import Sequence
from typing import Any

def annotate_workspace_bytes(capacity: int, label_length: int) -> int: ...
def annotate(
    planes: tuple[Any, ...],
    *,
    luma_weights: tuple[float, float],
    full_range: bool,
    boxes: Any,
    count: Any | None,
    colours: Any,
    text_colours: Any,
    labels: Any,
    masks: Any | None,
    trail_points: Any | None,
    trail_ends: Any | None,
    glyphs: Any,
    coverage: Any,
    line_height: int,
    line_width: int,
    trail_width: int,
    margin: int,
    opacity: int,
    mask_opacity: int,
    workspace: Any,
    stream: Any,
) -> None: ...
def encode_boxes(
    boxes: Any, anchors: Any, scale_factors: Sequence[float], *, out: Any, stream: Any
) -> None: ...
def decode_boxes(
    encodings: Any, anchors: Any, scale_factors: Sequence[float], *, out: Any, stream: Any
) -> None: ...
def nms_workspace_bytes(
    count: int, num_classes: int, *, max_per_class: int, max_total: int, soft_nms_sigma: float
) -> int: ...
def nms(
    boxes: Any,
    scores: Any,
    classes: Any | None,
    *,
    num_classes: int,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float,
    out: tuple[Any, ...],
    workspace: Any,
    stream: Any,
) -> None: ...
def multiclass_nms_workspace_bytes(
    images: int,
    count: int,
    num_classes: int,
    *,
    class_agnostic: bool,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float,
) -> int: ...
def multiclass_nms(
    boxes: Any,
    scores: Any,
    *,
    class_agnostic: bool,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    max_candidates: int,
    soft_nms_sigma: float,
    out: tuple[Any, ...],
    workspace: Any,
    stream: Any,
) -> None: ...
def postprocess(
    class_logits: Any,
    box_encodings: Any,
    anchors: Any,
    *,
    mask_logits: Any | None,
    windows: Any,
    counts: Any | None,
    scale_factors: Sequence[float],
    score_converter: str,
    logit_scale: float,
    background_column: bool,
    class_agnostic: bool,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float,
    out: tuple[Any, ...] | None,
    workspace: Any | None,
    stream: Any,
) -> int: ...
def preprocess(
    planes: tuple[Any, ...],
    *,
    matrix: str,
    full_range: bool,
    resized: tuple[int, int],
    mean: Sequence[float],
    scale: Sequence[float],
    pad_value: Sequence[float],
    layout: str,
    dtype: str,
    out: Any,
    stream: Any,
) -> None: ...
