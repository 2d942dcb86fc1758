"""Pictures as a classifier sees them, the same way in training, evaluation and video."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from roadmark.data import image_file
from roadmark.errors import UserError

# Decoded pictures of a set are kept in memory up to this.
_MOST_BYTES = 2 << 30


def fitted(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 `[height, width, 3]` RGB of a picture of any size.

    Each side goes to its size, averaged where it shrinks and bilinear where it grows.
    """
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)


def read(path: Path, sha256: str | None = None) -> np.ndarray:
    """uint8 `[H, W, 3]` RGB.

    Args:
        path: The file.
        sha256: What its bytes must have, if that is known.

    Raises:
        UserError: It is not there, does not decode, or has been altered.
    """
    try:
        encoded = path.read_bytes()
        if sha256 not in (None, hashlib.sha256(encoded).hexdigest()):
            raise UserError(path, "altered since the set was prepared", "prepare the set again")
        return image_file.to_array(encoded)
    except FileNotFoundError:
        raise UserError(path, "no such picture", "prepare the set again") from None
    except image_file.UnreadableImageError as error:
        raise UserError(path, f"cannot be decoded: {error}", "replace or remove it") from None


class Pictures:
    """Files that are decoded and fitted when they are first asked for.

    Args:
        paths: The files.
        height: Pixels to fit to.
        width: Likewise.
    """

    def __init__(self, paths: Sequence[Path], height: int, width: int) -> None:
        self._paths, self._size = paths, (height, width)
        self._kept: dict[int, np.ndarray] = {}
        self._most = _MOST_BYTES // (height * width * 3)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> np.ndarray:
        image = self._kept.get(index)
        if image is None:
            image = fitted(read(self._paths[index]), *self._size)
            if len(self._kept) < self._most:
                self._kept[index] = image
        return image
