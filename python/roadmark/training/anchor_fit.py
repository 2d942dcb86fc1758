"""Whether a config's anchors fit the boxes of a data set. Needs no TensorFlow."""

from typing import Any

import numpy as np

from roadmark.odapi import pipeline_config
from roadmark.training.record_index import Contents

# Below this share of the boxes there is nothing to tell.
_WORTH_TELLING = 0.1


def notices(config: Any, contents: Contents) -> list[str]:
    """A line where many boxes overlap no anchor by the matcher's threshold.

    Such a box gets one anchor at best, by force, and is hardly learnt. Only the multiscale anchor
    generator and the arg-max matcher are known here; for others there is no line.

    Args:
        config: A `TrainEvalPipelineConfig`.
        contents: Of the training records.
    """
    anchors = anchor_sizes(config)
    threshold = _threshold(config)
    boxes = network_sizes(config, *contents.sizes())
    if anchors is None or threshold is None or not len(boxes):
        return []
    apart = best_overlaps(boxes, anchors) < threshold
    if apart.mean() < _WORTH_TELLING:
        return []
    return [_line(boxes[apart], len(boxes), anchors, threshold)]


def _line(boxes: np.ndarray, total: int, anchors: np.ndarray, threshold: float) -> str:
    areas, limits = boxes.prod(axis=1), anchors.prod(axis=1)
    smaller = np.count_nonzero(areas < limits.min())
    larger = np.count_nonzero(areas > limits.max())
    smallest, largest = anchors[limits.argmin()], anchors[limits.argmax()]
    kinds = (
        (smaller, f"smaller than the smallest anchor, {_size(smallest)}"),
        (larger, f"larger than the largest, {_size(largest)}"),
        (len(boxes) - smaller - larger, "of other shapes"),
    )
    parts = ", ".join(f"{count} {what}" for count, what in kinds if count)
    cure = "a larger input or a lower anchor_scale or min_level"
    if smaller < len(boxes) / 2:
        cure = "other aspect_ratios, anchor_scale or levels"
    return (
        f"notice: {len(boxes)} of {total} boxes ({len(boxes) / total:.0%}) overlap no anchor by "
        f"{threshold:g}, wherever they lie: {parts} (pixels of the network's input). They are "
        f"hardly learnt; {cure} would help"
    )


def _size(height_width: np.ndarray) -> str:
    height, width = np.rint(height_width).astype(int)
    return f"{height} x {width}"


def best_overlaps(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """The IoU of each box with the anchor that fits it best, both about the same centre.

    Args:
        boxes: float32 `[N, 2]`, heights and widths.
        anchors: float32 `[K, 2]`, likewise.

    Returns:
        float32 `[N]`.
    """
    best = np.zeros(len(boxes), np.float32)
    for anchor in anchors:
        shared = np.minimum(boxes, anchor).prod(axis=1)
        union = boxes.prod(axis=1) + anchor.prod() - shared
        best = np.maximum(best, shared / np.maximum(union, 1e-6))
    return best


def anchor_sizes(config: Any) -> np.ndarray | None:
    """Heights and widths, float32 `[K, 2]`, in pixels of the network's input.

    As `object_detection.anchor_generators.multiscale_grid_anchor_generator`. None for others.
    """
    if config.model.WhichOneof("model") != "ssd":
        return None
    generator = config.model.ssd.anchor_generator
    if generator.WhichOneof("anchor_generator_oneof") != "multiscale_anchor_generator":
        return None
    grid = generator.multiscale_anchor_generator
    scales = [
        grid.anchor_scale * 2 ** (level + part / grid.scales_per_octave)
        for level in range(grid.min_level, grid.max_level + 1)
        for part in range(grid.scales_per_octave)
    ]
    roots = np.sqrt(np.array(grid.aspect_ratios or [1.0, 2.0, 0.5], np.float32))
    return np.array([(s / root, s * root) for s in scales for root in roots], np.float32)


def network_sizes(config: Any, boxes: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Sizes of boxes once their pictures are resized.

    Args:
        config: A `TrainEvalPipelineConfig`.
        boxes: float32 `[N, 2]`, heights and widths as shares of the picture.
        images: float32 `[N, 2]`, heights and widths of their pictures in pixels.

    Returns:
        float32 `[N, 2]` in pixels of the network's input.
    """
    resizer = pipeline_config.architecture(config).image_resizer
    fixed = resizer.fixed_shape_resizer
    if resizer.WhichOneof("image_resizer_oneof") == "fixed_shape_resizer":
        return boxes * np.array([fixed.height, fixed.width], np.float32)
    kept = resizer.keep_aspect_ratio_resizer
    shorter, longer = images.min(axis=1), images.max(axis=1)
    scale = np.minimum(kept.min_dimension / shorter, kept.max_dimension / longer)
    return boxes * images * scale[:, np.newaxis]


def _threshold(config: Any) -> float | None:
    if config.model.WhichOneof("model") != "ssd":
        return None
    matcher = config.model.ssd.matcher
    if matcher.WhichOneof("matcher_oneof") != "argmax_matcher":
        return None
    return matcher.argmax_matcher.matched_threshold
