"""Native pre- and post-processing give what the OD API's own graph gives on the same inputs."""

import dataclasses

import numpy as np
import pytest

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first

from roadmark.odapi import exporting, models, pipeline_config  # noqa: E402
from roadmark.ops.postprocess import postprocess  # noqa: E402
from roadmark.ops.preprocess import preprocess, resized_size  # noqa: E402

ONE_STAGE = "configs/quickstart.config"
TWO_STAGE = "configs/faster_rcnn_inception_resnet_v2_640.config"
PADDING = (
    "{keep_aspect_ratio_resizer: {min_dimension: 96 max_dimension: 160 "
    "pad_to_max_dimension: true per_channel_pad_value: [10, 20, 30]}}"
)
FIXED = "{fixed_shape_resizer: {height: 96 width: 160}}"
NMS = "model.ssd.post_processing.batch_non_max_suppression"
SIZES = [(120, 200), (200, 120), (33, 47), (96, 160), (301, 301), (500, 61)]


def build(file, *overrides):
    config = pipeline_config.override(pipeline_config.load(file), overrides)
    model = models.build(config, is_training=False)
    return model, exporting.input_spec(config, model), exporting.postprocess_spec(config)


@pytest.mark.parametrize("resizer", [FIXED, PADDING], ids=["fixed", "padded"])
@pytest.mark.parametrize(
    ("file", "path"),
    [
        (ONE_STAGE, "model.ssd"),
        ("configs/ssd_resnet50_fpn_640.config", "model.ssd"),
        ("configs/effdet_d0.config", "model.ssd"),
        (TWO_STAGE, "model.faster_rcnn"),
    ],
    ids=["mobilenet", "resnet", "efficientdet", "faster_rcnn"],
)
def test_preprocessing(file, path, resizer):
    model, spec, _ = build(file, f"{path}.image_resizer={resizer}")
    rng = np.random.default_rng(0)
    for height, width in SIZES:
        image = rng.integers(0, 256, (height, width, 3), np.uint8)
        expected, shapes = model.preprocess(tf.constant(image[np.newaxis], tf.float32))
        found = preprocess([image], spec)
        assert resized_size(spec, height, width) == tuple(shapes.numpy()[0, :2])
        a_thousandth_of_a_grey_level = 1e-3 * max(spec.scale)
        np.testing.assert_allclose(
            found, expected.numpy(), rtol=1e-6, atol=a_thousandth_of_a_grey_level
        )


@pytest.mark.parametrize(
    ("overrides", "logit_mean"),
    [
        pytest.param([], -3, id="sigmoid, hard NMS"),
        pytest.param([], 0, id="many survivors"),
        pytest.param([f"{NMS}.soft_nms_sigma=0.5"], -3, id="soft NMS"),
        pytest.param([f"{NMS}.use_class_agnostic_nms=true"], -3, id="class-agnostic"),
        pytest.param(
            [f"{NMS}.max_detections_per_class=7", f"{NMS}.max_total_detections=10"], -1, id="limits"
        ),
        pytest.param(
            [f"{NMS}.score_threshold=0.4", f"{NMS}.iou_threshold=0.2"], -1, id="thresholds"
        ),
        pytest.param(["model.ssd.post_processing.score_converter=SOFTMAX"], 0, id="softmax"),
        pytest.param(["model.ssd.post_processing.logit_scale=2"], 0, id="logit scale"),
        pytest.param(["model.ssd.add_background_class=false"], -3, id="no background column"),
        pytest.param([f"model.ssd.image_resizer={PADDING}"], -3, id="padded pictures"),
    ],
)
def test_one_stage_postprocessing(overrides, logit_mean):
    model, input_spec, spec = build(ONE_STAGE, *overrides)
    rng = np.random.default_rng(1)
    count, columns = 400, 3 + spec.background_column
    centres, sides = rng.uniform(0, 1, (count, 2)), rng.uniform(0.02, 0.4, (count, 2))
    anchors = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)
    outputs = {
        "box_encodings": rng.normal(0, 1.5, (2, count, 4)).astype(np.float32),
        "class_logits": rng.normal(logit_mean, 2, (2, count, columns)).astype(np.float32),
    }
    sizes = [(480, 640), (640, 480)]
    shapes = np.array([(*resized_size(input_spec, *size), 3) for size in sizes], np.int32)
    expected = model.postprocess(
        {
            "preprocessed_inputs": tf.zeros([2, input_spec.height, input_spec.width, 3]),
            "box_encodings": tf.constant(outputs["box_encodings"]),
            "class_predictions_with_background": tf.constant(outputs["class_logits"]),
            "anchors": tf.constant(anchors),
        },
        tf.constant(shapes),
    )
    found = postprocess(outputs, anchors, spec, input_spec, sizes)
    assert_equal(found, expected, sizes)


@pytest.mark.parametrize("shared_boxes", [False, True], ids=["a box per class", "shared boxes"])
@pytest.mark.parametrize("resizer", [FIXED, PADDING], ids=["fixed", "padded"])
def test_two_stage_postprocessing(resizer, shared_boxes):
    predictor = "model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor"
    model, input_spec, spec = build(
        TWO_STAGE,
        f"model.faster_rcnn.image_resizer={resizer}",
        "model.faster_rcnn.first_stage_max_proposals=60",
        f"{predictor}.share_box_across_classes={str(shared_boxes).lower()}",
    )
    rng = np.random.default_rng(2)
    corners = np.sort(rng.uniform(0, 1, (2, 60, 2, 2)), axis=2).reshape(2, 60, 4)
    proposals = corners * np.array([input_spec.height, input_spec.width] * 2)
    boxes = 1 if shared_boxes else 3
    outputs = {
        "proposals": proposals.astype(np.float32),
        "num_proposals": np.array([60, 45], np.int32),
        "box_encodings": rng.normal(0, 1, (2, 60, boxes, 4)).astype(np.float32),
        "class_logits": rng.normal(0, 2, (2, 60, 4)).astype(np.float32),
    }
    sizes = [(480, 640), (640, 480)]
    shapes = np.array([(*resized_size(input_spec, *size), 3) for size in sizes], np.int32)
    expected = model.postprocess(
        {
            "refined_box_encodings": tf.constant(outputs["box_encodings"].reshape(120, boxes, 4)),
            "class_predictions_with_background": tf.constant(
                outputs["class_logits"].reshape(120, 4)
            ),
            "proposal_boxes": tf.constant(outputs["proposals"]),
            "num_proposals": tf.constant(outputs["num_proposals"]),
        },
        tf.constant(shapes),
    )
    assert_equal(postprocess(outputs, None, spec, input_spec, sizes), expected, sizes)


def assert_equal(found, expected, sizes):
    for index, (detections, size) in enumerate(zip(found, sizes, strict=True)):
        count = int(expected["num_detections"][index])
        assert len(detections) == count > 0
        scores = expected["detection_scores"].numpy()[index, :count]
        boxes = expected["detection_boxes"].numpy()[index, :count] * np.array([*size, *size])
        classes = expected["detection_classes"].numpy()[index, :count] + 1
        np.testing.assert_allclose(detections.scores, scores, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(detections.classes, classes)
        np.testing.assert_allclose(detections.boxes, boxes, atol=0.02)


def test_specs_follow_the_config():
    _, input_spec, spec = build(
        ONE_STAGE, f"model.ssd.image_resizer={PADDING}", f"{NMS}.score_threshold=0.125"
    )
    assert (input_spec.height, input_spec.width) == (160, 160)
    assert input_spec.pad_value == (10, 20, 30)
    assert dataclasses.asdict(spec.nms) == {
        "mode": "per_class",
        "score_threshold": 0.125,
        "iou_threshold": pytest.approx(0.6),
        "max_per_class": 100,
        "max_total": 100,
        "soft_nms_sigma": 0.0,
    }
