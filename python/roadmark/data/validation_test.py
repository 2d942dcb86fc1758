"""Judging: each fault of a picture, a box or a mask falls under its rule."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from roadmark.data import masks, validation
from roadmark.data.findings import Rule
from roadmark.data.source import Polygons, RunLengths, SourceObject, Units, of_file
from roadmark.data.validation import Rules
from roadmark.testing import pictures

RULES = Rules({"car": 1, "bus": 4}, with_masks=False)
WITH_MASKS = Rules({"car": 1, "bus": 4}, with_masks=True)
BOX = (10.0, 20.0, 30.0, 60.0)
SQUARE = Polygons(((20, 10, 60, 10, 60, 30, 20, 30),))


def _judge(path, *objects, rules=RULES, units=Units.PIXELS, stated_size=None):
    source = of_file(
        path,
        "a",
        "notes.json",
        objects,
        units=units,
        split=None,
        group="a",
        stated_size=stated_size,
    )
    return validation.judge(source, rules)


def _rules(judged):
    return [finding.rule for finding in judged.findings]


@pytest.fixture
def path(tmp_path):
    """A picture 60 high and 80 wide."""
    return pictures.write(tmp_path / "a.jpg")


def test_a_right_picture_becomes_a_record(path):
    objects = (
        SourceObject(BOX, "car", "line 1", difficult=True),
        SourceObject(BOX, "bus", "line 2", is_crowd=True),
    )
    judged = _judge(path, *objects, stated_size=(60, 80))
    image = judged.image
    assert judged.findings == ()
    assert (image.height, image.width, image.format) == (60, 80, "jpeg")
    assert image.encoded == path.read_bytes()
    np.testing.assert_allclose(image.boxes[0], [10 / 60, 20 / 80, 30 / 60, 60 / 80], rtol=1e-6)
    assert image.class_ids.tolist() == [1, 4]
    assert image.class_names == ("car", "bus")
    assert image.difficult.tolist() == [True, False]
    assert image.is_crowd.tolist() == [False, True]
    assert image.areas.tolist() == pytest.approx([800, 800])
    assert image.masks is None


@pytest.mark.parametrize(
    ("box", "expected", "rules"),
    [
        pytest.param((-5, 20, 30, 60), (0, 20, 30, 60), [Rule.CLIP_TO_IMAGE], id="over-the-top"),
        pytest.param((10, 20, 30, 95), (10, 20, 30, 80), [Rule.CLIP_TO_IMAGE], id="over-the-right"),
        pytest.param((10, 20, 60.01, 60), (10, 20, 60, 60), [], id="rounding-is-no-fault"),
        pytest.param((30, 20, 10, 60), BOX, [Rule.SWAP_CORNERS], id="upside-down"),
        pytest.param(
            (30, 95, 10, 20), (10, 20, 30, 80), [Rule.SWAP_CORNERS, Rule.CLIP_TO_IMAGE], id="both"
        ),
        pytest.param((10, 20, 10, 60), None, [Rule.EMPTY_BOX], id="no-height"),
        pytest.param((70, 20, 90, 60), None, [Rule.OUTSIDE_IMAGE], id="below-the-picture"),
        pytest.param((10, 80, 30, 90), None, [Rule.OUTSIDE_IMAGE], id="touching-the-edge"),
        pytest.param((math.nan, 20, 30, 60), None, [Rule.NOT_FINITE], id="nan"),
        pytest.param((10, 20, math.inf, 60), None, [Rule.NOT_FINITE], id="infinity"),
    ],
)
def test_boxes(path, box, expected, rules):
    judged = _judge(path, SourceObject(box, "car", "line 7"))
    assert _rules(judged) == rules
    assert all(finding.where == "notes.json: line 7 (a)" for finding in judged.findings)
    found = judged.image.boxes_in_pixels
    np.testing.assert_allclose(found, np.array([expected] if expected else []).reshape(-1, 4), 1e-5)
    assert judged.image.boxes.min(initial=0) >= 0
    assert judged.image.boxes.max(initial=1) <= 1


def test_normalised_boxes(path):
    judged = _judge(path, SourceObject((0.25, 0.5, 0.5, 1.0), "car", ""), units=Units.NORMALISED)
    np.testing.assert_array_equal(judged.image.boxes, [[0.25, 0.5, 0.5, 1.0]])


def test_unknown_classes_and_duplicates_are_dropped(path):
    objects = [SourceObject(BOX, name, f"line {n}") for n, name in enumerate(["car", "van", "car"])]
    judged = _judge(path, *objects)
    assert _rules(judged) == [Rule.UNKNOWN_CLASS, Rule.DUPLICATE_BOX]
    assert "class 'van'" in judged.findings[0].found
    assert len(judged.image) == 1


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param(b"<html>not found</html>", "not a picture", id="other-bytes"),
        pytest.param(b"", "an empty file", id="empty"),
        pytest.param(None, "truncated", id="truncated"),
    ],
)
def test_pictures_that_do_not_decode(path, data, found):
    path.write_bytes(path.read_bytes()[:-500] if data is None else data)
    judged = _judge(path, SourceObject(BOX, "car", ""))
    assert judged.image is None
    assert _rules(judged) == [Rule.UNREADABLE_IMAGE]
    assert found in judged.findings[0].found


def test_a_picture_that_vanished(tmp_path):
    assert _rules(_judge(tmp_path / "gone.jpg")) == [Rule.UNREADABLE_IMAGE]


@pytest.mark.parametrize(
    ("stated", "rule", "box"),
    [
        pytest.param((120, 160), Rule.SCALE_TO_IMAGE, (5, 10, 15, 30), id="resized-to-half"),
        pytest.param((80, 60), Rule.WRONG_SIZE, None, id="another-shape"),
    ],
)
def test_pictures_of_another_size_than_stated(path, stated, rule, box):
    judged = _judge(path, SourceObject(BOX, "car", ""), stated_size=stated)
    assert _rules(judged) == [rule]
    if box is None:
        assert judged.image is None
    else:
        np.testing.assert_allclose(judged.image.boxes_in_pixels[0], box, rtol=1e-5)


def test_a_record_that_states_a_wrong_size(path):
    box = SourceObject((0.25, 0.5, 0.5, 1.0), "car", "")
    judged = _judge(path, box, units=Units.NORMALISED, stated_size=(640, 640))
    assert _rules(judged) == [Rule.STATED_SIZE]
    assert (judged.image.height, judged.image.width) == (60, 80)


@pytest.mark.parametrize("suffix", ["bmp", "webp", "gif", "tiff"])
def test_formats_that_tensorflow_does_not_read_become_png(tmp_path, suffix):
    path = pictures.write(tmp_path / f"a.{suffix}")
    judged = _judge(path)
    assert _rules(judged) == [Rule.CONVERT_IMAGE]
    assert judged.image.format == "png"
    decoded = np.asarray(Image.open(io.BytesIO(judged.image.encoded)))
    np.testing.assert_array_equal(decoded, np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize(
    ("stated", "size", "rules"),
    [
        pytest.param(None, (80, 60), [Rule.APPLY_ORIENTATION], id="unstated"),
        pytest.param((80, 60), (80, 60), [Rule.APPLY_ORIENTATION], id="annotated-upright"),
        pytest.param((60, 80), (60, 80), [], id="annotated-as-stored"),
    ],
)
def test_exif_turns(tmp_path, stated, size, rules):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 60)).save(path, exif=exif)
    judged = _judge(path, stated_size=stated)
    assert _rules(judged) == rules
    assert (judged.image.height, judged.image.width) == size


def _decoded(encoded):
    return np.asarray(Image.open(io.BytesIO(encoded)))


def test_masks_become_png_of_0_and_1_and_give_the_area(path):
    judged = _judge(path, SourceObject(BOX, "car", "", mask=SQUARE), rules=WITH_MASKS)
    (mask,) = (_decoded(encoded) for encoded in judged.image.masks)
    expected = np.zeros((60, 80), np.uint8)
    expected[10:30, 20:60] = 1
    np.testing.assert_array_equal(mask, expected)
    assert judged.image.areas.tolist() == [800]
    assert judged.findings == ()


def test_normalised_polygons(path):
    mask = Polygons(((0.25, 0, 0.5, 0, 0.5, 0.5, 0.25, 0.5),))
    item = SourceObject((0, 0.25, 0.5, 0.5), "car", "", mask=mask)
    judged = _judge(path, item, rules=WITH_MASKS, units=Units.NORMALISED)
    assert masks.bounds(_decoded(judged.image.masks[0]) > 0) == (0, 20, 30, 40)


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(None, id="none"),
        pytest.param(Polygons(((1, 2, 3, 4),)), id="two-points"),
        pytest.param(Polygons(((1, 2, 30, 4, 5),)), id="odd-number-of-values"),
        pytest.param(Polygons(((1, 2, math.nan, 4, 5, 6),)), id="nan"),
        pytest.param(Polygons(((1, 1, 1, 1, 1, 1),)), id="no-pixels"),
        pytest.param(RunLengths((10, 20), 60, 80), id="runs-too-short"),
        pytest.param(RunLengths((100, 100), 10, 20), id="runs-of-another-size"),
        pytest.param(RunLengths("garbage!", 60, 80), id="compressed-runs-broken"),
        pytest.param(b"no png", id="broken-png"),
    ],
)
def test_objects_without_a_usable_mask_are_filled(path, mask):
    judged = _judge(path, SourceObject(BOX, "car", "", mask=mask), rules=WITH_MASKS)
    assert _rules(judged) == [Rule.MASK_FROM_BOX]
    assert masks.bounds(_decoded(judged.image.masks[0]) > 0) == (10, 20, 30, 60)


def test_an_object_without_box_takes_that_of_its_mask(path):
    judged = _judge(path, SourceObject(None, "car", "", mask=SQUARE), rules=WITH_MASKS)
    assert _rules(judged) == [Rule.BOX_FROM_MASK]
    np.testing.assert_allclose(judged.image.boxes_in_pixels, [BOX], rtol=1e-6)


def test_an_object_with_neither_is_dropped(path):
    judged = _judge(path, SourceObject(None, "car", "here"), rules=WITH_MASKS)
    assert _rules(judged) == [Rule.EMPTY_BOX]
    assert len(judged.image) == 0


@pytest.mark.parametrize("first", [0, 7])
def test_run_lengths_go_column_by_column(first):
    mask = np.zeros((5, 4), bool)
    mask[1:3, 1:] = True
    flat = mask.T.ravel()[first:]
    edges = np.flatnonzero(np.diff(flat.astype(int))) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    runs = [first + runs[0], *runs[1:]] if first == 0 else [6, runs[0] + 1, *runs[1:]]
    np.testing.assert_array_equal(masks.pixels(RunLengths(tuple(runs), 5, 4), 5, 4, (1, 1)), mask)
