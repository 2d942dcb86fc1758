import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from roadmark.serving import pictures
from roadmark.serving.refusal import RefusedError
from roadmark.video.annotate_images import read_image

MANY = 10**6
NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


RGB = Image.fromarray(NOISE)
READABLE = {
    "png": encoded(RGB),
    "jpeg": encoded(RGB, "JPEG"),
    "progressive": encoded(RGB, "JPEG", progressive=True),
    "turned": encoded(RGB, "JPEG", exif=exif(6)),
    "mirrored": encoded(RGB, "PNG", exif=exif(5)),
    "odd orientation": encoded(RGB, "JPEG", exif=exif(9)),
    "transparent colour": encoded(RGB, "PNG", transparency=(1, 2, 3)),
    "grey": encoded(RGB.convert("L")),
    "palette": encoded(RGB.convert("P")),
    "alpha": encoded(RGB.convert("RGBA")),
    "cmyk": encoded(RGB.convert("CMYK"), "JPEG"),
    "16 bit": encoded(Image.fromarray(NOISE[..., 0].astype(np.uint16) << 8)),
    "two pictures": encoded(RGB, "MPO", save_all=True, append_images=[RGB]),
}


@pytest.mark.parametrize("name", READABLE)
def test_pictures_are_read_as_infer_reads_them(name, tmp_path):
    file = tmp_path / "picture"
    file.write_bytes(READABLE[name])
    expected = read_image(file)
    assert np.array_equal(pictures.decode(READABLE[name], MANY), expected)


def png(height, width, rows=b""):
    """A PNG whose head says what it likes."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (b"", 400, "begins with b'', expected JPEG or PNG"),
        (b"hello", 400, "expected JPEG or PNG"),
        (b"\xff\xd8\xff", 400, "expected JPEG or PNG|cannot be decoded"),
        (READABLE["png"][:100], 400, "cannot be decoded"),
        (READABLE["jpeg"][:200], 400, "cannot be decoded"),
        (encoded(RGB, "GIF"), 400, "begins with b'GIF8"),
        (encoded(RGB, "TIFF"), 400, "expected JPEG or PNG"),
        (encoded(RGB, "BMP"), 400, "expected JPEG or PNG"),
        (png(0, 10), 400, "cannot be decoded|expected"),
        (png(10, 10, b"\0"), 400, "cannot be decoded"),
        (png(1000, 1001), 413, "found 1001x1000 pixels, expected 1000000 at most"),
        (png(2**31 - 1, 2**31 - 1), 413, "too large"),
    ],
    ids=lambda value: repr(value[:8]) if isinstance(value, bytes) else str(value),
)
def test_what_is_no_picture_or_too_large(data, status, says):
    with pytest.raises(RefusedError, match=says) as refused:
        pictures.decode(data, MANY)
    assert refused.value.status == status


def test_a_bomb_is_not_decoded():
    # 100 million pixels of zeros in a hundred thousand bytes, below Pillow's own limit.
    bomb = png(10_000, 10_000, b"\0" * 30_010_000)
    assert len(bomb) < 100_000
    with pytest.raises(RefusedError, match="10000x10000"):
        pictures.decode(bomb, MANY)


@pytest.mark.parametrize("media_type", [pictures.JPEG, pictures.PNG])
def test_what_is_written_can_be_read(media_type):
    smooth = np.full((24, 32, 3), (200, 100, 50), np.uint8)
    found = pictures.decode(pictures.encode(smooth, media_type), MANY)
    assert np.abs(found.astype(int) - smooth).max() <= 3
