"""Pictures to a network's input batch, as the OD API does it at inference.

Resizing is TensorFlow's legacy bilinear sampling, `tf.compat.v1.image.resize_images` with its
defaults: output pixel `i` samples the input at `i * in / out`, without half-pixel centres. The OD
API's image resizers call it in `object_detection/core/preprocessor.py`.
"""

from collections.abc import Sequence

import numpy as np

from roadmark.manifest import FIXED_SHAPE, InputSpec
from roadmark.ops import _native


def resized_size(spec: InputSpec, height: int, width: int) -> tuple[int, int]:
    """Height and width of a picture inside the network's input, without the padding.

    Args:
        spec: The resize rule.
        height: Of the original picture, in pixels.
        width: Of the original picture, in pixels.
    """
    if spec.resize == FIXED_SHAPE:
        return spec.height, spec.width
    # `resize_to_range` offers a landscape or a portrait frame and fills it as far as the aspect
    # ratio allows; the arithmetic is float32 there, and rounds half to even.
    frame = (spec.min_dimension, spec.max_dimension)
    frame_height, frame_width = frame if height < width else frame[::-1]
    scale = min(
        np.float32(frame_height) / np.float32(height), np.float32(frame_width) / np.float32(width)
    )
    return (
        int(np.rint(scale * np.float32(height))),
        int(np.rint(scale * np.float32(width))),
    )


def preprocess(
    images: Sequence[np.ndarray], spec: InputSpec, out: np.ndarray | None = None
) -> np.ndarray:
    """Resizes, normalises and pads pictures into one batch.

    Args:
        images: uint8 `[H, W, 3]` RGB each; sizes may differ.
        spec: From the manifest.
        out: float32 `[len(images), spec.height, spec.width, 3]` in C order to write into, or
            None.

    Returns:
        float32 `[len(images), spec.height, spec.width, 3]`: `out` when given.

    Raises:
        ValueError: A picture or `out` has another shape or dtype; the message names it.
    """
    shape = (len(images), spec.height, spec.width, 3)
    if out is None:
        out = np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32:
        raise ValueError(f"out: found {out.dtype} {out.shape}, expected float32 {shape}")
    for index, image in enumerate(images):
        _require_image(index, image)
        _native.preprocess(
            image,
            resized=resized_size(spec, *image.shape[:2]),
            mean=spec.mean,
            scale=spec.scale,
            pad_value=spec.pad_value,
            out=out[index],
        )
    return out


def _require_image(index: int, image: np.ndarray) -> None:
    expected = "uint8 (height, width, 3) with neither side 0"
    fits = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    if not fits or image.dtype != np.uint8:
        raise ValueError(f"images[{index}]: found {image.dtype} {image.shape}, expected {expected}")
