"""Cropping: which car, what is kept, and that no picture is lost."""

import csv
from pathlib import Path

import numpy as np
import pytest

from roadmark import progress
from roadmark.classification import class_set, crop_samples, cropping, pictures
from roadmark.classification.cropping import CUT, MASK, Choice, Options
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.inference.detector import Inputs
from roadmark.testing import small_class_sets


def _found(*rows, masks=None):
    boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in rows], np.float32)
    return Detections(boxes, scores, np.array([c for *_, c in rows], np.int32), masks)


_LARGE, _SMALL = (0, 0, 30, 30), (0, 0, 10, 10)


@pytest.mark.parametrize(
    ("rows", "box", "outcome"),
    [
        ([(_LARGE, 0.6, 1), (_SMALL, 0.9, 1)], _LARGE, "car"),
        ([(_LARGE, 0.1, 1), (_SMALL, 0.9, 1)], _SMALL, "car"),
        ([(_LARGE, 0.9, 2), (_SMALL, 0.9, 1)], _SMALL, "car"),
        ([(_LARGE, 0.2, 1)], None, "whole picture: low score"),
        ([(_LARGE, 0.9, 2)], None, "whole picture: no car found"),
        ([], None, "whole picture: no car found"),
    ],
    ids=["larger", "surer", "of its class", "low score", "another class", "nothing"],
)
def test_the_main_car(rows, box, outcome):
    choice = cropping.main_car(_found(*rows), [1], 0.3)
    assert (choice.box, choice.outcome) == (box, outcome)


def test_what_is_kept():
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    choice = Choice((10.0, 20.0, 20.0, 40.0), 0.9, "car")
    np.testing.assert_array_equal(cropping.crop(image, choice, 0.0, CUT), image[10:20, 20:40])
    np.testing.assert_array_equal(cropping.crop(image, choice, 0.1, CUT), image[9:21, 18:42])
    assert cropping.crop(image, choice, 2.0, CUT).shape == (40, 60, 3), "kept within the picture"
    np.testing.assert_array_equal(cropping.crop(image, Choice(None, 0, ""), 0.1, CUT), image)
    masked = cropping.crop(image, choice, 0.1, MASK)
    np.testing.assert_array_equal(masked[9:21, 18:42], image[9:21, 18:42])
    assert (masked[:9] == masked[0, 0]).all()


def test_a_mask_follows_the_cars_outline():
    image = np.full((40, 60, 3), 200, np.uint8)
    mask = np.zeros((40, 60), np.bool_)
    mask[12:18, 25:35] = True
    masked = cropping.crop(image, Choice((10.0, 20.0, 20.0, 40.0), 1, "car", mask), 0.0, MASK)
    kept = (masked == 200).all(axis=2)
    assert kept[12:18, 25:35].all()
    assert not kept[10:20, 20:22].any()


class _Detector:
    """Finds a car in every second picture."""

    def __init__(self):
        self.label_map = {1: "vehicle", 2: "tree"}
        self._seen = 0

    def preprocess(self, images):
        return Inputs({}, tuple(image.shape[:2] for image in images))

    def start(self, inputs):
        return inputs

    def outputs(self, inputs):
        return inputs

    def postprocess(self, outputs, inputs, threshold):
        made = []
        for _ in inputs.sizes:
            self._seen += 1
            made.append(_found(((5, 5, 25, 25), 0.9, 1)) if self._seen % 2 else _found())
        return made


def _crop(tmp_path, detector) -> tuple[class_set.ClassSet, str]:
    options = Options(margin=0.0)
    source = class_set.load(small_class_sets.write(tmp_path / "cars"))
    out = tmp_path / "out"
    out.mkdir()
    with progress.track("cropping", len(source.entries)) as meter:
        cropper = cropping.Cropper(source, out, options, detector, meter)
        for batch in cropper.batches(5):
            for _, work in cropper.stages():
                batch = work(batch)
        cropper.finish({})
    return class_set.load(out), (out / class_set.REPORT).read_text()


def test_no_picture_is_lost_and_every_one_is_listed(tmp_path):
    found, text = _crop(tmp_path, _Detector())
    assert len(found.entries) == 32
    assert "32 pictures: 16 car, 16 whole picture: no car found" in text
    with open(found.folder / cropping.LOG, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows[:2]] == ["car", "whole picture: no car found"]
    sizes = [pictures.read(found.folder / entry.path).shape for entry in found.entries[:2]]
    assert sizes == [(20, 20, 3), (40, 40, 3)]
    assert found.about["outcomes"]["car"] == 16
    assert (found.folder / crop_samples.FILE).is_file()


def test_the_sets_own_boxes_will_do(tmp_path):
    found, text = _crop(tmp_path, None)
    assert "32 box of the set" in text
    assert pictures.read(found.folder / found.entries[0].path).shape == (32, 28, 3)


@pytest.mark.parametrize(
    ("content", "says"), [(None, "no such picture"), (b"\x89PNG cut short", "altered since")]
)
def test_a_picture_that_is_not_as_prepared_is_named(tmp_path, content, says):
    source = class_set.load(small_class_sets.write(tmp_path / "cars"))
    path = source.folder / source.entries[3].path
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    cropper = cropping.Cropper(source, tmp_path, Options(), None, None)
    (decode, *_) = (work for _, work in cropper.stages())
    with pytest.raises(UserError, match=says) as error:
        decode(next(cropper.batches(5)))
    assert str(path) in str(error.value)


def test_a_set_without_boxes_needs_a_detector(tmp_path):
    folder = small_class_sets.write(tmp_path / "cars")
    index = folder / class_set.INDEX
    index.write_text(index.read_text().replace("4.0,6.0,36.0,34.0", ",,,"))
    with pytest.raises(UserError, match="no picture has a box; give --detector"):
        cropping.Cropper(class_set.load(folder), Path(tmp_path), Options(), None, None)


def test_a_class_that_the_detector_does_not_know(tmp_path):
    source = class_set.load(small_class_sets.write(tmp_path / "cars"))
    with pytest.raises(UserError, match="this detector knows: tree, vehicle"):
        cropping.Cropper(source, tmp_path, Options(classes=("car",)), _Detector(), None)
