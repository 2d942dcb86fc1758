"""From errors to data: which pictures are chosen, and what other software reads of them."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from roadmark.data import example, tfrecord
from roadmark.data.formats import coco
from roadmark.data.formats.request import Request
from roadmark.evaluation import mining, records
from roadmark.testing import small_records
from roadmark.testing.marked_and_found import BOX, FAR, NAMES, picture

_RIGHT = [(1, 0.9, BOX)]


def _reasons(chosen):
    return {key: [reason.kind for reason in reasons] for key, reasons in chosen.items()}


def test_kinds_take_turns_and_the_worst_come_first():
    pictures = [
        picture([(1, BOX)], _RIGHT, name="right"),
        picture([(1, BOX)], [*_RIGHT, (1, 0.92, FAR)], name="alarm"),
        picture([(1, BOX)], [*_RIGHT, (1, 0.95, FAR)], name="surer alarm"),
        picture([(1, BOX), (1, FAR)], _RIGHT, name="miss"),
        picture([(1, BOX), (1, [0, 0, 9, 9])], _RIGHT, name="small miss"),
    ] + [picture([(1, BOX)], _RIGHT, name=f"more {n}") for n in range(9)]
    assert _reasons(mining.mine(pictures, NAMES, 2)) == {2: ["false positive"], 3: ["missed"]}
    assert list(mining.mine(pictures, NAMES, 9)) == [2, 3, 1, 4]
    assert mining.mine(pictures[:1], NAMES, 9) == {}


def test_no_drive_fills_the_list():
    found = [*_RIGHT, (1, 0.95, FAR)]
    pictures = [picture([(1, BOX)], found, name=f"a/{n}.jpg") for n in range(8)]
    pictures += [picture([(1, BOX)], found, name=f"b/{n}.jpg") for n in range(2)]
    assert sorted(mining.mine(pictures, NAMES, 4)) == [0, 1, 8, 9]


def test_disagreements_with_another_model():
    marked = [(1, BOX), (1, FAR)]
    both = [(1, 0.9, BOX), (1, 0.8, FAR)]
    own = [picture(marked, both), picture(marked, both), picture(marked, both)]
    other = [picture(marked, both), picture(marked, [*both, (1, 0.85, [0, 0, 60, 60])]),
             picture(marked, both[:1])]  # fmt: skip
    chosen = mining.mine(own, NAMES, 5, other=other)
    assert _reasons(chosen) == {1: ["only the other model"], 2: ["only this model"]}
    assert mining.mine(own, NAMES, 5, other=own) == {}


@pytest.fixture(scope="module")
def mined(tmp_path_factory):
    """Pictures 1 and 3 of four: a false alarm at the corner of one, all of the other missed."""
    folder = tmp_path_factory.mktemp("here")
    names = ["drive/a.png", "../a.png", "b.jpg", "drive/a.png"]
    images = [dataclasses.replace(small_records.picture(n), filename=names[n]) for n in range(4)]
    with tfrecord.RecordWriter(folder / "pool-0") as writer:
        for image in images:
            writer.write(example.serialise(image))
    selection = records.select(str(folder / "pool-0"))
    pictures = []
    for number, image in enumerate(images):
        marked = list(zip(image.class_ids.tolist(), image.boxes_in_pixels.tolist(), strict=True))
        found = [(c, 0.9, box) for c, box in marked] if number < 3 else []
        found += [(1, 0.95, [40, 40, 63, 63])] if number == 1 else []
        pictures.append(picture(marked, found, name=image.filename))
    chosen = mining.mine(pictures, small_records.NAMES, 2)
    said = mining.write(chosen, small_records.NAMES, selection, folder / "mined")
    return folder / "mined", images, said


def test_the_records_are_those_of_the_pool(mined):
    folder, images, said = mined
    frames = tfrecord.scan(folder / mining.RECORDS)
    kept = [example.parse(tfrecord.intact(frame), "") for frame in frames]
    assert [image.encoded for image in kept] == [images[1].encoded, images[3].encoded]
    assert said.startswith("mined 2 of 4 pictures: ")
    assert "1 x false positive" in said


def test_our_own_reader_takes_the_labels_back(mined):
    folder, images, _ = mined
    source = coco.read(Request(str(folder / mining.LABELS)))
    assert source.ledger.findings == []
    assert [image.name for image in source.images] == ["images/a.png", "images/drive/a.png"]
    for read, image in zip(source.images, (images[1], images[3]), strict=True):
        objects = read.load().objects
        assert [one.class_name for one in objects] == list(image.class_names)
        for one, box in zip(objects, image.boxes_in_pixels, strict=True):
            assert one.box == pytest.approx(box.tolist(), abs=0.02)
            assert one.mask is None


def test_pycocotools_reads_labels_and_suggestions(mined):
    from pycocotools.coco import COCO

    labels, suggestions = (COCO(str(mined[0] / n)) for n in (mining.LABELS, mining.SUGGESTIONS))
    assert labels.getImgIds() == suggestions.getImgIds() == [1, 2]
    (alarm,) = suggestions.loadAnns(suggestions.getAnnIds())
    assert (alarm["image_id"], alarm["bbox"], alarm["score"]) == (1, [40, 40, 23, 23], 0.95)
    assert alarm["attributes"] == {"check": "false positive", "kind": "background"}
    checks = {a["image_id"]: a["attributes"]["check"] for a in labels.dataset["annotations"]}
    assert checks == {1: "", 2: "missed"}
    with open(mined[0] / mining.LIST, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["reason"] for row in rows} == {"false positive", "missed"}
    assert json.loads((mined[0] / mining.LABELS).read_text())["categories"][0] == {
        "id": 1,
        "name": "vehicle",
        "supercategory": "",
    }


def test_datumaro_opens_the_folder(mined):
    """CVAT reads its COCO archives with it."""
    import datumaro

    folder, images, _ = mined
    found = datumaro.Dataset.import_from(str(folder), "coco")
    classes = found.categories()[datumaro.AnnotationType.label]
    assert [one.name for one in classes.items] == list(small_records.NAMES.values())
    assert sorted((item.subset, item.id) for item in found) == [
        ("labels", "a"),
        ("labels", "drive/a"),
        ("suggestions", "a"),
        ("suggestions", "drive/a"),
    ]
    item = found.get("drive/a", "labels")
    assert item.media.data.shape == (64, 64, 3)
    boxes = [(box.y, box.x, box.y + box.h, box.x + box.w) for box in item.annotations]
    np.testing.assert_allclose(sorted(boxes), sorted(images[3].boxes_in_pixels.tolist()), atol=0.02)
    assert {box.attributes["check"] for box in item.annotations} == {"missed"}
