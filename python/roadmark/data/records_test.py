"""Records: examples round-trip, globs match, malformed examples are named."""

import dataclasses

import numpy as np
import pytest

from roadmark.data import example, records
from roadmark.data.example import AnnotatedImage
from roadmark.errors import UserError

IMAGE = AnnotatedImage(
    filename="drive/0001.png",
    encoded=b"not looked at here",
    format="png",
    height=100,
    width=200,
    boxes=np.array([[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]], np.float32),
    class_ids=np.array([2, 1], np.int64),
    class_names=("cyclist", "車"),
    is_crowd=np.array([False, True]),
    difficult=np.array([True, False]),
    areas=np.array([400, 12345], np.float32),
    masks=(b"png one", b"png two"),
    source_id="17",
)
NO_OBJECTS = dataclasses.replace(
    IMAGE,
    boxes=np.zeros((0, 4), np.float32),
    class_ids=np.zeros(0, np.int64),
    class_names=(),
    is_crowd=np.zeros(0, bool),
    difficult=np.zeros(0, bool),
    areas=np.zeros(0, np.float32),
    masks=None,
)


def _same(left: AnnotatedImage, right: AnnotatedImage) -> None:
    for field in dataclasses.fields(AnnotatedImage):
        np.testing.assert_array_equal(getattr(left, field.name), getattr(right, field.name))


@pytest.mark.parametrize("image", [IMAGE, NO_OBJECTS], ids=["two-objects", "no-objects"])
def test_parse_gives_back_what_was_serialised(image):
    _same(example.parse(example.serialise(image), "here"), image)


def test_boxes_in_pixels_and_areas():
    np.testing.assert_allclose(IMAGE.boxes_in_pixels[0], [10, 40, 30, 80], rtol=1e-6)
    areas = example.box_areas(IMAGE.boxes, IMAGE.height, IMAGE.width)
    np.testing.assert_allclose(areas, [800, 20000], rtol=1e-6)


def _record(change) -> bytes:
    """A good record with one of its features changed."""
    built = example._Example.FromString(example.serialise(IMAGE))
    change(built.features.feature)
    return built.SerializeToString()


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        pytest.param(b"\xff\xff\xff", "not a tf.train.Example", id="other-bytes"),
        pytest.param(b"", "image/height has 0 values", id="empty-record"),
        pytest.param(
            _record(lambda f: f.pop("image/encoded")), "image/encoded has 0 values", id="no-image"
        ),
        pytest.param(
            _record(lambda f: f["image/object/bbox/xmin"].float_list.value.append(0.5)),
            "found 2 ymin, 3 xmin, 2 ymax, 2 xmax",
            id="one-coordinate-more",
        ),
        pytest.param(
            _record(lambda f: f["image/object/class/label"].int64_list.value.pop()),
            "image/object/class/label has 1 values for 2 boxes",
            id="one-label-less",
        ),
        pytest.param(
            _record(lambda f: f["image/height"].float_list.value.append(1.0)),
            "image/height is a float_list, expected a int64_list",
            id="wrong-type",
        ),
    ],
)
def test_malformed_examples_are_named(record, problem):
    with pytest.raises(UserError) as error:
        example.parse(record, "x.tfrecord: record 7 (byte 99)")
    assert str(error.value).startswith("x.tfrecord: record 7 (byte 99): ")
    assert problem in str(error.value)


def test_match_is_sorted_and_takes_several_globs(tmp_path):
    for name in ("b.tfrecord", "a.tfrecord", "c.other"):
        (tmp_path / name).touch()
    (tmp_path / "d.tfrecord").mkdir()
    found = records.match(f"{tmp_path}/*.tfrecord,{tmp_path}/c.*")
    assert [path.name for path in found] == ["a.tfrecord", "b.tfrecord", "c.other"]


def test_a_glob_that_matches_nothing_names_the_command_that_makes_records(tmp_path):
    (tmp_path / "a.tfrecord").touch()
    with pytest.raises(UserError) as error:
        records.match(f"{tmp_path}/a.*,{tmp_path}/val-*")
    assert str(error.value).startswith(f"{tmp_path}/val-*: no records match; ")
    assert "bazel run //python:prepare" in str(error.value)
