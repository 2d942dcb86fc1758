"""Records whose pictures are decoded once and kept, as far as memory goes.

What is kept is the record with its picture as an uncompressed BMP file: the OD API decodes that
like any other, to the same pixels, for the price of a copy.
"""

import struct
import threading
from pathlib import Path

import numpy as np
import tensorflow as tf

_ENCODED = "image/encoded"
# What is left of the free memory is for TensorFlow.
_SHARE = 0.25
_MACHINE = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")


def budget() -> int:
    """Bytes that pictures may take: a quarter of what machine and container have free."""
    free = [
        1024 * int(line.split()[1])
        for line in _MACHINE.read_text(encoding="ascii").splitlines()
        if line.startswith("MemAvailable:")
    ]
    most, taken = _CONTAINER / "memory.max", _CONTAINER / "memory.current"
    if most.is_file() and (limit := most.read_text().strip()).isdigit():
        free.append(int(limit) - int(taken.read_text()))
    return int(_SHARE * min(free, default=0))


class PictureCache:
    """Records by their number; for several threads.

    Args:
        most_bytes: What they may take.
    """

    def __init__(self, most_bytes: int):
        self._left = most_bytes
        self._kept: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def get(self, number: int) -> bytes | None:
        """The record of a number, if it is kept."""
        return self._kept.get(number)

    def keep(self, number: int, record: bytes) -> bytes:
        """Keeps a record if there is room.

        Args:
            number: Of the record.
            record: A serialised tf.train.Example.

        Returns:
            The record as it is kept; as it was given where it is not, or where its picture cannot
            be decoded, which is for others to tell.
        """
        if self._left <= 0:
            return record
        decoded = _decoded(record)
        if decoded is None:
            return record
        with self._lock:
            if len(decoded) > self._left or number in self._kept:
                return decoded
            self._left -= len(decoded)
            self._kept[number] = decoded
        return decoded


def _decoded(record: bytes) -> bytes | None:
    example = tf.train.Example.FromString(record)
    value = example.features.feature[_ENCODED].bytes_list.value
    if len(value) != 1:
        return None
    try:
        # As the OD API's decoder chooses.
        jpeg = tf.io.is_jpeg(value[0])
        decode = tf.io.decode_jpeg if jpeg else tf.io.decode_image
        pixels = decode(value[0], channels=3).numpy()
    except tf.errors.InvalidArgumentError:
        return None
    if pixels.ndim != 3 or pixels.dtype != np.uint8:
        return None
    value[0] = bmp(pixels)
    return example.SerializeToString()


def bmp(pixels: np.ndarray) -> bytes:
    """A BMP file of 24 bits per pixel, from the top down.

    Args:
        pixels: uint8 RGB `[height, width, 3]`.
    """
    height, width, _ = pixels.shape
    rows = np.zeros((height, -(-3 * width // 4) * 4), np.uint8)
    rows[:, : 3 * width] = pixels[..., ::-1].reshape(height, 3 * width)
    header = struct.pack(
        "<2sIHHIIiiHHIIiiII",
        *(b"BM", 54 + rows.size, 0, 0, 54),
        *(40, width, -height, 1, 24, 0, rows.size, 0, 0, 0, 0),
    )
    return header + rows.tobytes()
