"""Equal to TensorFlow's own operations where options coincide."""

import numpy as np
import pytest
import tensorflow as tf

from roadmark.manifest import FIXED_SHAPE, KEEP_ASPECT_RATIO, InputSpec
from roadmark.ops import tensorflow_ops
from roadmark.ops.nms import multiclass_nms, nms
from roadmark.ops.postprocess import paste_masks
from roadmark.ops.preprocess import preprocess, resized_size

SEEDS = range(4)


def random_scene(seed, count, classes):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 1, (count, 2)).astype(np.float32)
    sizes = rng.uniform(0.01, 0.4, (count, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + sizes], axis=1)
    # Few different scores: ties.
    scores = rng.integers(1, 60, (count, classes)).astype(np.float32) / np.float32(64)
    return boxes, scores


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("iou_threshold", [0.2, 0.5, 0.7])
def test_nms(seed, iou_threshold):
    boxes, scores = random_scene(seed, 300, 1)
    expected = tf.image.non_max_suppression(boxes, scores[:, 0], 100, iou_threshold, 0.25)
    kept, _ = nms(
        boxes, scores[:, 0], score_threshold=0.25, iou_threshold=iou_threshold, max_outputs=100
    )
    assert kept.tolist() == expected.numpy().tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_soft_nms(seed):
    boxes, scores = random_scene(seed, 200, 1)
    expected, expected_scores = tf.image.non_max_suppression_with_scores(
        boxes, scores[:, 0], 80, iou_threshold=0.5, score_threshold=0.2, soft_nms_sigma=0.3
    )
    kept, kept_scores = nms(
        boxes,
        scores[:, 0],
        score_threshold=0.2,
        iou_threshold=0.5,
        max_outputs=80,
        soft_nms_sigma=0.3,
    )
    np.testing.assert_allclose(kept_scores, expected_scores.numpy(), rtol=1e-5)
    assert kept.tolist() == expected.numpy().tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_combined_non_max_suppression(seed):
    boxes, _ = random_scene(seed, 200, 1)
    # Distinct scores: TensorFlow says nothing about ties between classes.
    scores = np.random.default_rng(seed).permutation(800).reshape(200, 4).astype(np.float32) / 800
    expected = tf.image.combined_non_max_suppression(
        boxes[None, :, None], scores[None], 30, 70, 0.5, 0.1, clip_boxes=False
    )
    kept, classes, kept_scores = multiclass_nms(
        boxes, scores, score_threshold=0.1, iou_threshold=0.5, max_per_class=30, max_total=70
    )
    assert len(kept) == expected.valid_detections[0]
    assert kept_scores.tolist() == expected.nmsed_scores[0].numpy().tolist()
    assert classes.tolist() == expected.nmsed_classes[0].numpy().tolist()
    assert np.array_equal(boxes[kept], expected.nmsed_boxes[0].numpy())


@pytest.mark.parametrize("boxes_per_row", [1, 4])
def test_the_op_gives_the_tensors_of_combined_non_max_suppression(boxes_per_row):
    rng = np.random.default_rng(0)
    boxes = np.stack([random_scene(seed, 200 * boxes_per_row, 1)[0] for seed in SEEDS])
    boxes = boxes.reshape(len(SEEDS), 200, boxes_per_row, 4)
    scores = rng.permuted(np.tile(np.float32(range(800)) / 800, (len(SEEDS), 1)), axis=1)
    scores = scores.reshape(len(SEEDS), 200, 4)
    # Room for more than the last picture has.
    scores[-1] = np.where(scores[-1] > 0.98, scores[-1], 0)
    expected = tf.image.combined_non_max_suppression(
        boxes, scores, 30, 70, 0.5, 0.1, clip_boxes=False
    )
    found = tensorflow_ops.batch_multiclass_nms(
        boxes if boxes_per_row > 1 else boxes[:, :, 0],
        scores,
        score_threshold=0.1,
        iou_threshold=0.5,
        max_per_class=30,
        max_total=70,
    )
    assert found.num_detections.numpy().tolist() == expected.valid_detections.numpy().tolist()
    assert 0 < found.num_detections[-1] < 70
    assert np.array_equal(found.boxes, expected.nmsed_boxes)
    assert np.array_equal(found.scores, expected.nmsed_scores)
    assert np.array_equal(found.classes, expected.nmsed_classes)


@pytest.mark.parametrize("size", [(120, 90), (1, 50), (40, 1)])
def test_masks_as_crop_and_resize_reframes_them(size):
    rng = np.random.default_rng(0)
    boxes, _ = random_scene(0, 40, 1)
    probabilities = rng.random((40, 15, 21), np.float32)
    # The picture in units of each box.
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    picture = (np.float32([0, 0, 1, 1]) - np.tile(boxes[:, :2], 2)) / sides
    expected = tf.image.crop_and_resize(
        probabilities[..., None], picture, np.arange(40), size, extrapolation_value=0
    )[..., 0].numpy()
    found = paste_masks(probabilities, boxes, size, 0.5)
    # Each side rounds its own way, at the threshold and on the edge of a box.
    differing = found != (expected > 0.5)
    assert differing.sum() <= 0.002 * found.sum()
    inside = tf.nn.max_pool2d(1 - np.float32(expected[..., None] > 0), 3, 1, "SAME")[..., 0] == 0
    assert (np.abs(expected - 0.5)[differing & inside] < 1e-4).all()
    assert found.sum() > 30


def input_spec(resize, mean, scale, pad_value=(0.0, 0.0, 0.0)):
    return InputSpec(
        name="image",
        height=32,
        width=32,
        resize=resize,
        min_dimension=32 * (resize == KEEP_ASPECT_RATIO),
        max_dimension=32 * (resize == KEEP_ASPECT_RATIO),
        mean=mean,
        scale=scale,
        pad_value=pad_value,
        channel_order="RGB",
        layout="NHWC",
        dtype="float32",
        true_shapes_name="",
    )


SIZES = [(72, 128), (64, 64), (33, 50), (20, 7), (1, 300)]


@pytest.mark.parametrize("size", SIZES)
def test_resizing_and_normalising(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    spec = input_spec(FIXED_SHAPE, (127.5,) * 3, (1 / 127.5,) * 3)
    resized = tf.compat.v1.image.resize_images(image[None], (32, 32)).numpy()
    expected = (resized - np.float32(127.5)) * np.float32(1 / 127.5)
    np.testing.assert_allclose(preprocess([image], spec), expected, atol=2e-7)


@pytest.mark.parametrize("size", SIZES)
def test_resizing_alone_is_the_same_to_the_last_bit_but_one(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    spec = input_spec(FIXED_SHAPE, (0.0,) * 3, (1.0,) * 3)
    expected = tf.compat.v1.image.resize_images(image[None], (32, 32)).numpy()
    np.testing.assert_array_max_ulp(preprocess([image], spec), expected, maxulp=1)


@pytest.mark.parametrize("size", [(72, 128), (64, 64), (33, 50), (20, 7)])
def test_keeping_the_aspect_ratio_with_padding(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    spec = input_spec(KEEP_ASPECT_RATIO, (0.0,) * 3, (1.0,) * 3, pad_value=(9.0, 8.0, 7.0))
    height, width = resized_size(spec, *size)
    expected = tf.compat.v1.image.resize_images(image, (height, width)).numpy()
    (found,) = preprocess([image], spec)
    np.testing.assert_array_max_ulp(found[:height, :width], expected, maxulp=1)
    assert (found[height:] == spec.pad_value).all()
    assert (found[:, width:] == spec.pad_value).all()
