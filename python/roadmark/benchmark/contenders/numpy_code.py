"""NumPy as it is written by someone who knows it: whole arrays, column by column, in float32."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def encoding(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """The Faster R-CNN coder."""
    del threads
    boxes, anchors = arrays["boxes"], arrays["anchors"]
    y_factor, x_factor, height_factor, width_factor = np.float32(options["scale_factors"])
    half = np.float32(0.5)

    def encode() -> np.ndarray:
        ymin, xmin, ymax, xmax = boxes.T
        anchor_ymin, anchor_xmin, anchor_ymax, anchor_xmax = anchors.T
        height, width = anchor_ymax - anchor_ymin, anchor_xmax - anchor_xmin
        return np.stack(
            [
                (ymin + ymax - anchor_ymin - anchor_ymax) * half / height * y_factor,
                (xmin + xmax - anchor_xmin - anchor_xmax) * half / width * x_factor,
                np.log((ymax - ymin) / height) * height_factor,
                np.log((xmax - xmin) / width) * width_factor,
            ],
            axis=1,
        )

    return encode, lambda encodings: {"encodings": encodings}


def decoding(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """The Faster R-CNN coder, backwards."""
    del threads
    encodings, anchors = arrays["encodings"], arrays["anchors"]
    per_y, per_x, per_height, per_width = 1 / np.float32(options["scale_factors"])
    half = np.float32(0.5)

    def decode() -> np.ndarray:
        y, x, height, width = encodings.T
        anchor_ymin, anchor_xmin, anchor_ymax, anchor_xmax = anchors.T
        anchor_height, anchor_width = anchor_ymax - anchor_ymin, anchor_xmax - anchor_xmin
        y_centre = y * per_y * anchor_height + (anchor_ymin + anchor_ymax) * half
        x_centre = x * per_x * anchor_width + (anchor_xmin + anchor_xmax) * half
        y_reach = np.exp(height * per_height) * anchor_height * half
        x_reach = np.exp(width * per_width) * anchor_width * half
        corners = (y_centre - y_reach, x_centre - x_reach, y_centre + y_reach, x_centre + x_reach)
        return np.stack(corners, axis=1)

    return decode, lambda boxes: {"boxes": boxes}


def mask_pasting(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Box-sized masks to masks of the picture's size; only the box's pixels are computed."""
    del threads
    probabilities, boxes, size = arrays["probabilities"], arrays["boxes"], options["size"]

    def paste() -> np.ndarray:
        masks = np.zeros((len(boxes), *size), np.bool_)
        for mask, values, box in zip(masks, probabilities, boxes, strict=True):
            sides = (box[[0, 2]], box[[1, 3]])
            rows, columns = (
                _covered(*side, pixels, samples)
                for side, pixels, samples in zip(sides, size, values.shape, strict=True)
            )
            pixels = _along(_along(values, rows[1]).T, columns[1]).T
            mask[rows[0], columns[0]] = pixels > np.float32(0.5)
        return masks

    return paste, lambda masks: {"masks": masks}


def _covered(low: float, high: float, size: int, samples: int) -> tuple[slice, np.ndarray]:
    """The pixels of one side that lie in the box, and where they lie among its samples."""
    first, last = int(np.ceil(low * (size - 1))), int(np.floor(high * (size - 1)))
    pixels = np.arange(first, last + 1, dtype=np.float32) / np.float32(size - 1)
    return slice(first, last + 1), (pixels - low) / (high - low) * np.float32(samples - 1)


def _along(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    before = positions.astype(np.int64)
    after = np.minimum(before + 1, len(values) - 1)
    weights = (positions - before.astype(np.float32))[:, None]
    return values[before] + (values[after] - values[before]) * weights


def copying(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Copies within memory, for the bandwidth; each thread copies its part again and again."""
    del arrays
    source = np.ones((threads, options["bytes"] // threads), np.uint8)
    target = np.zeros_like(source)
    pool = ThreadPoolExecutor(threads)

    def copy_part(part: int) -> None:
        # NumPy lets other threads run while it copies.
        for _ in range(options["copies"]):
            np.copyto(target[part], source[part])

    return lambda: list(pool.map(copy_part, range(threads))), lambda _: {}
