import contextlib
import csv
import io
import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from roadmark.detections import Detections
from roadmark.video.detections_file import DetectionsFile

_NAMES = {1: "car", 4: "cyclist"}


def found(masks=False, track_ids=False):
    mask = np.zeros((2, 20, 30), bool)
    mask[0, 2:8, 3:13] = mask[1, 10:15, 20:24] = True
    return Detections(
        boxes=np.array([[2, 3, 8, 13], [10, 20, 15.25, 24.5]], np.float32),
        scores=np.array([0.9, 0.5], np.float32),
        classes=np.array([1, 4], np.int32),
        masks=mask if masks else None,
        track_ids=np.array([7, 9], np.int32) if track_ids else None,
    )


def write(path, *additions):
    with DetectionsFile(path, _NAMES) as file:
        for addition in additions:
            file.add(*addition)
    return path


def test_json_is_a_coco_data_set_with_scores(tmp_path):
    path = write(
        tmp_path / "a.json",
        ("a.mp4", (20, 30), found(masks=True, track_ids=True), 0, 0.0),
        ("a.mp4", (20, 30), Detections.empty(), 1, 1001 / 30000),
        ("a.mp4", (20, 30), found(), 2, 2002 / 30000),
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(path)
    assert coco.loadCats([1, 4]) == [{"id": 1, "name": "car"}, {"id": 4, "name": "cyclist"}]
    assert coco.loadImgs([2]) == [
        {"id": 2, "file_name": "a.mp4", "height": 20, "width": 30}
        | {"frame_index": 1, "time_s": 0.033367}
    ]
    assert [len(coco.getAnnIds([image])) for image in (1, 2, 3)] == [2, 0, 2]
    first, last = coco.loadAnns([1, 4])
    assert (first["bbox"], first["score"], first["track_id"]) == ([3, 2, 10, 6], 0.9, 7)
    assert first["area"] == 60
    np.testing.assert_array_equal(coco_mask.decode(first["segmentation"]), found(True).masks[0])
    assert last["bbox"] == [20, 10, 4.5, 5.25]
    assert "segmentation" not in last
    assert "track_id" not in last


def test_json_of_nothing_is_whole(tmp_path):
    written = json.loads(write(tmp_path / "a.json").read_text())
    assert (written["images"], written["annotations"]) == ([], [])


def test_json_of_pictures_numbers_images_and_objects(tmp_path):
    with DetectionsFile(tmp_path / "a.json", _NAMES) as file:
        for index in range(3):
            file.add(f"{index}.jpg", (20, 30), found())
    written = json.loads((tmp_path / "a.json").read_text())
    assert [image["file_name"] for image in written["images"]] == ["0.jpg", "1.jpg", "2.jpg"]
    assert [entry["image_id"] for entry in written["annotations"]] == [1, 1, 2, 2, 3, 3]
    assert len({entry["id"] for entry in written["annotations"]}) == 6


@pytest.mark.parametrize(
    ("place", "frame", "time"), [((3, 0.5), "3", "0.5"), ((), "", "")], ids=["video", "pictures"]
)
def test_csv_has_a_row_per_object(tmp_path, place, frame, time):
    path = write(tmp_path / "a.csv", ("a, b.jpg", (20, 30), found(), *place))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert rows[1] == {
        "file_name": "a, b.jpg",
        "frame_index": frame,
        "time_s": time,
        "category_id": "4",
        "category": "cyclist",
        "score": "0.5",
        "xmin": "20.0",
        "ymin": "10.0",
        "xmax": "24.5",
        "ymax": "15.25",
        "track_id": "",
    }
