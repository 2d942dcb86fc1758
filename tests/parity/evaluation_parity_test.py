"""A checkpoint's metrics and losses are those of the OD API's own evaluation loop."""

import dataclasses
import math

import numpy as np
import pytest

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection import inputs, model_lib_v2  # noqa: E402

from roadmark.data import example, synthetic, tfrecord  # noqa: E402
from roadmark.evaluation import evaluation, records  # noqa: E402
from roadmark.inference import checkpoint  # noqa: E402
from roadmark.odapi import checkpoints, eval_step, models, trained_model  # noqa: E402

IMAGES = 12


@pytest.fixture(scope="module")
def model():
    return trained_model.find("tests/models/quickstart")


@pytest.fixture(scope="module")
def network(model):
    network = models.build(model.config, is_training=False)
    checkpoints.restore_for_inference(network, model.checkpoint)
    return network


@pytest.fixture(scope="module")
def source(model, network, tmp_path_factory):
    """Records whose marked boxes are some of the detector's own finds, moved a little."""
    rng = np.random.default_rng(0)
    scenes = list(synthetic.render_set(IMAGES, seed=0))
    found = eval_step.EvalStep(model.config, network).run(lambda: map(example.serialise, scenes))
    path = tmp_path_factory.mktemp("records") / "val-00000-of-00001.tfrecord"
    with tfrecord.RecordWriter(path) as writer:
        for scene, (detections, _) in zip(scenes, found, strict=True):
            writer.write(example.serialise(_marked(scene, detections, rng)))
    return str(path)


def _marked(scene, detections, rng):
    rows = np.sort(rng.choice(len(detections), size=rng.integers(0, 30), replace=False))
    count = len(rows)
    moved = detections.boxes[rows] + rng.normal(0, 3, (count, 4))
    boxes = np.clip(moved / np.array([scene.height, scene.width] * 2), 0, 1).astype(np.float32)
    boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), boxes[:, 2:]], axis=1)
    ids = detections.classes[rows].astype(np.int64)
    names = {1: "vehicle", 2: "pedestrian", 3: "cyclist"}
    return dataclasses.replace(
        scene,
        boxes=boxes,
        class_ids=ids,
        class_names=tuple(names[number] for number in ids.tolist()),
        is_crowd=rng.random(count) < 0.1,
        difficult=np.zeros(count, bool),
        areas=np.full(count, 50, np.float32),  # The OD API goes by the boxes instead.
        masks=None,
    )


@pytest.fixture(scope="module")
def expected(model, network, source):
    config = model.config
    reader = config.eval_input_reader[0]
    reader.tf_record_input_reader.input_path[:] = [source]
    # With larger batches the OD API leaves out the last incomplete one.
    config.eval_config.batch_size = 1
    values = model_lib_v2.eager_eval_loop(
        network,
        {
            "train_config": config.train_config,
            "eval_input_config": reader,
            "eval_config": config.eval_config,
        },
        inputs.eval_input(config.eval_config, reader, config.model, model=network),
        global_step=tf.Variable(7, dtype=tf.int64),
    )
    return {name: float(value) for name, value in values.items()}


def test_metrics_and_losses(model, source, expected):
    result = checkpoint.evaluate(model, records.select(source))
    assert result.metrics.images == IMAGES
    found = evaluation.scalars(result)
    # The comparison must bear on something.
    assert 0.02 < found["DetectionBoxes_Precision/mAP"] < 0.98
    compared = [name for name in expected if name in found or name.startswith("Loss/")]
    assert len([name for name in compared if name.startswith("DetectionBoxes_")]) >= 10
    for name in compared:
        value = found[name.removeprefix("Loss/")]
        assert value == pytest.approx(expected[name], abs=1e-4, rel=1e-5), name
    for name, value in result.metrics.summary["bbox"].items():
        if math.isnan(value):
            assert expected["DetectionBoxes_" + evaluation._TAGS[name]] == -1


def test_cost(model, network, source):
    result = checkpoint.evaluate(model, records.select(source, subset=3))
    weights = [np.prod(variable.shape) for variable in network.trainable_variables]
    assert result.cost.parameters == sum(weights) > 100_000
    statistics = result.cost.size_bytes / 4 - result.cost.parameters
    assert 0 < statistics < 0.1 * result.cost.parameters
    # A weight of a convolution is used once for every place at least.
    assert result.cost.flops > 2 * result.cost.parameters
    assert result.cost.ms_per_image > 0


@pytest.mark.parametrize(("height", "expected"), [(10, 2 * 10 * 12 * 3 * 3 * 8 * 16), (None, None)])
def test_flops_of_a_convolution(height, expected):
    kernel = tf.zeros([3, 3, 8, 16])
    convolve = tf.function(lambda pixels: tf.nn.conv2d(pixels, kernel, 1, "SAME"))
    graph = convolve.get_concrete_function(tf.TensorSpec([1, height, 12, 8])).graph
    assert eval_step._flops(graph) == expected
