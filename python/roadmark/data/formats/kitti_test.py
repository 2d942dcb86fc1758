"""KITTI labels: columns, DontCare, scores, drives."""

import pytest

from roadmark.data.findings import Rule
from roadmark.data.formats import kitti
from roadmark.data.formats.request import Request
from roadmark.errors import UserError
from roadmark.testing import pictures

CAR = "Car 0.00 0 -1.57 10.5 20 40 35 1.5 1.6 4.0 0 1 20 0"


def _write(folder, frame, *lines, picture=True):
    labels = folder / "training/label_2"
    labels.mkdir(parents=True, exist_ok=True)
    (labels / f"{frame:06d}.txt").write_text("\n".join(lines) + "\n")
    if picture:
        pictures.write(folder / f"training/image_2/{frame:06d}.png")


def test_boxes_and_classes(tmp_path):
    _write(tmp_path, 0, CAR, CAR.replace("Car", "Cyclist"))
    source = kitti.read(Request(str(tmp_path)))
    (image,) = source.images
    car, cyclist = image.load().objects
    assert (car.class_name, car.box, car.place) == ("Car", (20, 10.5, 35, 40), "line 1")
    assert cyclist.class_name == "Cyclist"
    # `training` is all that has labels, not one side of a split.
    assert image.split is None


@pytest.mark.parametrize(
    ("line", "rule", "kept"),
    [
        pytest.param(CAR.replace("Car", "DontCare"), Rule.DONT_CARE, 1, id="dont-care"),
        pytest.param(f"{CAR} 0.93", Rule.HAS_SCORE, 2, id="detectors-output"),
        pytest.param("Car 0 0 0 1 2", Rule.MALFORMED, 1, id="too-few-columns"),
        pytest.param(CAR.replace("10.5", "left"), Rule.MALFORMED, 1, id="no-number"),
        pytest.param(f"{CAR} 1 2", Rule.MALFORMED, 1, id="too-many-columns"),
    ],
)
def test_lines_that_are_no_plain_label(tmp_path, line, rule, kept):
    _write(tmp_path, 0, CAR, line)
    source = kitti.read(Request(str(tmp_path)))
    (finding,) = source.ledger.findings
    assert finding.rule is rule
    assert finding.where.endswith("000000.txt: line 2")
    assert len(source.images[0].load().objects) == kept


def test_labels_without_picture_and_picture_without_labels(tmp_path):
    _write(tmp_path, 0, CAR)
    _write(tmp_path, 1, CAR, picture=False)
    pictures.write(tmp_path / "training/image_2/000002.png")
    rules = [f.rule for f in kitti.read(Request(str(tmp_path))).ledger.findings]
    assert rules == [Rule.MISSING_IMAGE, Rule.NO_ANNOTATION]


def test_frames_of_a_drive_are_one_group(tmp_path):
    for frame in range(3):
        _write(tmp_path, frame, CAR)
    mapping = tmp_path / "mapping"
    mapping.mkdir()
    (mapping / "train_mapping.txt").write_text("d one 0\nd two 5\nd one 9\n")
    # Frame 0 is line 3 of the mapping, frame 1 line 2, frame 2 line 1.
    (mapping / "train_rand.txt").write_text("3,2,1")
    assert [i.group for i in kitti.read(Request(str(tmp_path))).images] == ["one", "two", "one"]


@pytest.mark.parametrize(
    ("mapping", "order", "problem"),
    [
        pytest.param("d one 0\nshort\n", "1", "train_mapping.txt: line 2: 'short'", id="mapping"),
        pytest.param("d one 0\n", "1,\nx", "train_rand.txt: line 2: 'x'", id="no-number"),
        pytest.param("d one 0\n", "0", "train_rand.txt: line 1: '0'", id="zero"),
        pytest.param("d \xe9 0\n", "1", "train_mapping.txt: line 1: not UTF-8", id="latin-1"),
    ],
)
def test_damaged_files_of_the_devkit_are_named_by_line(tmp_path, mapping, order, problem):
    _write(tmp_path, 0, CAR)
    (tmp_path / "train_mapping.txt").write_bytes(mapping.encode("latin-1"))
    (tmp_path / "train_rand.txt").write_text(order)
    with pytest.raises(UserError, match=problem):
        kitti.read(Request(str(tmp_path)))
