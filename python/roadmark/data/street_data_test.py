"""Prepare on real data sets, where they are there: every format, with the counts known of each."""

import shutil

import pytest

from roadmark.data import preparation
from roadmark.data.formats.request import Request
from roadmark.data.preparation import Options
from roadmark.testing import street_data


@pytest.mark.parametrize(
    ("folder", "name", "images", "objects", "findings"),
    [
        ("kitti", "kitti", 13, 59, {"dont_care": 2, "has_score": 41}),
        ("coco/traffic_dataset", "coco", 97, 434, {}),
        ("yolo/overflow", "yolo", 30, 46, {}),
        ("voc/pascal_voc_sample", "voc", 4, 11, {}),
        ("csv/train", "roboflow_csv", 56, 91, {}),
    ],
)
def test_sets_are_recognised_and_read_whole(tmp_path, folder, name, images, objects, findings):
    request = Request(str(street_data.folder(folder)))
    card = preparation.prepare(Options(request, out=tmp_path / "out")).card
    assert card["source"]["format"] == name
    assert sum(split["images"] for split in card["splits"].values()) == images
    assert sum(split["objects"] for split in card["splits"].values()) == objects
    assert {rule: found["count"] for rule, found in card["findings"].items()} == findings


def test_drives_stay_whole_and_ids_are_numbered_anew(tmp_path):
    files = sorted(street_data.folder("waymo/val").glob("*.tfrecord"))[:4]
    for file in files:
        shutil.copy(file, tmp_path)
    shutil.copy(street_data.folder("waymo") / "label_map.pbtxt", tmp_path)
    request = Request(str(tmp_path))
    card = preparation.prepare(Options(request, "tfrecord", out=tmp_path / "out")).card
    assert card["source"]["split"] == "split: 1 of 4 groups to val, drawn with seed 0"
    assert card["splits"]["val"]["images"] == 20
    assert [(entry["id"], entry["original_id"]) for entry in card["classes"]] == [
        (1, 1),
        (2, 2),
        (3, 4),
    ]
    assert card["findings"] == {}
