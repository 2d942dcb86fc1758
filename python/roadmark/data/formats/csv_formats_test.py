"""Roboflow CSV and Open Images CSV: columns, names, groups, broken rows."""

import csv

import pytest

from roadmark.data.findings import Rule
from roadmark.data.formats import openimages, roboflow_csv
from roadmark.data.formats.request import Request
from roadmark.data.source import Units
from roadmark.errors import UserError
from roadmark.testing import pictures

ROBOFLOW = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
OPEN_IMAGES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf\n"


def test_roboflow_rows(tmp_path):
    pictures.write(tmp_path / "a_jpg.rf.0af1.jpg")
    rows = "a_jpg.rf.0af1.jpg,80,60,car,10,20,40,35\na_jpg.rf.0af1.jpg,80,60, bus ,1,2,3,4\n"
    (tmp_path / "_annotations.csv").write_text(ROBOFLOW + rows)
    source = roboflow_csv.read(Request(str(tmp_path)))
    (image,) = source.images
    car, bus = image.load().objects
    assert (car.class_name, car.box, car.place) == ("car", (20, 10, 35, 40), "line 2")
    assert bus.class_name == "bus"
    assert (image.stated_size, image.group, image.units) == ((60, 80), "a_jpg.jpg", Units.PIXELS)


def test_roboflow_folders_are_splits(tmp_path):
    for split in ("train", "valid", "test"):
        pictures.write(tmp_path / split / "a.jpg")
        (tmp_path / split / "_annotations.csv").write_text(ROBOFLOW + "a.jpg,80,60,car,1,2,3,4\n")
    images = roboflow_csv.read(Request(str(tmp_path))).images
    assert sorted(image.split for image in images) == ["test", "train", "val"]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        pytest.param("a.jpg,80,60,car,1,x,3,4", Rule.MALFORMED, id="text-for-a-number"),
        pytest.param("a.jpg,80,60,car,1", Rule.MALFORMED, id="short-row"),
        pytest.param("gone.jpg,80,60,car,1,2,3,4", Rule.MISSING_IMAGE, id="no-picture"),
    ],
)
def test_roboflow_faults_are_entered_with_their_line(tmp_path, row, rule):
    pictures.write(tmp_path / "a.jpg")
    (tmp_path / "x.csv").write_text(f"{ROBOFLOW}a.jpg,80,60,car,1,2,3,4\n{row}\n")
    (finding,) = roboflow_csv.read(Request(str(tmp_path))).ledger.findings
    assert (finding.rule, finding.where) == (rule, f"{tmp_path}/x.csv: line 3")


def test_open_images_names_groups_and_shares(tmp_path):
    pictures.write(tmp_path / "train/0a1b.jpg")
    (tmp_path / "class-descriptions-boxable.csv").write_text("/m/0k4j,Car\n/m/01g317,Person\n")
    rows = (
        "0a1b,xclick,/m/0k4j,1,0.1,0.5,0.2,0.8,0\n"
        "0a1b,xclick,/m/01g317,1,0,1,0,1,1\n"
        "0a1b,xclick,/m/unknown,1,0,1,0,1,0\n"
        "notdownloaded,xclick,/m/0k4j,1,0,1,0,1,0\n"
    )
    (tmp_path / "train-annotations-bbox.csv").write_text(OPEN_IMAGES + rows)
    source = openimages.read(Request(str(tmp_path)))
    (image,) = source.images
    car, people, code = image.load().objects
    assert (car.class_name, car.box) == ("Car", (0.2, 0.1, 0.8, 0.5))
    assert (people.class_name, people.is_crowd) == ("Person", True)
    assert code.class_name == "/m/unknown"
    assert (image.units, image.source_id) == (Units.NORMALISED, "0a1b")
    (finding,) = source.ledger.findings
    assert (finding.rule, finding.found) == (Rule.NOT_DOWNLOADED, "1 pictures with 1 boxes")


def test_open_images_names_that_are_not_utf_8(tmp_path):
    pictures.write(tmp_path / "a.jpg")
    (tmp_path / "x.csv").write_text(OPEN_IMAGES)
    (tmp_path / "class-descriptions.csv").write_bytes("/m/1,Car\n/m/2,Piéton".encode("latin-1"))
    with pytest.raises(UserError, match=r"class-descriptions\.csv: line 2: not UTF-8 text"):
        openimages.read(Request(str(tmp_path)))


LONG = "x" * (csv.field_size_limit() + 1)


@pytest.mark.parametrize(
    ("reader", "file", "text"),
    [
        (roboflow_csv, "x.csv", f"{ROBOFLOW}{LONG},80,60,car,1,2,3,4\n"),
        (openimages, "x.csv", f"{OPEN_IMAGES}{LONG},x,/m/1,1,0,1,0,1,0\n"),
        (openimages, "class-descriptions.csv", f"/m/1,Car\n/m/2,{LONG}\n"),
    ],
    ids=["roboflow", "open-images", "class-names"],
)
def test_a_field_that_is_too_long_is_named_by_file_and_line(tmp_path, reader, file, text):
    pictures.write(tmp_path / "a.jpg")
    (tmp_path / "x.csv").write_text(OPEN_IMAGES)
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=f"{file}: line 2: not CSV: field larger"):
        reader.read(Request(str(tmp_path)))


def test_another_csv_file_with_a_long_field_is_passed_over(tmp_path):
    (tmp_path / "x.csv").write_text(LONG)
    assert not openimages.detect(tmp_path)


@pytest.mark.parametrize("reader", [roboflow_csv, openimages])
def test_a_folder_without_such_csv_files(tmp_path, reader):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"no \.csv file with the columns"):
        reader.read(Request(str(tmp_path)))
