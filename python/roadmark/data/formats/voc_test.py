"""Pascal VOC XML: the official layout, labelImg's, and files that do not parse."""

import pytest

from roadmark.data.findings import Rule
from roadmark.data.formats import voc
from roadmark.data.formats.request import Request
from roadmark.errors import UserError
from roadmark.testing import pictures

BOX = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax><ymax>35.5</ymax></bndbox>"


def _object(box=BOX, name="car", difficult=0):
    return f"<object><name>{name}</name><difficult>{difficult}</difficult>{box}</object>"


def _xml(objects, filename="a.jpg", size=(60, 80)):
    height, width = size
    return (
        f"<annotation><filename>{filename}</filename><size><width>{width}</width>"
        f"<height>{height}</height><depth>3</depth></size>{objects}</annotation>"
    )


def _write(folder, stem, xml, picture=True):
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    (folder / f"Annotations/{stem}.xml").write_text(xml)
    if picture:
        pictures.write(folder / f"JPEGImages/{stem}.jpg")


def test_objects_sizes_and_classes(tmp_path):
    _write(tmp_path, "a", _xml(_object() + _object(name="bus", difficult=1)))
    source = voc.read(Request(str(tmp_path)))
    (image,) = source.images
    car, bus = image.load().objects
    assert (image.name, image.stated_size) == ("JPEGImages/a.jpg", (60, 80))
    assert (car.class_name, car.box, car.difficult) == ("car", (20, 10, 35.5, 40), False)
    assert (bus.class_name, bus.difficult) == ("bus", True)
    assert source.class_ids == {"bus": None, "car": None}
    assert source.ledger.findings == []


def test_image_sets_give_the_split(tmp_path):
    for stem in ("a", "b"):
        _write(tmp_path, stem, _xml(_object()))
    sets = tmp_path / "ImageSets/Main"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("b\n")
    (sets / "val.txt").write_text("a\n")
    images = voc.read(Request(str(tmp_path))).images
    assert [(image.name[-5:], image.split) for image in images] == [
        ("a.jpg", "val"),
        ("b.jpg", "train"),
    ]


def test_the_files_own_name_goes_before_a_stale_filename(tmp_path):
    _write(tmp_path, "a", _xml(_object(), filename="b.jpg"))
    _write(tmp_path, "b", _xml(_object() * 2, filename="b.jpg"))
    images = voc.read(Request(str(tmp_path))).images
    assert [len(image.load().objects) for image in images] == [1, 2]


def test_a_size_of_zero_states_nothing(tmp_path):
    _write(tmp_path, "a", _xml(_object(), size=(0, 0)))
    assert voc.read(Request(str(tmp_path))).images[0].stated_size is None


@pytest.mark.parametrize(
    ("xml", "picture", "rule", "where"),
    [
        pytest.param(_xml(_object())[:-9], True, Rule.MALFORMED, "b.xml: line 1", id="truncated"),
        pytest.param(
            _xml(_object() + _object(box="")), True, Rule.MALFORMED, "object 1", id="no-box"
        ),
        pytest.param(
            _xml(_object(box=BOX.replace("40", "wide"))),
            True,
            Rule.MALFORMED,
            "object 0",
            id="text",
        ),
        pytest.param(
            _xml(_object(), filename="c.jpg"), False, Rule.MISSING_IMAGE, "b.xml", id="no-picture"
        ),
    ],
)
def test_faults_are_entered_with_file_and_object(tmp_path, xml, picture, rule, where):
    _write(tmp_path, "a", _xml(_object()))
    _write(tmp_path, "b", xml, picture)
    ledger = voc.read(Request(str(tmp_path))).ledger
    assert ledger.findings[0].rule is rule
    assert where in ledger.findings[0].where


def test_a_picture_without_xml_is_no_background(tmp_path):
    _write(tmp_path, "a", _xml(_object()))
    pictures.write(tmp_path / "JPEGImages/b.jpg")
    (finding,) = voc.read(Request(str(tmp_path))).ledger.findings
    assert (finding.rule, finding.where[-5:]) == (Rule.NO_ANNOTATION, "b.jpg")


def test_a_folder_without_xml(tmp_path):
    with pytest.raises(UserError, match=r"no Pascal VOC \.xml file"):
        voc.read(Request(str(tmp_path)))
