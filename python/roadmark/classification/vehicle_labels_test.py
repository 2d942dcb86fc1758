"""Labels of vehicles: whose class changes, from RGB and from video planes alike."""

import dataclasses

import numpy as np
import pytest

from roadmark.classification import vehicle_labels
from roadmark.classification.vehicle_labels import LabellingDetector
from roadmark.detections import LABEL_PROBABILITY, Detections
from roadmark.errors import UserError
from roadmark.inference.detector import Inputs
from roadmark.ops.preprocess import YuvPicture


@dataclasses.dataclass
class _Manifest:
    weights_sha256: str
    classes: tuple[str, ...] = ()


class _Detector:
    """Finds what it is told to."""

    def __init__(self, found):
        self.label_map = {1: "vehicle", 2: "pedestrian"}
        self.manifest, self.engine = _Manifest("detector"), None
        self._found = found

    def preprocess(self, images, out=None):
        return Inputs({}, tuple(image.shape[:2] for image in images))

    def start(self, inputs):
        return inputs

    def outputs(self, submitted):
        return {}

    def postprocess(self, outputs, batch, score_threshold=0.0):
        return self._found


class _Reddish:
    """Calls what is red `Ferrari`, the rest `Audi`, the surer the purer."""

    def __init__(self):
        self.manifest = _Manifest("classifier", ("Audi", "Ferrari"))
        self.batches = []

    def classify(self, images):
        self.batches.append(len(images))
        red = [image[..., 0].mean() / max(image.mean(axis=(0, 1)).sum(), 1) for image in images]
        return np.array([[1 - share, share] for share in red], np.float32).reshape(-1, 2)


def _found(*boxes_and_classes):
    boxes = np.array([box for box, _ in boxes_and_classes], np.float32).reshape(-1, 4)
    classes = np.array([class_id for _, class_id in boxes_and_classes], np.int32)
    return Detections(boxes, np.full(len(boxes), 0.9, np.float32), classes)


def _image():
    image = np.zeros((60, 100, 3), np.uint8)
    image[:, :50] = (200, 0, 0)
    image[:, 50:] = (0, 0, 200)
    return image


_LEFT, _RIGHT, _TINY = (10, 5, 40, 40), (10, 60, 40, 95), (10, 5, 20, 15)


def test_vehicles_of_all_frames_are_labelled_in_one_batch():
    found = [_found((_LEFT, 1), (_RIGHT, 1), (_LEFT, 2), (_TINY, 1)), _found(), _found((_LEFT, 1))]
    classifier = _Reddish()
    labelling = LabellingDetector(_Detector(found), classifier)
    labelled = labelling.detect([_image()] * 3)
    assert labelling.label_map == {1: "vehicle", 2: "pedestrian", 3: "Audi", 4: "Ferrari"}
    assert [one.classes.tolist() for one in labelled] == [[4, 3, 2, 1], [], [4]]
    assert labelled[0].attributes[LABEL_PROBABILITY].tolist() == [1.0, 1.0, -1.0, 0.0]
    assert labelled[0].scores.tolist() == found[0].scores.tolist()
    assert classifier.batches == [3]


def test_an_unsure_label_leaves_the_detectors_class():
    image = np.full((60, 100, 3), 90, np.uint8)
    labelling = LabellingDetector(_Detector([_found((_LEFT, 1))]), _Reddish(), threshold=0.9)
    assert labelling.detect([image])[0].classes.tolist() == [1]


def test_other_classes_are_left_out_before_labels_are_given():
    found = [_found((_LEFT, 1), (_LEFT, 2))]
    labelling = LabellingDetector(_Detector(found), _Reddish(), only=[1])
    assert labelling.detect([_image()])[0].classes.tolist() == [4]


@pytest.mark.parametrize("nv12", [False, True])
@pytest.mark.parametrize("box", [(11, 13, 40, 45), (0, 0, 60, 100), (30.5, 61.2, 59.7, 99.9)])
def test_a_crop_of_planes_is_the_crop_of_the_picture(nv12, box):
    rng = np.random.default_rng(0)
    luma = rng.integers(16, 236, (61, 101), np.uint8)
    u, v = rng.integers(60, 200, (2, 31, 51), np.uint8)
    planes = (luma, np.stack([u, v], axis=-1)) if nv12 else (luma, u, v)
    picture = YuvPicture(planes)
    whole = vehicle_labels.preprocess([picture], vehicle_labels._as_it_is(61, 101))[0]
    box = np.array(box, np.float32)
    np.testing.assert_array_equal(
        vehicle_labels.crop(picture, box), vehicle_labels.crop(whole, box)
    )


def test_without_a_classifier_the_detector_stays_as_it_is():
    detector = _Detector([])
    assert vehicle_labels.labelled(detector, [2], None) == (detector, [2])


def test_a_folder_without_a_classifier_is_one_line(tmp_path):
    with pytest.raises(UserError, match="expected an exported classifier"):
        vehicle_labels.labelled(_Detector([]), [], str(tmp_path))
