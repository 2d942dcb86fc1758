import dataclasses
import json

import pytest

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.evaluation import coco, detections_reading, records
from roadmark.evaluation.recording import Recording, recording
from roadmark.odapi.label_map import LabelMap
from roadmark.testing import small_records
from roadmark.testing.marked_and_found import random_pictures

LABELS = LabelMap.of(small_records.NAMES)
ROW = {"image_id": "0", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}


def written(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def named(folder, names, masks=False):
    """A selection of one record per (file name, source id)."""
    pictures = iter(names)

    def change(image):
        name, source_id = next(pictures)
        return dataclasses.replace(image, filename=name, source_id=source_id)

    small_records.write(folder, len(names), shards=1, change=change, masks=masks)
    return records.select(str(folder / "train-*"))


def truth(selection, masks=False):
    """The objects of a selection as detections."""
    from roadmark.data import example

    for where, data in selection.records():
        marked = records.ground_truth(example.parse(data, where), where, masks)
        yield Detections(
            marked.boxes, 1 - marked.classes.astype("f4") / 10, marked.classes, marked.masks
        )


@pytest.mark.parametrize("masks", [False, True])
def test_what_an_evaluation_wrote_gives_its_numbers_again(tmp_path, masks):
    selection = named(tmp_path / "records", [(f"{n}.png", "") for n in range(5)], masks)
    with recording(tmp_path / "detections.json", LABELS.names) as first:
        expected = records.evaluate(selection, truth(selection, masks), LABELS, masks, first.add)
    again = Recording()
    found, notes = detections_reading.evaluate(
        tmp_path / "detections.json", LABELS, selection, again.add
    )
    assert notes == []
    assert found.metrics == expected
    assert found.metrics.summary["segm" if masks else "bbox"]["mAP"] == pytest.approx(1)
    assert [p.name for p in again.pictures] == [p.name for p in first.pictures]
    for one, other in zip(first.pictures, again.pictures, strict=True):
        assert one.found.boxes == pytest.approx(other.found.boxes, abs=1e-5)
        assert one.found.scores.tolist() == other.found.scores.tolist()
        assert one.found.masks is None


def test_an_evaluation_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(UserError), recording(tmp_path / "detections.json", LABELS.names):
        raise UserError("record 3", "damaged", "mend it")
    assert list(tmp_path.iterdir()) == []


def test_metrics_survive_the_file(tmp_path):
    """Boxes of any float32, and scores that are equal only to some digits."""
    pictures = random_pictures(2)
    path = tmp_path / "detections.json"
    names = {1: "vehicle", 2: "pedestrian", 4: "cyclist"}
    with recording(path, names) as recorded:
        for number, picture in enumerate(pictures):
            image = dataclasses.replace(small_records.picture(0), filename=f"{number}.png")
            recorded.add(image, picture.truth, picture.found)
    by_picture = detections_reading.read(path, LabelMap.of(names)).by_picture
    again = [by_picture[f"{number}.png"] for number in range(len(pictures))]
    given = [picture.truth for picture in pictures]
    before = coco.evaluate(given, [picture.found for picture in pictures], names)
    after = coco.evaluate(given, again, names)
    assert after.summary["bbox"] == pytest.approx(before.summary["bbox"], abs=1e-6)


@pytest.mark.parametrize(
    ("in_records", "in_file", "expected"),
    [
        pytest.param(("a/1.jpg", ""), "a/1.jpg", True, id="equal"),
        pytest.param(("a/1.jpg", ""), "1.png", True, id="without folder and suffix"),
        pytest.param(("1.jpg", ""), "/data/val/a/1.jpg", True, id="with more folders"),
        pytest.param(("1.jpg", ""), "C:\\val\\1.jpg", True, id="from Windows"),
        pytest.param(("a/1.jpg", ""), "b/1.jpg", False, id="of another folder"),
        pytest.param(("a/11.jpg", ""), "1.jpg", False, id="the end of the name alone"),
        pytest.param(("000139.jpg", ""), 139, True, id="a number that was a name"),
        pytest.param(("street.jpg", "139"), 139, True, id="the id of the set it came from"),
        pytest.param(("street.jpg", "139"), 140, False, id="another id"),
        pytest.param(("s_1.5_2.tfrecord", ""), "s_1.5_2", True, id="dots and a suffix"),
    ],
)
def test_which_picture_is_which(tmp_path, in_records, in_file, expected):
    selection = named(tmp_path / "records", [in_records, ("other.jpg", "")])
    path = written(tmp_path / "a.json", [ROW | {"image_id": in_file}, ROW | {"image_id": "other"}])
    names = detections_reading.assign(detections_reading.read(path, LABELS), selection)
    assert names == [str(in_file) if expected else None, "other"]


def test_classes_of_a_data_set_go_by_name_and_what_is_left_out_is_said(tmp_path):
    selection = named(tmp_path / "records", [("0.png", ""), ("1.png", "")])
    content = {
        "images": [{"id": 7, "file_name": "0.png"}, {"id": 8, "file_name": "9.png"}],
        "categories": [{"id": 0, "name": "cyclist"}, {"id": 1, "name": "dog"}],
        "annotations": [
            ROW | {"image_id": 7, "category_id": 0},
            ROW | {"image_id": 7, "category_id": 1},
        ],
    }
    path = written(tmp_path / "a.json", content)
    found = detections_reading.read(path, LABELS)
    assert found.by_picture["0.png"].classes.tolist() == [3]
    assert found.by_picture["0.png"].boxes.tolist() == [[2, 1, 6, 4]]
    _, notes = detections_reading.evaluate(path, LABELS, selection)
    assert notes == [
        "left out: 1 detections of 'dog', which is no class of the label map",
        "left out: 1 pictures that are not among the records",
        "taken as empty: 1 pictures that have no detections in the file",
    ]


def test_no_detections_at_all_is_a_result(tmp_path):
    selection = named(tmp_path / "records", [("0.png", "")])
    found, _ = detections_reading.evaluate(written(tmp_path / "a.json", []), LABELS, selection)
    assert found.metrics.summary["bbox"]["mAP"] == 0


_IMAGES = [{"id": 0, "file_name": "0.png"}]
_SET = {"images": _IMAGES, "categories": [{"id": 1, "name": "vehicle"}]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("{", "a.json: not JSON", id="not JSON"),
        pytest.param("3", "found neither a list nor an object", id="a number"),
        pytest.param({}, "found no list 'annotations'", id="another object"),
        pytest.param({"annotations": []}, "found no list 'images'", id="no images"),
        pytest.param([3], "detection 0: found no object", id="a list of numbers"),
        pytest.param([ROW, {}], "detection 1: image_id: found None", id="no image"),
        pytest.param([ROW | {"category_id": 1.5}], "category_id: found 1.5", id="half a class"),
        pytest.param([ROW | {"score": None}], "score: found None", id="no score"),
        pytest.param([ROW | {"score": 87}], "score: found 87, expected 0 to 1", id="per cent"),
        pytest.param([ROW | {"bbox": [1, 2, 3]}], "bbox: found [1, 2, 3]", id="three sides"),
        pytest.param([ROW | {"bbox": [1, 2, "3", 4]}], "bbox: found", id="text"),
        pytest.param([ROW | {"bbox": [1, 2, -3, 4]}], "no size below 0", id="inverted"),
        pytest.param(
            "[" + json.dumps(ROW).replace("0.5", "NaN") + "]", "score: found nan", id="nan"
        ),
        pytest.param(
            [ROW | {"category_id": 0}],
            "found classes id 0, expected label map: 1 vehicle, 2 pedestrian, 3 cyclist; number",
            id="classes that begin at 0",
        ),
        pytest.param(
            _SET | {"annotations": [ROW | {"image_id": 3}]}, "no image has id 3", id="no such image"
        ),
        pytest.param(
            _SET | {"images": _IMAGES * 2, "annotations": []},
            "images[1]: id 0 is",
            id="an id twice",
        ),
        pytest.param(
            _SET | {"images": [*_IMAGES, {"id": 1, "file_name": "0.png"}], "annotations": []},
            "images: '0.png' is there 2 times",
            id="frames of a video",
        ),
        pytest.param(
            _SET | {"categories": [{"id": 1}], "annotations": []},
            "categories[0]: found no text 'name'",
            id="a class without a name",
        ),
        pytest.param(
            [ROW | {"image_id": "x"}],
            "no picture is in the records: found 'x', expected names such as '1.png'",
            id="pictures of another set",
        ),
        pytest.param(
            [ROW | {"image_id": "a/0.jpg"}, ROW | {"image_id": "b/0.jpg"}],
            "'0.png' could be 'a/0.jpg' or 'b/0.jpg'",
            id="two pictures for one record",
        ),
        pytest.param(
            [ROW | {"segmentation": {"size": [3, 3], "counts": "09"}}],
            "found size [3, 3], expected [64, 64]",
            id="a mask of another size",
        ),
    ],
)
def test_mistakes(tmp_path, content, says):
    selection = named(tmp_path / "records", [("0.png", ""), ("1.png", "")], masks=True)
    with pytest.raises(UserError) as refused:
        detections_reading.evaluate(written(tmp_path / "a.json", content), LABELS, selection)
    assert says in str(refused.value)


def test_one_picture_for_two_records(tmp_path):
    selection = named(tmp_path / "records", [("a/0.png", ""), ("b/0.png", "")])
    path = written(tmp_path / "a.json", [ROW | {"image_id": "0.png"}])
    with pytest.raises(UserError, match=r"'0.png' of .* is this record's picture and also that of"):
        detections_reading.evaluate(path, LABELS, selection)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        detections_reading.read(tmp_path / "none.json", LABELS)
