from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

def annotate(
    planes: Sequence[NDArray[np.uint8]],
    *,
    luma_weights: tuple[float, float],
    full_range: bool,
    boxes: NDArray[np.float32],
    colours: NDArray[np.uint8],
    text_colours: NDArray[np.uint8],
    labels: Sequence[str],
    masks: NDArray[np.bool_] | None,
    trail_points: NDArray[np.float32],
    trail_ends: NDArray[np.int64],
    glyphs: NDArray[np.int32],
    coverage: NDArray[np.uint8],
    line_height: int,
    line_width: int,
    trail_width: int,
    margin: int,
    opacity: int,
    mask_opacity: int,
) -> None: ...
def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    *,
    score_threshold: float,
    iou_threshold: float,
    max_outputs: int,
    soft_nms_sigma: float,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]: ...
def batched_nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int32],
    *,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    soft_nms_sigma: float,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]: ...
def multiclass_nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    *,
    class_agnostic: bool,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    max_candidates: int,
    soft_nms_sigma: float,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]: ...
def batch_multiclass_nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    *,
    class_agnostic: bool,
    score_threshold: float,
    iou_threshold: float,
    max_per_class: int,
    max_total: int,
    max_candidates: int,
    soft_nms_sigma: float,
    threads: int,
) -> list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]]: ...
def encode_boxes(
    boxes: NDArray[np.float32], anchors: NDArray[np.float32], scale_factors: Sequence[float]
) -> NDArray[np.float32]: ...
def decode_boxes(
    encodings: NDArray[np.float32], anchors: NDArray[np.float32], scale_factors: Sequence[float]
) -> NDArray[np.float32]: ...
def encode_keypoints(
    boxes: NDArray[np.float32],
    keypoints: NDArray[np.float32],
    anchors: NDArray[np.float32],
    scale_factors: Sequence[float],
) -> NDArray[np.float32]: ...
def decode_keypoints(
    encodings: NDArray[np.float32], anchors: NDArray[np.float32], scale_factors: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
def encode_squares(
    boxes: NDArray[np.float32], anchors: NDArray[np.float32], scale_factors: Sequence[float]
) -> NDArray[np.float32]: ...
def decode_squares(
    encodings: NDArray[np.float32], anchors: NDArray[np.float32], scale_factors: Sequence[float]
) -> NDArray[np.float32]: ...
def encode_mean_stddev(
    boxes: NDArray[np.float32], anchors: NDArray[np.float32], stddev: float
) -> NDArray[np.float32]: ...
def decode_mean_stddev(
    encodings: NDArray[np.float32], anchors: NDArray[np.float32], stddev: float
) -> NDArray[np.float32]: ...
def multiscale_grid_anchors(
    feature_maps: Sequence[tuple[int, int]],
    image_size: tuple[int, int],
    *,
    min_level: int,
    anchor_scale: float,
    aspect_ratios: Sequence[float],
    scales_per_octave: int,
) -> NDArray[np.float32]: ...
def ssd_anchors(
    feature_maps: Sequence[tuple[int, int]],
    image_size: tuple[int, int],
    *,
    min_scale: float,
    max_scale: float,
    scales: Sequence[float],
    aspect_ratios: Sequence[float],
    interpolated_scale_aspect_ratio: float,
    base_anchor_size: tuple[float, float],
    reduce_boxes_in_lowest_layer: bool,
) -> NDArray[np.float32]: ...
def postprocess(
    class_logits: NDArray[np.float32],
    box_encodings: NDArray[np.float32],
    anchors: NDArray[np.float32],
    *,
    mask_logits: NDArray[np.float32] | None,
    counts: NDArray[np.int32],
    windows: NDArray[np.float32],
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
    threads: int,
) -> list[
    tuple[
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.int32],
        NDArray[np.int64],
        NDArray[np.float32] | None,
    ]
]: ...
def paste_masks(
    probabilities: NDArray[np.float32],
    boxes: NDArray[np.float32],
    *,
    image_size: tuple[int, int],
    threshold: float,
    threads: int,
) -> NDArray[np.bool_]: ...
def preprocess(
    images: Sequence[Any],
    *,
    resized: Sequence[tuple[int, int]],
    mean: Sequence[float],
    scale: Sequence[float],
    pad_value: Sequence[float],
    layout: str,
    dtype: str,
    out: NDArray[np.float32] | NDArray[np.uint16] | NDArray[np.uint8],
    threads: int,
) -> None: ...

class TargetAssigner:
    def __init__(
        self,
        anchors: NDArray[np.float32],
        unmatched_label: NDArray[np.float32],
        *,
        matched_threshold: float,
        unmatched_threshold: float,
        negatives_lower_than_unmatched: bool,
        force_match_for_each_row: bool,
        scale_factors: Sequence[float],
        negative_class_weight: float,
    ) -> None: ...
    def assign(
        self,
        boxes: NDArray[np.float32],
        labels: NDArray[np.float32],
        weights: NDArray[np.float32],
        *,
        threads: int,
    ) -> tuple[
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.float32],
        NDArray[np.int32],
    ]: ...
