"""What is kept of records is the same to the decoder, and takes no more than it may."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from roadmark.data import example
from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first

from roadmark.testing import small_records  # noqa: E402
from roadmark.training.picture_cache import PictureCache  # noqa: E402


def _record(kind: str, width: int) -> bytes:
    picture = small_records.picture(1, size=width)
    stream = io.BytesIO()
    Image.open(io.BytesIO(picture.encoded)).save(stream, kind)
    return example.serialise(dataclasses.replace(picture, encoded=stream.getvalue()))


def _fields(record: bytes) -> dict[str, object]:
    feature = tf.train.Example.FromString(record).features.feature
    return {name: value for name, value in feature.items() if name != "image/encoded"}


def _pixels(record: bytes) -> np.ndarray:
    encoded = tf.train.Example.FromString(record).features.feature["image/encoded"]
    return tf.io.decode_image(encoded.bytes_list.value[0], channels=3).numpy()


@pytest.mark.parametrize(
    ("kind", "width"), [("PNG", 64), ("JPEG", 64), ("PNG", 61)], ids=["png", "jpeg", "padded rows"]
)
def test_a_kept_record_has_the_same_pixels_and_fields(kind, width):
    record, cache = _record(kind, width), PictureCache(1 << 20)
    kept = cache.keep(3, record)
    assert cache.get(3) is kept
    assert kept != record
    np.testing.assert_array_equal(_pixels(kept), _pixels(record))
    assert _fields(kept) == _fields(record)


def test_it_takes_no_more_than_it_may():
    record = _record("PNG", 64)
    cache = PictureCache(64 * 64 * 3 * 2)
    for number in range(4):
        cache.keep(number, record)
    assert [cache.get(number) is not None for number in range(4)] == [True, False, False, False]
    assert PictureCache(0).keep(0, record) is record


def test_what_cannot_be_decoded_is_left_to_others():
    picture = dataclasses.replace(small_records.picture(1), encoded=b"no picture")
    record, cache = example.serialise(picture), PictureCache(1 << 20)
    assert cache.keep(0, record) is record
    assert cache.get(0) is None
