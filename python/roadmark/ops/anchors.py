"""Anchors: the boxes that the outputs of a one-stage network are relative to.

The numbers are those of the OD API's generators for the same feature maps. Anchors are ordered by
feature map, row, column and shape, as a network's outputs are.
"""

from collections.abc import Sequence

import numpy as np

from roadmark.ops import _native


def multiscale_grid(
    feature_maps: Sequence[tuple[int, int]],
    image_size: tuple[int, int],
    *,
    min_level: int,
    anchor_scale: float,
    aspect_ratios: Sequence[float],
    scales_per_octave: int,
) -> np.ndarray:
    """Anchors of RetinaNet and EfficientDet, the OD API's `multiscale_anchor_generator`.

    Level `l` has a stride of `2 ** l` pixels. Shapes are ordered by aspect ratio, then by scale,
    `2 ** (k / scales_per_octave)`.

    Args:
        feature_maps: `(height, width)` of each level, from `min_level` on.
        image_size: `(height, width)` of the network's input in pixels.
        min_level: Of the first feature map.
        anchor_scale: Side of a level's square anchor of scale 1, in strides.
        aspect_ratios: Width by height.
        scales_per_octave: Anchors of each aspect ratio.

    Returns:
        float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised to the network's input; those at
        the border reach beyond it.

    Raises:
        ValueError: An argument is out of range; the message names it.

    Example:
        >>> maps = [(64 >> level, 64 >> level) for level in range(5)]
        >>> multiscale_grid(maps, (512, 512), min_level=3, anchor_scale=4.0,
        ...                 aspect_ratios=[1.0, 2.0, 0.5], scales_per_octave=3).shape
        (49104, 4)
    """
    return _native.multiscale_grid_anchors(
        feature_maps,
        image_size,
        min_level=min_level,
        anchor_scale=anchor_scale,
        aspect_ratios=aspect_ratios,
        scales_per_octave=scales_per_octave,
    )


def ssd(
    feature_maps: Sequence[tuple[int, int]],
    image_size: tuple[int, int],
    *,
    min_scale: float = 0.2,
    max_scale: float = 0.95,
    scales: Sequence[float] = (),
    aspect_ratios: Sequence[float] = (1.0, 2.0, 3.0, 0.5, 1 / 3),
    interpolated_scale_aspect_ratio: float = 1.0,
    base_anchor_size: tuple[float, float] = (1.0, 1.0),
    reduce_boxes_in_lowest_layer: bool = True,
) -> np.ndarray:
    """Anchors of SSD (https://arxiv.org/abs/1512.02325), the OD API's `ssd_anchor_generator`.

    Args:
        feature_maps: `(height, width)` of each, from the finest on.
        image_size: `(height, width)` of the network's input; only their ratio counts.
        min_scale: Scale of the first feature map, in units of the base size.
        max_scale: Scale of the last; those in between are spaced evenly.
        scales: One per feature map, in place of these two.
        aspect_ratios: Width by height.
        interpolated_scale_aspect_ratio: Aspect ratio of one more anchor, with a scale between a
            feature map's and the next one's; 0 for none.
        base_anchor_size: `(height, width)` in units of the image's shorter side.
        reduce_boxes_in_lowest_layer: The first feature map has three anchors per cell only.

    Returns:
        float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]`, normalised to the network's input; those at
        the border reach beyond it.

    Raises:
        ValueError: An argument is out of range; the message names it.
    """
    return _native.ssd_anchors(
        feature_maps,
        image_size,
        min_scale=min_scale,
        max_scale=max_scale,
        scales=scales,
        aspect_ratios=aspect_ratios,
        interpolated_scale_aspect_ratio=interpolated_scale_aspect_ratio,
        base_anchor_size=base_anchor_size,
        reduce_boxes_in_lowest_layer=reduce_boxes_in_lowest_layer,
    )
