"""Pictures to a network's input batch, as the OD API does it at inference.

Resizing is TensorFlow's legacy bilinear sampling, `tf.compat.v1.image.resize_images` with its
defaults: output pixel `i` samples the input at `i * in / out`, without half-pixel centres. The OD
API's image resizers call it in `object_detection/core/preprocessor.py`.

Frames of a video are taken as the decoder gives them, too: see `YuvPicture`.
"""

import dataclasses
from collections.abc import Sequence

import ml_dtypes
import numpy as np

from roadmark.manifest import FIXED_SHAPE, InputSpec
from roadmark.ops import _native
from roadmark.ops.arrays import as_array

BT601 = "bt601"
BT709 = "bt709"

_DTYPES = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "uint8": np.dtype(np.uint8),
}


@dataclasses.dataclass(frozen=True)
class YuvPicture:
    """Planes of luma and of half-size chroma, in place of an RGB picture.

    A picture of these planes gives the same bytes as the RGB picture that it stands for: every
    2 x 2 block of pixels has the colour of its one chroma sample, and red, green and blue are
    rounded to whole numbers from 0 to 255 before anything is resized.

    Attributes:
        planes: uint8. For I420 `(y, u, v)`: `[H, W]` and twice `[ceil(H / 2), ceil(W / 2)]`; for
            NV12 `(y, uv)`: `[H, W]` and `[ceil(H / 2), ceil(W / 2), 2]`. Rows may be any distance
            apart.
        matrix: `bt601` (ITU-R BT.601) or `bt709` (ITU-R BT.709).
        full_range: Whether luma and chroma use all of 0 to 255, as in JPEG, and not 16 to 235 and
            16 to 240, as in most video.
    """

    planes: tuple[np.ndarray, ...]
    matrix: str = BT709
    full_range: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(height, width, 3)`, as of the RGB picture."""
        return (*self.planes[0].shape[:2], 3)


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
    images: Sequence[np.ndarray | YuvPicture],
    spec: InputSpec,
    out: np.ndarray | None = None,
    threads: int = 1,
) -> np.ndarray:
    """Resizes, normalises and pads pictures into one batch, in one pass.

    Args:
        images: uint8 `[H, W, 3]` RGB each, or `YuvPicture`; sizes may differ. Rows may be any
            distance apart; what has other gaps is copied first.
        spec: From the manifest. Its `layout` is `NHWC` or `NCHW`, its `dtype` `float32`,
            `bfloat16` (rounded to nearest, ties to even) or `uint8` (rounded so, and clamped).
        out: `[len(images), spec.height, spec.width, 3]`, for NCHW `[len(images), 3, spec.height,
            spec.width]`, of the spec's dtype and in C order, to write into; or None.
        threads: How many threads take part; with fewer pictures they share one.

    Returns:
        `out`, or a new array of that shape and dtype (bfloat16 as `ml_dtypes.bfloat16`).

    Raises:
        ValueError: A picture or `out` has another shape or dtype, or the spec another layout or
            dtype; the message names it.
    """
    shape, dtype = _batch_type(len(images), spec)
    out = np.empty(shape, dtype) if out is None else as_array(out, "out")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"out: found {out.dtype} {out.shape}, expected {spec.dtype} {shape}")
    images = [_checked(index, image) for index, image in enumerate(images)]
    _native.preprocess(
        images,
        resized=[resized_size(spec, *image.shape[:2]) for image in images],
        mean=spec.mean,
        scale=spec.scale,
        pad_value=spec.pad_value,
        layout=spec.layout,
        dtype=spec.dtype,
        # The native side takes bfloat16 as its bits.
        out=out.view(np.uint16) if spec.dtype == "bfloat16" else out,
        threads=threads,
    )
    return out


def _batch_type(count: int, spec: InputSpec) -> tuple[tuple[int, ...], np.dtype]:
    if spec.dtype not in _DTYPES:
        raise ValueError(f"spec.dtype: found {spec.dtype}, expected {', '.join(_DTYPES)}")
    sides = (spec.height, spec.width)
    shape = (count, 3, *sides) if spec.layout == "NCHW" else (count, *sides, 3)
    return shape, _DTYPES[spec.dtype]


def _checked(index: int, image: np.ndarray | YuvPicture) -> np.ndarray | YuvPicture:
    if isinstance(image, YuvPicture):
        return image  # Planes are checked, and named, by the native side.
    image = as_array(image, f"images[{index}]")
    expected = "uint8 (height, width, 3) with neither side 0"
    fits = image.ndim == 3 and image.shape[2] == 3 and image.size > 0
    if not fits or image.dtype != np.uint8:
        raise ValueError(f"images[{index}]: found {image.dtype} {image.shape}, expected {expected}")
    return image
