"""Encoded pictures to pixels and back, with bounds on what a stranger's bytes may cost."""

import io

import numpy as np
from PIL import Image, ImageOps

from roadmark.serving.refusal import RefusedError

JPEG = "image/jpeg"
PNG = "image/png"
# SageMaker's clients send this for any picture.
ANY_PICTURE = "application/x-image"
_FORMATS = {JPEG: "jpeg", PNG: "png"}
# Decoders of other formats are never given anything to read.
_READ = ("JPEG", "PNG")
_JPEG_QUALITY = 92
_ORIENTATION, _UPRIGHT = 0x0112, 1


def decode(encoded: bytes, max_pixels: int) -> np.ndarray:
    """A picture as uint8 `[H, W, 3]` RGB, turned upright by its EXIF orientation.

    Its size is looked at before anything is decoded.

    Args:
        encoded: The bytes of a JPEG or PNG file.
        max_pixels: That it may have.

    Raises:
        RefusedError: It is too large, not a JPEG or PNG, or damaged.
    """
    try:
        with Image.open(io.BytesIO(encoded), formats=_READ) as picture:
            require_size(picture.height, picture.width, max_pixels)
            return _upright_rgb(picture)
    except (RefusedError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise RefusedError(413, f"too large ({error})") from None
    except Image.UnidentifiedImageError:
        begin = encoded[:8]
        raise RefusedError(400, f"begins with {begin!r}, expected JPEG or PNG") from None
    except Exception as error:  # Pillow's readers raise whatever they stumble over.
        raise RefusedError(400, f"cannot be decoded ({error})") from None


def require_size(height: int, width: int, max_pixels: int) -> None:
    """Refuses a picture with more pixels than allowed, or none.

    Raises:
        RefusedError: It is so.
    """
    if height < 1 or width < 1:
        raise RefusedError(400, f"found {width}x{height} pixels, expected some")
    if height * width > max_pixels:
        problem = f"found {width}x{height} pixels, expected {max_pixels} at most"
        raise RefusedError(413, problem)


def encode(image: np.ndarray, media_type: str) -> bytes:
    """The bytes of a JPEG or PNG file.

    Args:
        image: uint8 `[H, W, 3]` RGB.
        media_type: `JPEG` or `PNG`.
    """
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, _FORMATS[media_type], quality=_JPEG_QUALITY)
    return stream.getvalue()


def _upright_rgb(picture: Image.Image) -> np.ndarray:
    """As `infer` reads a picture file, without copies of what is upright RGB already."""
    if picture.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        # 16 bits per sample, which Pillow would cut off at 255.
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))
