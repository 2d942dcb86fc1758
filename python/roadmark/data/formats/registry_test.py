"""Finding out the format of a folder; formats that only Datumaro reads."""

import json

import pytest

from roadmark.data.findings import Rule
from roadmark.data.formats import registry
from roadmark.data.formats.request import Request
from roadmark.errors import UserError
from roadmark.testing import pictures, small_records

CVAT = """<annotations><meta><task><labels><label><name>car</name></label></labels></task></meta>
<image id="0" name="a.jpg" width="80" height="60">
<box label="car" xtl="10" ytl="20" xbr="40" ybr="35" occluded="0"/>
<polygon label="car" points="1,2;30,4;5,40" occluded="0"/>
<points label="car" points="5,5" occluded="0"/>
</image></annotations>"""


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("coco", "x.json", '{"images": [], "annotations": [], "categories": []}'),
        ("voc", "x.xml", "<annotation></annotation>"),
        ("yolo", "data.yaml", "names: [car]"),
        ("kitti", "label_2/x.txt", ""),
        ("openimages", "x.csv", "ImageID,LabelName,XMin,XMax,YMin,YMax\n"),
        ("roboflow_csv", "x.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n"),
        ("tfrecord", "x-00000-of-00002", ""),
    ],
)
def test_each_format_is_recognised_and_no_other(tmp_path, name, file, text):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert registry.detect(tmp_path) == name


def test_no_format_or_two_are_named(tmp_path):
    with pytest.raises(UserError, match="holds no format known here; say which with --from="):
        registry.detect(tmp_path)
    (tmp_path / "annotations.xml").write_text(CVAT)
    with pytest.raises(UserError, match="holds no format known here"):
        registry.detect(tmp_path)
    small_records.write(tmp_path)
    (tmp_path / "data.yaml").write_text("names: [car]")
    with pytest.raises(UserError, match="looks like yolo and tfrecord"):
        registry.detect(tmp_path)


def test_rendered_scenes_need_a_number():
    with pytest.raises(UserError, match="--num_images=1: expected 2 or more"):
        registry.read("synthetic", Request(num_images=1))


def test_datumaro_reads_other_formats(tmp_path):
    pictures.write(tmp_path / "images/a.jpg")
    (tmp_path / "annotations.xml").write_text(CVAT)
    request = Request(str(tmp_path), datumaro_format="cvat")
    _, source = registry.read("datumaro", request)
    (image,) = source.images
    box, polygon = image.load().objects
    assert (box.class_name, box.box) == ("car", (20, 10, 35, 40))
    assert polygon.mask.parts == ((1, 2, 30, 4, 5, 40),)
    assert [finding.rule for finding in source.ledger.findings] == [Rule.OTHER_ANNOTATION]


@pytest.mark.parametrize(
    ("name", "problem"),
    [("no_such_format", "not a format of Datumaro"), ("cvat", "Datumaro cannot read it")],
)
def test_what_datumaro_cannot_read(tmp_path, name, problem):
    pictures.write(tmp_path / "images/a.jpg")
    (tmp_path / "annotations.xml").write_text(CVAT[:-30])
    with pytest.raises(UserError, match=problem):
        registry.read("datumaro", Request(str(tmp_path), datumaro_format=name))


def test_what_datumaro_leaves_out_with_a_warning_is_noted(tmp_path):
    pictures.write(tmp_path / "images/train/a.jpg")
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 80, "height": 60}],
        "annotations": [annotation, annotation | {"id": 2, "image_id": 99}],
        "categories": [{"id": 1, "name": "car"}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_train.json").write_text(json.dumps(content))
    request = Request(str(tmp_path), datumaro_format="coco_instances")
    _, source = registry.read("datumaro", request)
    (image,) = source.images
    assert (image.split, len(image.load().objects)) == ("train", 1)
    assert {finding.rule for finding in source.ledger.findings} == {Rule.READER_WARNING}
    assert "Unknown image id '99'" in [finding.found for finding in source.ledger.findings]
