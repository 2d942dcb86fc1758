"""Records of small pictures with coloured rectangles in them, made in milliseconds."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from roadmark.data import example, tfrecord
from roadmark.data.example import AnnotatedImage

NAMES = {1: "vehicle", 2: "pedestrian", 3: "cyclist"}
LABEL_MAP = "".join(f"item {{ id: {number} name: '{name}' }}\n" for number, name in NAMES.items())

_COLOURS = {1: (200, 30, 30), 2: (30, 200, 30), 3: (30, 30, 200)}


def picture(number: int, size: int = 64, masks: bool = False) -> AnnotatedImage:
    """The picture of a number: one to three rectangles, their class shown by their colour.

    Args:
        number: Any non-negative integer; equal numbers give equal pictures.
        size: Height and width in pixels.
        masks: Whether the objects have masks.
    """
    rng = np.random.default_rng(number)
    pixels = rng.integers(90, 110, (size, size, 3), np.uint8)
    ids = rng.integers(1, 4, rng.integers(1, 4))
    corners = rng.integers(0, size // 2, (len(ids), 2))
    sides = rng.integers(size // 6, size // 2, (len(ids), 2))
    shapes = []
    for class_id, (top, left), (height, width) in zip(ids, corners, sides, strict=True):
        pixels[top : top + height, left : left + width] = _COLOURS[int(class_id)]
        shape = np.zeros((size, size), np.uint8)
        shape[top : top + height, left : left + width] = 1
        shapes.append(_png(shape))
    boxes = (np.concatenate([corners, corners + sides], axis=1) / size).astype(np.float32)
    return AnnotatedImage(
        filename=f"{number}.png",
        encoded=_png(pixels),
        format="png",
        height=size,
        width=size,
        boxes=boxes,
        class_ids=ids.astype(np.int64),
        class_names=tuple(NAMES[int(class_id)] for class_id in ids),
        is_crowd=np.zeros(len(ids), bool),
        difficult=np.zeros(len(ids), bool),
        areas=example.box_areas(boxes, size, size),
        masks=tuple(shapes) if masks else None,
    )


def record(number: int) -> bytes:
    """`picture(number)` as it stands in a TFRecord."""
    return example.serialise(picture(number))


def write(
    folder: Path,
    count: int = 6,
    shards: int = 2,
    change: Callable[[AnnotatedImage], AnnotatedImage] = lambda image: image,
    masks: bool = False,
) -> Path:
    """Writes `train-*` records and their label map as `prepare` lays them out.

    Args:
        folder: Made when missing.
        count: Number of pictures.
        shards: Number of files.
        change: Applied to every picture before it is written.
        masks: Whether the objects have masks.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "label_map.pbtxt").write_text(LABEL_MAP)
    for shard in range(shards):
        with tfrecord.RecordWriter(folder / f"train-{shard:05}-of-{shards:05}.tfrecord") as writer:
            for number in range(shard, count, shards):
                writer.write(example.serialise(change(picture(number, masks=masks))))
    return folder


def _png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
