"""The native op in a model against the OD API's own target assignment of that model."""

import functools
from pathlib import Path

import numpy as np
import pytest

from roadmark.odapi import models, pipeline_config, target_assignment
from roadmark.ops import tensorflow_ops

import tensorflow as tf  # isort: skip - the door must be open first

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
SIZE = "model.ssd.image_resizer.fixed_shape_resizer"


def build(name, *overrides):
    config = pipeline_config.load(CONFIGS / f"{name}.config")
    return models.build(pipeline_config.override(config, overrides), is_training=True)


def groundtruth(rng, count):
    corner = rng.uniform(0, 0.4, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(0.2, 0.6, (count, 2))])
    padded = np.vstack([boxes, np.zeros((20 - count, 4))]).astype(np.float32)
    classes = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 20)]
    classes[count:] = 0
    return tf.constant(padded), tf.constant(classes), tf.constant(np.float32(np.arange(20) < count))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("model.ssd.add_background_class=true",),
        (
            "model.ssd.matcher.argmax_matcher.matched_threshold=0.6",
            "model.ssd.matcher.argmax_matcher.unmatched_threshold=0.3",
            "model.ssd.matcher.argmax_matcher.force_match_for_each_row=false",
            "model.ssd.box_coder.faster_rcnn_box_coder.y_scale=7",
            "model.ssd.negative_class_weight=0.5",
        ),
        ("model.ssd.matcher.argmax_matcher.ignore_thresholds=true",),
    ],
)
def test_equals_the_graph_of_the_od_api(overrides):
    model = build("quickstart", f"{SIZE}.height=64", f"{SIZE}.width=64", *overrides)
    by_graph = model._assign_targets
    assert target_assignment.use_native_op(model) is None
    model.predict(*model.preprocess(tf.zeros([1, 64, 64, 3])))
    rng = np.random.default_rng(0)
    boxes, classes, weights = zip(*(groundtruth(rng, count) for count in (0, 1, 15)), strict=True)
    graph = [tensor.numpy() for tensor in by_graph(boxes, classes, None, weights)]
    op = [tensor.numpy() for tensor in model._assign_targets(boxes, classes, None, weights)]
    op[1] = np.broadcast_to(op[1], graph[1].shape)
    for index in (0, 1, 3, 4):
        assert np.array_equal(op[index], graph[index])
    np.testing.assert_array_max_ulp(op[2], graph[2], maxulp=2)
    assert (op[4] >= 0).sum() > 5


@pytest.mark.parametrize(
    ("name", "overrides", "says"),
    [
        ("faster_rcnn_inception_resnet_v2_640", (), "serves SSD models, this is a FasterRCNN"),
        (
            "quickstart",
            ("model.ssd.similarity_calculator={neg_sq_dist_similarity {}}",),
            "knows IouSimilarity, the config has NegSqDistSimilarity",
        ),
        (
            "quickstart",
            ("model.ssd.box_coder={square_box_coder {}}",),
            "knows FasterRcnnBoxCoder, the config has SquareBoxCoder",
        ),
        (
            "quickstart",
            ("model.ssd.use_confidences_as_targets=true",),
            "does not know use_confidences_as_targets",
        ),
    ],
)
def test_where_the_op_cannot_serve_it_says_why(name, overrides, says):
    assert says in target_assignment.use_native_op(build(name, *overrides))


def test_without_the_library_it_names_the_file_and_the_command_that_builds_it(
    monkeypatch, tmp_path
):
    absent = tmp_path / "_tensorflow_ops.so"
    monkeypatch.setattr(
        tensorflow_ops, "load", functools.partial(tensorflow_ops.load.__wrapped__, absent)
    )
    model = build("quickstart")
    by_graph = model._assign_targets
    assert target_assignment.use_native_op(model) == (
        f"{absent}: the ops cannot be read, and TensorFlow {tf.__version__} is installed: No such "
        "file or directory; build the ops for the installed one: "
        "bazel build //python/roadmark/ops:tensorflow_ops"
    )
    assert model._assign_targets == by_graph, "the OD API's graph goes on"
