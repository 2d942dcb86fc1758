"""TFRecord files without TensorFlow.

A file is a sequence of frames, all integers little-endian: length (uint64), masked CRC-32C of
those 8 bytes (uint32), the data, masked CRC-32C of the data (uint32). The format is described at
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

import dataclasses
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import google_crc32c

from roadmark.errors import UserError

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_GZIP_MAGIC = b"\x1f\x8b"
_BUFFER_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Frame:
    """One record as found in a file.

    Attributes:
        path: The file.
        index: Number of the record in the file, from 0.
        offset: Byte at which its frame begins.
        data: The record; empty when `fault` is set.
        fault: What is wrong with the frame, or None.
    """

    path: Path
    index: int
    offset: int
    data: bytes
    fault: str | None = None

    @property
    def where(self) -> str:
        """The place as messages name it: file, record and byte."""
        return f"{self.path}: record {self.index} (byte {self.offset})"


def scan(path: str | os.PathLike) -> Iterator[Frame]:
    """Yields every frame of a file, damaged ones too.

    Reading goes on behind a record whose data alone is damaged. A truncated frame or a damaged
    length is the last one, as nothing tells where the next begins.

    Args:
        path: A TFRecord file, not compressed.
    """
    path = Path(path)
    size = path.stat().st_size
    with open(path, "rb", buffering=_BUFFER_BYTES) as stream:
        index = offset = 0
        while offset < size:
            frame, recoverable = _read_frame(stream, path, index, offset, size)
            yield frame
            if not recoverable:
                return
            index, offset = index + 1, stream.tell()


def frame_at(path: str | os.PathLike, index: int, offset: int) -> Frame:
    """One frame of a file.

    Args:
        path: A TFRecord file, not compressed.
        index: Number of the record in the file, for messages.
        offset: Byte at which its frame begins, as `scan` gives it.
    """
    path = Path(path)
    with open(path, "rb", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(offset)
        return _read_frame(stream, path, index, offset, size)[0]


def intact(frame: Frame) -> bytes:
    """The data of a frame.

    Raises:
        UserError: The frame is damaged.
    """
    if frame.fault is not None:
        raise UserError(
            frame.where,
            frame.fault,
            "fetch or make the file again; "
            "`bazel run //python:prepare -- --check --records=...` lists every damaged record",
        )
    return frame.data


class RecordWriter:
    """Writes records to one file; a context manager.

    Args:
        path: The file, overwritten. Use `roadmark.atomic` for a file that must appear whole.
    """

    def __init__(self, path: str | os.PathLike):
        self._stream = open(path, "wb", buffering=_BUFFER_BYTES)  # noqa: SIM115 - closed by close

    def write(self, record: bytes) -> None:
        """Appends one record."""
        length = struct.pack("<Q", len(record))
        self._stream.write(length + _FOOTER.pack(_masked_crc(length)))
        self._stream.write(record)
        self._stream.write(_FOOTER.pack(_masked_crc(record)))

    def close(self) -> None:
        """Flushes and closes the file."""
        self._stream.close()

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _read_frame(
    stream: BinaryIO, path: Path, index: int, offset: int, size: int
) -> tuple[Frame, bool]:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        fault = f"truncated: found {len(header)} of the {_HEADER.size} bytes of a record header"
        return Frame(path, index, offset, b"", fault), False
    length, length_crc = _HEADER.unpack(header)
    if _masked_crc(header[:8]) != length_crc:
        return Frame(path, index, offset, b"", _length_fault(header, index)), False
    expected = length + _FOOTER.size
    # Compare with the file's size first: a read of a wrong length must not fill the memory.
    left = size - offset - _HEADER.size
    if left < expected:
        fault = f"truncated: found {left} of the {expected} bytes of the record"
        return Frame(path, index, offset, b"", fault), False
    data = stream.read(length)
    if _masked_crc(data) != _FOOTER.unpack(stream.read(_FOOTER.size))[0]:
        fault = "corrupt: the checksum of the data does not match the data"
        return Frame(path, index, offset, b"", fault), True
    return Frame(path, index, offset, data), True


def _length_fault(header: bytes, index: int) -> str:
    if index == 0 and header.startswith(_GZIP_MAGIC):
        return "compressed with gzip, expected a plain TFRecord file; unpack it with gunzip"
    if index == 0:
        return "not a TFRecord file: the checksum of the first record's length does not match"
    return "corrupt: the checksum of the record's length does not match; the rest is unreadable"


def _masked_crc(data: bytes) -> int:
    # TensorFlow stores checksums rotated and shifted by a constant (tsl/lib/hash/crc32c.h), so
    # that a checksum over data that itself holds checksums stays meaningful.
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
