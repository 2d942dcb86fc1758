import cv2
import numpy as np
import pytest

from roadmark.data import example, tfrecord
from roadmark.data.example import AnnotatedImage
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.evaluation import records
from roadmark.odapi.label_map import LabelMap

LABELS = LabelMap.of({1: "vehicle", 2: "pedestrian"})
HEIGHT, WIDTH = 40, 60
BOX = [0.25, 0.25, 0.75, 0.5]
PIXELS = [10, 15, 30, 30]


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def annotated(boxes=(BOX,), ids=(1,), names=("vehicle",), masks=None, encoded=None):
    count = len(boxes)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 2] = 200  # OpenCV's last channel is red.
    return AnnotatedImage(
        filename="a.png",
        encoded=png(picture) if encoded is None else encoded,
        format="png",
        height=HEIGHT,
        width=WIDTH,
        boxes=np.float32(boxes).reshape(-1, 4),
        class_ids=np.int64(ids[:count]),
        class_names=tuple(names[:count]),
        is_crowd=np.zeros(count, bool),
        difficult=np.zeros(count, bool),
        areas=np.ones(count, np.float32),
        masks=masks,
    )


def written(folder, *images, name="val-00000-of-00001.tfrecord"):
    path = folder / name
    with tfrecord.RecordWriter(path) as writer:
        for image in images:
            writer.write(example.serialise(image))
    return str(path)


def found(mask=None):
    masks = None if mask is None else mask[np.newaxis]
    return Detections(np.float32([PIXELS]), np.float32([0.9]), np.int32([1]), masks)


def test_detections_equal_to_the_records_score_one(tmp_path):
    source = written(tmp_path, annotated(), annotated())
    seen = []

    def detect(images):
        seen.append(len(images))
        assert all((image == (200, 0, 0)).all() for image in images)
        return [found() for _ in images]

    selection = records.select(source)
    detections = records.detect_all(selection, detect, batch_size=1)
    metrics = records.evaluate(selection, detections, LABELS)
    assert seen == [1, 1]
    assert (metrics.images, metrics.objects) == (2, 2)
    assert metrics.summary["bbox"]["mAP"] == pytest.approx(1)


def test_masks_come_from_the_records_png_files(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 15:30] = True
    source = written(tmp_path, annotated(masks=(png(mask.astype(np.uint8)),)))
    metrics = records.evaluate(records.select(source), [found(mask)], LABELS, with_masks=True)
    assert metrics.summary["segm"]["mAP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("subset", "picked"),
    [
        pytest.param(0, (0, 1, 2, 3, 4, 5), id="all"),
        pytest.param(2, (0, 3), id="spread evenly over all files"),
        pytest.param(99, (0, 1, 2, 3, 4, 5), id="more than there are"),
    ],
)
def test_subset(tmp_path, subset, picked):
    written(tmp_path, *[annotated()] * 4, name="val-00000-of-00002.tfrecord")
    written(tmp_path, *[annotated()] * 2, name="val-00001-of-00002.tfrecord")
    selection = records.select(str(tmp_path / "val-*"), subset)
    assert selection.picked == picked
    places = [where.split(" (")[0] for where, _ in selection.records()]
    assert len(places) == len(picked)
    assert len(set(places)) == len(picked)


@pytest.mark.parametrize(
    ("image", "with_masks", "says"),
    [
        pytest.param(
            annotated(ids=(4,), names=("cyclist",)),
            False,
            "found class id 4 (cyclist), expected one of label map: 1 vehicle, 2 pedestrian",
            id="a class that the label map lacks",
        ),
        pytest.param(
            annotated(names=("pedestrian",)),
            False,
            "found 'pedestrian' for class id 1, which is 'vehicle'",
            id="a class of another name",
        ),
        pytest.param(annotated(), True, "found no masks", id="boxes only for a mask model"),
        pytest.param(
            annotated(masks=(b"no picture",)), True, "image/object/mask is not a picture", id="mask"
        ),
    ],
)
def test_records_that_do_not_fit_the_model(tmp_path, image, with_masks, says):
    selection = records.select(written(tmp_path, image))
    with pytest.raises(UserError) as refused:
        records.evaluate(selection, [found()], LABELS, with_masks)
    message = str(refused.value)
    assert message.startswith(f"{tmp_path}/val-00000-of-00001.tfrecord: record 0")
    assert says in message


@pytest.mark.parametrize("encoded", [b"no picture", b""])
def test_a_picture_that_cannot_be_decoded(tmp_path, encoded):
    selection = records.select(written(tmp_path, annotated(encoded=encoded)))
    with pytest.raises(UserError, match=r"record 0.*image/encoded"):
        list(records.detect_all(selection, lambda images: [], 1))


def test_records_without_ground_truth(tmp_path):
    selection = records.select(written(tmp_path, annotated(boxes=())))
    with pytest.raises(UserError, match="found no ground truth in 1 records"):
        records.evaluate(selection, [Detections.empty()], LABELS)


def test_files_without_records(tmp_path):
    with pytest.raises(UserError, match="found no records"):
        records.select(written(tmp_path))


def test_a_truncated_file_names_the_record(tmp_path):
    path = written(tmp_path, annotated(), annotated())
    with open(path, "r+b") as file:
        file.truncate(file.seek(0, 2) - 10)
    with pytest.raises(UserError, match=r"record 1.*truncated"):
        records.evaluate(records.select(path), [found(), found()], LABELS)
