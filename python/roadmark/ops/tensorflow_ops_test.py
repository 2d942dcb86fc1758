"""The ops in each place where TensorFlow runs them: they give what the Python face gives."""

import numpy as np
import pytest
import tensorflow as tf

from roadmark.errors import UserError
from roadmark.ops import tensorflow_ops
from roadmark.ops.matcher import TargetAssigner

OPTIONS = {
    "matched_threshold": 0.5,
    "unmatched_threshold": 0.4,
    "force_match_for_each_row": True,
    "scale_factors": (10.0, 10.0, 5.0, 5.0),
    "negative_class_weight": 0.5,
}
BACKGROUND = np.float32([1, 0, 0])


def random_boxes(rng, *shape):
    corner = rng.uniform(0, 1, (*shape, 2))
    return np.concatenate([corner, corner + rng.uniform(0, 0.5, (*shape, 2))], -1).astype("f")


RNG = np.random.default_rng(0)
ANCHORS = random_boxes(RNG, 400)
BOXES = random_boxes(RNG, 3, 12)
LABELS = np.eye(3, dtype=np.float32)[RNG.integers(1, 3, (3, 12))]
WEIGHTS = np.float32(RNG.integers(0, 2, (3, 12)))
EXPECTED = TargetAssigner(ANCHORS, BACKGROUND, **OPTIONS).assign(BOXES, LABELS, WEIGHTS)


def assign(boxes, labels, weights, anchors=ANCHORS):
    return tensorflow_ops.assign_targets(
        anchors, BACKGROUND, tf.unstack(boxes), tf.unstack(labels), tf.unstack(weights), **OPTIONS
    )


def expect_equal(found):
    for left, right in zip(found, EXPECTED, strict=True):
        assert np.array_equal(left, right)


def test_run_at_once():
    expect_equal(assign(BOXES, LABELS, WEIGHTS))


def test_in_a_function_with_known_shapes():
    arguments = [tf.constant(array) for array in (BOXES, LABELS, WEIGHTS)]
    traced = tf.function(lambda *arguments: assign(*arguments)).get_concrete_function(*arguments)
    shapes = [tuple(tensor.shape) for tensor in traced.outputs]
    assert shapes == [(3, 400, 3), (3, 400), (3, 400, 4), (3, 400), (3, 400)]
    expect_equal(traced(*arguments))


def test_in_an_input_pipeline_image_by_image():
    images = tf.data.Dataset.from_tensor_slices((BOXES, LABELS, WEIGHTS))
    batches = images.batch(1, drop_remainder=True).map(assign).unbatch().batch(3)
    expect_equal(next(iter(batches)))


def test_in_a_saved_model(tmp_path):
    module = tf.Module()
    module.assign = tf.function(
        lambda boxes, labels, weights: assign(boxes, labels, weights)._asdict(),
        input_signature=[
            tf.TensorSpec([3, None, 4]),
            tf.TensorSpec([3, None, 3]),
            tf.TensorSpec([3, None]),
        ],
    )
    tf.saved_model.save(module, str(tmp_path))
    found = tf.saved_model.load(str(tmp_path)).assign(BOXES, LABELS, WEIGHTS)
    expect_equal(found[name] for name in EXPECTED._fields)


def test_other_anchors_are_noticed():
    moved = ANCHORS.copy()
    moved[0] += 5
    found = [assign(BOXES, LABELS, WEIGHTS, anchors) for anchors in (ANCHORS, moved, ANCHORS)]
    expected = TargetAssigner(moved, BACKGROUND, **OPTIONS).assign(BOXES, LABELS, WEIGHTS)
    assert np.array_equal(found[1].matches, expected.matches)
    expect_equal(found[2])


def with_nan():
    boxes = BOXES.copy()
    boxes[1, 4, 2] = np.nan
    return boxes


@pytest.mark.parametrize(
    ("boxes", "labels", "weights", "anchors", "says"),
    [
        (with_nan(), LABELS, WEIGHTS, ANCHORS, r"boxes\[1\]\[4\]: found the corner nan"),
        (BOXES, LABELS, WEIGHTS, ANCHORS * np.inf, r"anchors\[0\]: found the corner"),
        (BOXES[..., :3], LABELS, WEIGHTS, ANCHORS, r"boxes\[0\]: found the shape \[12,3\]"),
        (BOXES, LABELS[..., :2], WEIGHTS, ANCHORS, r"labels\[0\]: .*expected \[12,3\]"),
        (BOXES, LABELS, WEIGHTS[:, :5], ANCHORS, r"weights\[0\]: .*expected \[12\]"),
        (BOXES, LABELS, WEIGHTS, ANCHORS[0], r"anchors: .*expected \[any,4\]"),
    ],
)
def test_refused(boxes, labels, weights, anchors, says):
    with pytest.raises(tf.errors.InvalidArgumentError, match=says):
        assign(boxes, labels, weights, anchors)


def test_wrong_shapes_are_refused_while_tracing():
    with pytest.raises(ValueError, match=r"labels\[0\]: .*\[12,2\], expected \[12,3\]"):
        tf.function(assign).get_concrete_function(BOXES, LABELS[..., :2], WEIGHTS)


@pytest.mark.parametrize("option", [{"unmatched_threshold": 0.6}, {"scale_factors": (1, 1, 1, 0)}])
def test_options_out_of_range_are_refused(option):
    with pytest.raises(tf.errors.InvalidArgumentError, match=next(iter(option))):
        tensorflow_ops.assign_targets(
            ANCHORS, BACKGROUND, [BOXES[0]], [LABELS[0]], [WEIGHTS[0]], **OPTIONS | option
        )


def test_a_library_of_another_tensorflow_is_refused(tmp_path):
    library = tensorflow_ops._LIBRARY.read_bytes()
    other = tmp_path / "other.so"
    built_for = f"built for TensorFlow {tf.__version__}".encode()
    assert built_for in library
    other.write_bytes(library.replace(built_for, built_for[:-6] + b"1.15.0"))
    with pytest.raises(UserError, match=rf"for TensorFlow 1.15.0, but TensorFlow {tf.__version__}"):
        tensorflow_ops.load(other)


def test_a_file_that_is_no_library_is_refused(tmp_path):
    other = tmp_path / "other.so"
    other.write_bytes(f"roadmark: built for TensorFlow {tf.__version__}".encode())
    with pytest.raises(UserError, match="does not load"):
        tensorflow_ops.load(other)
    with pytest.raises(UserError, match="No such file"):
        tensorflow_ops.load(tmp_path / "missing.so")
