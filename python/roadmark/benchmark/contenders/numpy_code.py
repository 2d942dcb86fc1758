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
