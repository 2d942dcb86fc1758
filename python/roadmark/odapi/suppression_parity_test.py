"""The native suppression op against the OD API's `batch_multiclass_non_max_suppression`."""

import numpy as np
import pytest

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection.core import post_processing  # noqa: E402

from roadmark.ops import tensorflow_ops  # noqa: E402

BATCH, COUNT, CLASSES = 3, 150, 5
OPTIONS = {"max_per_class": 10, "max_total": 30, "score_threshold": 0.2, "iou_threshold": 0.4}


def scene(boxes_per_row):
    rng = np.random.default_rng(boxes_per_row)
    # Inside the picture, to which TensorFlow's combined op clips.
    corners = rng.uniform(0, 0.6, (BATCH, COUNT, boxes_per_row, 2))
    sizes = rng.uniform(0.05, 0.4, corners.shape)
    boxes = np.concatenate([corners, corners + sizes], axis=-1).astype(np.float32)
    # Distinct: the OD API says nothing about ties between classes.
    distinct = np.arange(1, COUNT * CLASSES + 1, dtype=np.float32) / np.float32(COUNT * CLASSES)
    scores = rng.permuted(np.tile(distinct, (BATCH, 1)), axis=1).reshape(BATCH, COUNT, CLASSES)
    # Room for more than the last picture has.
    scores[-1] *= np.float32(0.204)
    return boxes, scores


@pytest.mark.parametrize(
    ("boxes_per_row", "ours", "theirs"),
    [
        pytest.param(1, {}, {}, id="shared boxes"),
        pytest.param(CLASSES, {}, {}, id="a box per class"),
        pytest.param(1, {}, {"use_combined_nms": True}, id="by TensorFlow's combined op"),
        pytest.param(
            1, {"class_agnostic": True}, {"use_class_agnostic_nms": True}, id="class-agnostic"
        ),
        pytest.param(1, {"soft_nms_sigma": 0.3}, {"soft_nms_sigma": 0.3}, id="soft"),
    ],
)
def test_same_detections(boxes_per_row, ours, theirs):
    boxes, scores = scene(boxes_per_row)
    found = tensorflow_ops.batch_multiclass_nms(
        boxes if boxes_per_row > 1 else boxes[:, :, 0], scores, **OPTIONS | ours
    )
    limits = {
        "max_size_per_class": OPTIONS["max_per_class"],
        "max_total_size": OPTIONS["max_total"],
    }
    expected_boxes, expected_scores, expected_classes, _, _, counts = (
        post_processing.batch_multiclass_non_max_suppression(
            tf.constant(boxes),
            tf.constant(scores),
            OPTIONS["score_threshold"],
            OPTIONS["iou_threshold"],
            **limits,
            **theirs,
        )[:6]
    )
    assert found.num_detections.numpy().tolist() == counts.numpy().tolist()
    assert 0 < found.num_detections[-1] < OPTIONS["max_total"]
    assert np.array_equal(found.classes, expected_classes)
    np.testing.assert_array_equal(found.boxes, expected_boxes)
    # Decay takes an exponential, each side its own.
    tolerance = 1e-5 if "soft_nms_sigma" in ours else 0
    np.testing.assert_allclose(found.scores, expected_scores, rtol=tolerance)
