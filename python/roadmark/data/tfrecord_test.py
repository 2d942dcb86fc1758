"""Framing: what is written is read back, and every kind of damage is named."""

import gzip

import pytest

from roadmark.data import tfrecord
from roadmark.errors import UserError

RECORDS = [b"first", b"", b"third record, longer than the others"]
# Frames begin at 0, 21 and 37: each adds 12 bytes before the data and 4 behind.
SECOND, THIRD = 21, 37


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.tfrecord"
    with tfrecord.RecordWriter(path) as writer:
        for record in RECORDS:
            writer.write(record)
    return path


def test_reads_what_was_written(path):
    assert [tfrecord.intact(frame) for frame in tfrecord.scan(path)] == RECORDS
    assert [frame.offset for frame in tfrecord.scan(path)] == [0, SECOND, THIRD]


def test_an_empty_file_holds_no_records(tmp_path):
    (tmp_path / "empty").touch()
    assert list(tfrecord.scan(tmp_path / "empty")) == []


def _flip(data: bytes, index: int) -> bytes:
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


@pytest.mark.parametrize(
    ("damage", "where", "problem"),
    [
        pytest.param(
            lambda data: data[:-1], f"record 2 (byte {THIRD})", "truncated", id="last-byte-missing"
        ),
        pytest.param(
            lambda data: data[: THIRD + 5], "record 2", "5 of the 12 bytes", id="half-a-header"
        ),
        pytest.param(
            lambda data: _flip(data, THIRD + 14), "record 2", "checksum of the data", id="data-bit"
        ),
        pytest.param(
            lambda data: _flip(data, SECOND), f"record 1 (byte {SECOND})", "length", id="length-bit"
        ),
        pytest.param(lambda data: b"no records" * 9, "record 0", "not a TFRecord", id="other-file"),
        pytest.param(gzip.compress, "record 0", "gunzip", id="compressed"),
    ],
)
def test_damage_is_named_by_file_record_and_byte(path, damage, where, problem):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError) as error:
        [tfrecord.intact(frame) for frame in tfrecord.scan(path)]
    assert f"{path}: {where}" in str(error.value)
    assert problem in str(error.value)


def test_a_length_beyond_the_file_is_not_read_into_memory(tmp_path):
    source = tmp_path / "huge"
    with tfrecord.RecordWriter(source) as writer:
        writer.write(b"x" * 1000)
    source.write_bytes(source.read_bytes()[:200])
    (frame,) = tfrecord.scan(source)
    assert frame.fault == "truncated: found 188 of the 1004 bytes of the record"


def test_scan_goes_on_behind_damaged_data(path):
    path.write_bytes(_flip(path.read_bytes(), 13))
    faults = [frame.fault is not None for frame in tfrecord.scan(path)]
    assert faults == [True, False, False]
