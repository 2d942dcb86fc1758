"""Native box coders and anchors give the numbers of the OD API's."""

import numpy as np
import pytest

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection.box_coders import (  # noqa: E402
    faster_rcnn_box_coder,
    keypoint_box_coder,
    mean_stddev_box_coder,
    square_box_coder,
)
from object_detection.builders import anchor_generator_builder  # noqa: E402
from object_detection.core import box_list, standard_fields  # noqa: E402
from object_detection.protos import anchor_generator_pb2  # noqa: E402

from roadmark.odapi import pipeline_config  # noqa: E402
from roadmark.ops import anchors, box_coder  # noqa: E402

COUNT = 500
SCALES = (10.0, 10.0, 5.0, 5.0)
# A value as large as 1 may differ by the last bits of exp and log.
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}


def random_boxes(seed):
    corners = np.random.default_rng(seed).uniform(0, 1, (COUNT, 2, 2)).astype(np.float32)
    return np.sort(corners, axis=1).reshape(COUNT, 4) + np.float32([0, 0, 0.05, 0.05])


BOXES, ANCHORS = random_boxes(1), random_boxes(2)


def encode_and_decode(coder, boxes):
    encodings = coder.encode(boxes, box_list.BoxList(tf.constant(ANCHORS)))
    return encodings.numpy(), coder.decode(encodings, box_list.BoxList(tf.constant(ANCHORS)))


def test_faster_rcnn():
    coder = faster_rcnn_box_coder.FasterRcnnBoxCoder(scale_factors=SCALES)
    encodings, decoded = encode_and_decode(coder, box_list.BoxList(tf.constant(BOXES)))
    np.testing.assert_allclose(box_coder.encode(BOXES, ANCHORS, SCALES), encodings, **TOLERANCE)
    found = box_coder.decode(encodings, ANCHORS, SCALES)
    np.testing.assert_allclose(found, decoded.get().numpy(), **TOLERANCE)


def test_keypoints():
    keypoints = np.random.default_rng(3).uniform(0, 1, (COUNT, 5, 2)).astype(np.float32)
    boxes = box_list.BoxList(tf.constant(BOXES))
    boxes.add_field(standard_fields.BoxListFields.keypoints, tf.constant(keypoints))
    coder = keypoint_box_coder.KeypointBoxCoder(5, scale_factors=SCALES)
    encodings, decoded = encode_and_decode(coder, boxes)
    found = box_coder.encode_keypoints(BOXES, keypoints, ANCHORS, SCALES)
    np.testing.assert_allclose(found, encodings, **TOLERANCE)
    found_boxes, found_keypoints = box_coder.decode_keypoints(encodings, ANCHORS, SCALES)
    expected = decoded.get_field(standard_fields.BoxListFields.keypoints).numpy()
    np.testing.assert_allclose(found_boxes, decoded.get().numpy(), **TOLERANCE)
    np.testing.assert_allclose(found_keypoints, expected, **TOLERANCE)


def test_squares():
    coder = square_box_coder.SquareBoxCoder(scale_factors=SCALES[:3])
    encodings, decoded = encode_and_decode(coder, box_list.BoxList(tf.constant(BOXES)))
    found = box_coder.encode_squares(BOXES, ANCHORS, SCALES[:3])
    np.testing.assert_allclose(found, encodings, **TOLERANCE)
    found = box_coder.decode_squares(encodings, ANCHORS, SCALES[:3])
    np.testing.assert_allclose(found, decoded.get().numpy(), **TOLERANCE)


def test_mean_stddev():
    coder = mean_stddev_box_coder.MeanStddevBoxCoder(stddev=0.1)
    encodings, decoded = encode_and_decode(coder, box_list.BoxList(tf.constant(BOXES)))
    found = box_coder.encode_mean_stddev(BOXES, ANCHORS, 0.1)
    np.testing.assert_allclose(found, encodings, **TOLERANCE)
    found = box_coder.decode_mean_stddev(encodings, ANCHORS, 0.1)
    np.testing.assert_allclose(found, decoded.get().numpy(), **TOLERANCE)


def expected_anchors(config, feature_maps, image_size):
    generator = anchor_generator_builder.build(config)
    boxes = generator.generate(feature_maps, im_height=image_size[0], im_width=image_size[1])
    return np.concatenate([grid.get().numpy() for grid in boxes])


@pytest.mark.parametrize(
    ("file", "image_size"),
    [
        ("quickstart", (192, 192)),
        ("effdet_d0", (512, 512)),
        ("effdet_d1", (640, 640)),
        ("ssd_mobilenet_v2_fpnlite_320", (320, 320)),
        ("ssd_mobilenet_v2_fpnlite_640", (640, 640)),
        ("ssd_resnet50_fpn_640", (640, 640)),
        ("ssd_resnet152_fpn_640", (640, 640)),
        # Strides that do not divide the sides, and are no powers of two when normalised.
        ("effdet_d0", (600, 1000)),
    ],
)
def test_multiscale_grid(file, image_size):
    model = pipeline_config.load(f"configs/{file}.config").model.ssd
    config = model.anchor_generator.multiscale_anchor_generator
    levels = range(config.min_level, config.max_level + 1)
    feature_maps = [tuple(-(-side // 2**level) for side in image_size) for level in levels]
    found = anchors.multiscale_grid(
        feature_maps,
        image_size,
        min_level=config.min_level,
        anchor_scale=config.anchor_scale,
        aspect_ratios=list(config.aspect_ratios),
        scales_per_octave=config.scales_per_octave,
    )
    expected = expected_anchors(model.anchor_generator, feature_maps, image_size)
    # Differences of pixels cancel near 0, so an ulp of 1 is what counts.
    np.testing.assert_allclose(found, expected, rtol=0, atol=np.spacing(np.float32(1)))


@pytest.mark.parametrize(
    ("fields", "image_size"),
    [
        ({}, (300, 300)),
        ({"reduce_boxes_in_lowest_layer": False}, (300, 300)),
        ({"aspect_ratios": [1.0, 2.0], "interpolated_scale_aspect_ratio": 0.0}, (300, 300)),
        ({"scales": [0.1, 0.3, 0.5, 0.6, 0.7, 0.9]}, (300, 300)),
        ({"min_scale": 0.05, "max_scale": 0.5}, (300, 500)),
        ({"base_anchor_height": 0.5, "base_anchor_width": 2.0}, (500, 300)),
    ],
    ids=["defaults", "full lowest layer", "no interpolation", "scales", "wide", "tall"],
)
def test_ssd(fields, image_size):
    config = anchor_generator_pb2.AnchorGenerator()
    own = config.ssd_anchor_generator
    own.num_layers = 6
    own.aspect_ratios.extend(fields.get("aspect_ratios", [1.0, 2.0, 0.5, 3.0, 0.3333]))
    own.scales.extend(fields.get("scales", []))
    for name, value in fields.items():
        if name not in ("aspect_ratios", "scales"):
            setattr(own, name, value)
    feature_maps = [(19, 19), (10, 12), (5, 5), (3, 3), (2, 2), (1, 1)]
    found = anchors.ssd(
        feature_maps,
        image_size,
        min_scale=own.min_scale,
        max_scale=own.max_scale,
        scales=list(own.scales),
        aspect_ratios=list(own.aspect_ratios),
        interpolated_scale_aspect_ratio=own.interpolated_scale_aspect_ratio,
        base_anchor_size=(own.base_anchor_height, own.base_anchor_width),
        reduce_boxes_in_lowest_layer=own.reduce_boxes_in_lowest_layer,
    )
    expected = expected_anchors(config, feature_maps, image_size)
    np.testing.assert_allclose(found, expected, rtol=0, atol=np.spacing(np.float32(1)))
