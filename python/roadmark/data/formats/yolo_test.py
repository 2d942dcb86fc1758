"""YOLO text files: boxes and polygons, where names and splits come from, broken lines."""

import pytest

from roadmark.data.findings import Rule
from roadmark.data.formats import yolo
from roadmark.data.formats.request import Request
from roadmark.data.source import Polygons
from roadmark.errors import UserError
from roadmark.testing import pictures

LIST = "names: [person, car]\n"
NUMBERED = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: person\n  1: car\n"


def _write(folder, name, text):
    """A picture `images/<name>.jpg` and, unless `text` is None, its `labels/<name>.txt`."""
    pictures.write(folder / f"images/{name}.jpg")
    if text is not None:
        path = folder / f"labels/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _read(folder, names=LIST):
    (folder / "data.yaml").write_text(names)
    return yolo.read(Request(str(folder)))


def test_boxes_are_centres_and_sides(tmp_path):
    _write(tmp_path, "a", "1 0.5 0.25 0.2 0.1\n\n0 0.5 0.5 1 1\n")
    source = _read(tmp_path)
    car, person = source.images[0].load().objects
    assert car.box == pytest.approx((0.2, 0.4, 0.3, 0.6))
    assert (car.class_name, person.class_name, person.place) == ("car", "person", "line 3")
    assert source.class_ids == {"person": 0, "car": 1}


def test_polygons(tmp_path):
    _write(tmp_path, "a", "1 0.1 0.2 0.5 0.2 0.5 0.6\n")
    source = _read(tmp_path)
    (car,) = source.images[0].load().objects
    assert car.mask == Polygons(((0.1, 0.2, 0.5, 0.2, 0.5, 0.6),))
    assert car.box == (0.2, 0.1, 0.6, 0.5)
    assert source.has_masks


@pytest.mark.parametrize("names", [NUMBERED, LIST], ids=["data.yaml", "folders"])
def test_splits(tmp_path, names):
    _write(tmp_path, "train/a", "0 0.5 0.5 0.2 0.2")
    _write(tmp_path, "val/a", "0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2")
    images = _read(tmp_path, names).images
    assert [(image.split, len(image.load().objects)) for image in images] == [
        ("train", 1),
        ("val", 2),
    ]


def test_a_list_of_pictures_gives_the_split(tmp_path):
    _write(tmp_path, "a", "0 0.5 0.5 0.2 0.2")
    _write(tmp_path, "b", "0 0.5 0.5 0.2 0.2")
    (tmp_path / "t.txt").write_text("images/b.jpg\n")
    (tmp_path / "v.txt").write_text("images/a.jpg\n")
    images = _read(tmp_path, LIST + "train: t.txt\nval: v.txt\n").images
    assert [image.split for image in images] == ["val", "train"]


def test_a_picture_without_text_file_has_no_objects(tmp_path):
    _write(tmp_path, "a", "0 0.5 0.5 0.2 0.2")
    _write(tmp_path, "b", None)
    source = _read(tmp_path)
    assert [len(image.load().objects) for image in source.images] == [1, 0]
    assert source.ledger.findings == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        pytest.param("7 0.5 0.5 0.2 0.2", Rule.UNKNOWN_CLASS, id="class-without-name"),
        pytest.param("0 0.5 0.5 0.2", Rule.MALFORMED, id="a-value-missing"),
        pytest.param("0 0.5 0.5 0.2 0.2 0.9", Rule.MALFORMED, id="a-score-behind"),
        pytest.param("0.5 0.5 0.5 0.2 0.2", Rule.MALFORMED, id="fractional-class"),
        pytest.param("car 0.5 0.5 0.2 0.2", Rule.MALFORMED, id="class-name"),
    ],
)
def test_broken_lines_are_entered_with_their_number(tmp_path, line, rule):
    _write(tmp_path, "a", f"0 0.5 0.5 0.2 0.2\n{line}\n")
    source = _read(tmp_path)
    (finding,) = source.ledger.findings
    assert finding.rule is rule
    assert finding.where == f"{tmp_path}/labels/a.txt: line 2"
    assert len(source.images[0].load().objects) == 1


def test_a_text_file_without_picture(tmp_path):
    _write(tmp_path, "a", "0 0.5 0.5 0.2 0.2")
    (tmp_path / "labels/gone.txt").write_text("0 0.5 0.5 0.2 0.2")
    (tmp_path / "README.txt").write_text("Thank you for downloading.")
    (finding,) = _read(tmp_path).ledger.findings
    assert (finding.rule, finding.where) == (Rule.MISSING_IMAGE, f"{tmp_path}/labels/gone.txt")


@pytest.mark.parametrize("file", ["data.yaml", "classes.txt"])
def test_names_that_are_not_utf_8_are_named_by_file_and_line(tmp_path, file):
    _write(tmp_path, "a", "0 0.5 0.5 0.2 0.2")
    (tmp_path / file).write_bytes("# x\nnames: [piéton]\n".encode("latin-1"))
    with pytest.raises(UserError, match=f"{file}: line 2: not UTF-8 text"):
        yolo.read(Request(str(tmp_path)))


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        pytest.param("names: 3\n", "neither a list nor", id="names-is-a-number"),
        pytest.param("names: [a\n", "not YAML", id="not-yaml"),
        pytest.param("classes: [a]\n", "no data.yaml with `names`", id="no-names"),
    ],
)
def test_names_that_cannot_be_read(tmp_path, names, problem):
    _write(tmp_path, "a", "0 0.5 0.5 0.2 0.2")
    with pytest.raises(UserError, match=problem):
        _read(tmp_path, names)
