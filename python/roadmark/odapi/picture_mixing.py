"""Pictures made of several: mosaic and mixup, on decoded examples, in the input graph.

Which pictures are taken and how follows from the seed of the picture that is replaced. Works on the
dictionaries of `object_detection.data_decoders.tf_example_decoder`; boxes are normalised.
"""

from collections.abc import Callable, Mapping
from typing import Any

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection.core import standard_fields  # noqa: E402

_F = standard_fields.InputDataFields
# What there is one of for each box.
_PER_BOX = (
    _F.groundtruth_boxes,
    _F.groundtruth_classes,
    _F.groundtruth_area,
    _F.groundtruth_is_crowd,
    _F.groundtruth_difficult,
    _F.groundtruth_group_of,
    _F.groundtruth_weights,
)
# A box of which less is left at the edge of its tile is not kept.
_LEAST_LEFT = 0.3
_CENTRE = (0.3, 0.7)
_ZOOM = (0.5, 1.0)
# Beta(1.5, 1.5), as Zhang et al. 2019 (arXiv:1902.04103) use it for detectors.
_MIXUP_SHAPE = 1.5

Example = Mapping[str, Any]


def mixed(
    example: Example,
    other: Callable[[tf.Tensor], Example],
    count: int,
    shares: tuple[float, float],
    seed: tf.Tensor,
) -> dict[str, Any]:
    """Makes some examples into mosaics or blends.

    Args:
        example: As decoded; its picture is uint8 `[H, W, 3]`.
        other: Decodes the example of a number, int64 below `count`.
        count: Examples to choose from.
        shares: Of the examples: those that become a mosaic of four (Bochkovskiy et al. 2020,
            arXiv:2004.10934), and those that are blended with another.
        seed: int64 `[2]`, of this example.

    Returns:
        An example of the same fields; the picture keeps its size.
    """
    chances = tf.random.stateless_uniform([2], _fold(seed, 0))
    numbers = tf.random.stateless_uniform([4], _fold(seed, 1), 0, count, tf.int64)
    found = dict(example)
    mixed_fields = [name for name in (_F.image, *_PER_BOX) if name in found]
    for number, (share, change) in enumerate(zip(shares, (_mosaic, _mixup), strict=True)):
        if not share:
            continue
        now = {name: found[name] for name in mixed_fields}

        def others(change=change, number=number, now=now) -> dict[str, Any]:
            chosen = numbers[:3] if change is _mosaic else numbers[3:]
            return change(now, [other(one) for one in tf.unstack(chosen)], _fold(seed, 2 + number))

        found |= tf.cond(chances[number] < share, others, lambda now=now: dict(now))
    return found


def _mosaic(example: Example, others: list[Example], seed: tf.Tensor) -> dict[str, Any]:
    size = tf.shape(example[_F.image])[:2]
    centre = tf.random.stateless_uniform([2], _fold(seed, 0), *_CENTRE)
    middle = tf.cast(tf.cast(size, tf.float32) * centre, tf.int32)
    zero = tf.zeros_like(middle)
    corners = (
        (zero, middle),
        (tf.stack([0, middle[1]]), tf.stack([middle[0], size[1]])),
        (tf.stack([middle[0], 0]), tf.stack([size[0], middle[1]])),
        (middle, size),
    )
    # The example itself is in any of the four.
    order = tf.random.experimental.stateless_shuffle(tf.range(4), _fold(seed, 1))
    tiles = [
        _tile(one, last - first, _fold(seed, 2 + number))
        for number, (one, (first, last)) in enumerate(
            zip(_in_order([example, *others], order), corners, strict=True)
        )
    ]
    top, bottom = (
        tf.concat([tiles[left][_F.image], tiles[left + 1][_F.image]], axis=1) for left in (0, 2)
    )
    image = tf.ensure_shape(tf.concat([top, bottom], axis=0), [None, None, 3])
    whole = tf.cast(tf.tile(size, [2]), tf.float32)
    for tile, (first, _) in zip(tiles, corners, strict=True):
        offset = tf.cast(tf.tile(first, [2]), tf.float32)
        tile[_F.groundtruth_boxes] = (tile[_F.groundtruth_boxes] + offset) / whole
    return _joined(example, tiles) | {_F.image: image}


def _in_order(examples: list[Example], order: tf.Tensor) -> list[Example]:
    """The examples in an order that is drawn in the graph."""

    def at(place: tf.Tensor) -> dict[str, tf.Tensor]:
        fields = [name for name in (_F.image, *_PER_BOX) if name in examples[0]]
        branches = [lambda one=one: {name: one[name] for name in fields} for one in examples]
        return tf.switch_case(place, branches)

    return [at(place) for place in tf.unstack(order)]


def _tile(example: Example, size: tf.Tensor, seed: tf.Tensor) -> dict[str, Any]:
    """A part of a picture, resized to `size`; its boxes in pixels of the tile, those in it."""
    image = example[_F.image]
    whole = tf.cast(tf.shape(image)[:2], tf.float32)
    wanted = tf.cast(size, tf.float32)
    zoom = tf.random.stateless_uniform([], _fold(seed, 0), *_ZOOM)
    # Large enough to fill the tile.
    zoom = tf.maximum(zoom, tf.reduce_max(wanted / whole))
    part = tf.minimum(wanted / zoom, whole)
    offset = tf.random.stateless_uniform([2], _fold(seed, 1)) * (whole - part)
    first, extent = tf.cast(offset, tf.int32), tf.maximum(1, tf.cast(part, tf.int32))
    cut = image[first[0] : first[0] + extent[0], first[1] : first[1] + extent[1]]
    pixels = tf.image.resize(cut, size)
    scale = tf.tile(wanted / tf.cast(extent, tf.float32), [2])
    boxes = example[_F.groundtruth_boxes] * tf.tile(whole, [2])
    boxes = (boxes - tf.cast(tf.tile(first, [2]), tf.float32)) * scale
    limit = tf.tile(wanted, [2])
    clipped = tf.clip_by_value(boxes, 0.0, limit)
    kept = _area(clipped) >= _LEAST_LEFT * tf.maximum(_area(boxes), 1e-6)
    found = {name: tf.boolean_mask(value, kept) for name, value in _per_box(example).items()}
    found[_F.groundtruth_boxes] = tf.boolean_mask(clipped, kept)
    if _F.groundtruth_area in found:
        found[_F.groundtruth_area] *= scale[0] * scale[1]
    found[_F.image] = tf.cast(tf.round(pixels), tf.uint8)
    return found


def _mixup(example: Example, others: list[Example], seed: tf.Tensor) -> dict[str, Any]:
    (other,) = others
    draws = tf.random.stateless_gamma([2], seed, _MIXUP_SHAPE)
    share = draws[0] / tf.reduce_sum(draws)
    image = tf.cast(example[_F.image], tf.float32)
    pixels = tf.image.resize(other[_F.image], tf.shape(image)[:2])
    blended = tf.cast(tf.round(share * image + (1 - share) * pixels), tf.uint8)
    # A box counts for as much as its picture shows.
    weights = _F.groundtruth_weights
    parts = [
        {**found, weights: part * found[weights]}
        for found, part in ((_per_box(example), share), (_per_box(other), 1 - share))
    ]
    return _joined(example, parts) | {_F.image: tf.ensure_shape(blended, [None, None, 3])}


def _joined(example: Example, parts: list[Example]) -> dict[str, Any]:
    return {
        name: tf.concat([part[name] for part in parts], axis=0)
        for name in _PER_BOX
        if name in example
    }


def _per_box(example: Example) -> dict[str, Any]:
    """What there is for each box, with zeros for fields that the record leaves out."""
    count = tf.shape(example[_F.groundtruth_boxes])[0]

    def whole(value: tf.Tensor) -> tf.Tensor:
        missing = count - tf.shape(value)[0]
        return tf.concat([value, tf.zeros([missing, *value.shape[1:]], value.dtype)], axis=0)

    return {name: whole(example[name]) for name in _PER_BOX if name in example}


def _area(boxes: tf.Tensor) -> tf.Tensor:
    sides = tf.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return sides[:, 0] * sides[:, 1]


def _fold(seed: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)
