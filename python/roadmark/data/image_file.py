"""Picture files: decoding as a check, and the few changes that TensorFlow makes necessary."""

import dataclasses
import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# What tf.image.decode_image reads as [H, W, 3] whatever the colour mode. Its GIFs are 4-D, BMPs
# must not have alpha, and it knows neither WebP nor TIFF. MPO is JPEG with further pictures behind.
_READ_BY_TENSORFLOW = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png"}
_ORIENTATION = 0x0112
_JPEG_QUALITY = 95


class UnreadableImageError(Exception):
    """The bytes are not a picture, or not a whole one; the text says which."""


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """A picture as it goes into a record.

    Attributes:
        encoded: The file's bytes.
        format: `jpeg` or `png`.
        height: Pixels.
        width: Pixels.
        turned: The pixels were turned as EXIF asks.
        converted_from: The format it had when that had to change, else empty.
    """

    encoded: bytes
    format: str
    height: int
    width: int
    turned: bool = False
    converted_from: str = ""


def read(encoded: bytes, stated_size: tuple[int, int] | None) -> ImageFile:
    """Decodes a picture file whole, and changes it where TensorFlow would misread it.

    Args:
        encoded: The file's bytes.
        stated_size: `(height, width)` that the annotations state, or None. A picture with an EXIF
            turn is turned unless this says that it was annotated unturned.

    Raises:
        UnreadableImageError: It does not decode, or is truncated.
    """
    if not encoded:
        raise UnreadableImageError("an empty file")
    image = _decode(encoded)
    turned = _turned(image, stated_size)
    format_ = _READ_BY_TENSORFLOW.get(image.format or "")
    if turned is None and format_ is not None:
        return ImageFile(encoded, format_, image.height, image.width)
    changed = (turned or image).convert("RGB")
    written = format_ or "png"
    stream = io.BytesIO()
    changed.save(stream, written, quality=_JPEG_QUALITY)
    return ImageFile(
        stream.getvalue(),
        written,
        changed.height,
        changed.width,
        turned=turned is not None,
        converted_from="" if format_ else str(image.format),
    )


def to_array(encoded: bytes) -> np.ndarray:
    """uint8 `[H, W, 3]`, RGB.

    Raises:
        UnreadableImageError: It does not decode, or is truncated.
    """
    return np.asarray(_decode(encoded).convert("RGB"))


def _decode(encoded: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(encoded))
        image.load()
    except UnidentifiedImageError:
        raise UnreadableImageError(f"not a picture (begins with {encoded[:8]!r})") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(str(error)) from None
    return image


def _turned(image: Image.Image, stated_size: tuple[int, int] | None) -> Image.Image | None:
    """The picture turned as EXIF asks, or None when it is to stay as it is."""
    if image.getexif().get(_ORIENTATION, 1) not in range(2, 9):
        return None
    turned = ImageOps.exif_transpose(image)
    size = (image.height, image.width)
    if stated_size == size and (turned.height, turned.width) != size:
        return None
    return turned
