import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first

from roadmark import manifest  # noqa: E402
from roadmark.data import synthetic  # noqa: E402
from roadmark.errors import UserError  # noqa: E402
from roadmark.export import agreement, exporter  # noqa: E402
from roadmark.inference.detector import Detector  # noqa: E402
from roadmark.odapi import checkpoints, exporting, models, pipeline_config, trained_model  # noqa: E402
from roadmark.ops import tensorflow_ops  # noqa: E402

RUN = Path("tests/models/quickstart")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """In another size than that of the training, 160 x 256."""
    folder = tmp_path_factory.mktemp("exports")
    config = pipeline_config.load(RUN / "pipeline.config")
    config.model.ssd.image_resizer.fixed_shape_resizer.height = 192
    pipeline_config.save(config, folder / "taller.config")
    model = trained_model.find(RUN, config=folder / "taller.config")
    return exporter.export(model, folder / "exports" / "export")


@pytest.fixture(scope="module")
def detector(exported):
    return Detector.load(exported.folder)


@pytest.fixture(scope="module")
def scenes():
    small = synthetic.render_scene(1, 1).image[:200, :300]
    return [synthetic.render_scene(1, 0).image, small]


def test_the_folder_holds_everything_and_nothing_else(exported):
    assert {path.name for path in exported.folder.iterdir()} == {
        "manifest.json",
        "saved_model",
        "raw",
        "anchors.npy",
        "label_map.pbtxt",
        "pipeline.config",
    }
    assert [path.name for path in exported.folder.parent.iterdir()] == ["export"]
    description = manifest.load(exported.folder)
    assert description == exported.manifest
    assert description.model == "quickstart"
    assert description.step == 700
    assert description.names() == {1: "vehicle", 2: "pedestrian", 3: "cyclist"}
    assert (description.input.height, description.input.width) == (192, 256)


def test_the_hash_is_that_of_the_weights_alone(exported):
    """The quickstart exports where it has trained: Keras numbers that process's layers on."""
    before = manifest.load(RUN / "export")
    assert exported.manifest.weights_sha256 == before.weights_sha256
    assert exported.manifest.config_sha256 != before.config_sha256


def test_layers_are_hashed_in_their_order_whatever_keras_numbers_them():
    def network(value):
        layers = [tf.keras.layers.Dense(2) for _ in range(3)]
        model = tf.keras.Sequential([tf.keras.Input([2]), *layers])
        for number, layer in enumerate(layers):
            layer.kernel.assign(tf.fill([2, 2], value + number))
        return model

    networks = [network(0.0) for _ in range(5)]  # Beyond dense_9, which sorts behind dense_10.
    assert len({one.variables[0].name for one in networks}) == 5
    assert len({exporting.weights_sha256(one) for one in networks}) == 1
    assert exporting.weights_sha256(network(1.0)) != exporting.weights_sha256(networks[0])


def test_raw_outputs_have_a_free_batch_and_fixed_anchors(exported):
    anchors = np.load(exported.folder / "anchors.npy")
    assert anchors.dtype == np.float32
    assert {output.name: output.shape for output in exported.manifest.outputs} == {
        "box_encodings": (-1, len(anchors), 4),
        "class_logits": (-1, len(anchors), 4),
    }


def test_raw_agrees_with_stock_on_boxes_that_matter(exported):
    assert exported.agreement.holds
    scenes = [synthetic.render_scene(2, index).image for index in range(20)]
    found = agreement.measure(exported.folder, scenes)
    assert found.holds
    assert found.boxes >= 30


def test_detections_of_a_batch_equal_those_of_each_picture(detector, scenes):
    together = detector.detect(scenes, score_threshold=0.1)
    for scene, found in zip(scenes, together, strict=True):
        (alone,) = detector.detect([scene], score_threshold=0.1)
        assert len(found) == len(alone) > 0
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)
        assert (found.boxes <= np.float32((*scene.shape[:2], *scene.shape[:2]))).all()


def test_the_engine_works_on_several_batches_in_any_order(detector, scenes):
    submitted = [detector.submit([scene]) for scene in scenes]
    found = [detector.result(batch)[0] for batch in reversed(submitted)][::-1]
    for expected, result in zip(scenes, found, strict=True):
        np.testing.assert_allclose(detector.detect([expected])[0].boxes, result.boxes, atol=0.01)


def test_the_engine_takes_dlpack_buffers_of_others(detector, scenes):
    spec = detector.manifest.input
    images = np.full((1, spec.height, spec.width, 3), 0.5, np.float32)
    engine = detector.engine
    ours = engine.result(engine.submit({"image": images}))
    theirs = engine.result(engine.submit({"image": tf.constant(images)}))
    for name, buffer in ours.items():
        assert np.array_equal(np.from_dlpack(buffer), np.from_dlpack(theirs[name]))


def test_the_stock_model_is_called_as_the_tutorials_do(exported, scenes):
    detect = tf.saved_model.load(str(exported.folder / "saved_model"))
    found = detect(tf.constant(np.stack([scenes[0], scenes[0]])))
    assert found["detection_boxes"].shape == (2, 100, 4)
    assert found["detection_classes"].dtype == tf.float32
    one = {name: tensor.numpy()[0] for name, tensor in found.items()}
    assert len(agreement.stock_detections(one, scenes[0].shape[:2])) > 0


def test_network_and_native_post_processing_make_one_saved_model(exported, scenes, tmp_path):
    detector = Detector.load(exported.folder, engine="tensorflow")
    image, spec = exported.manifest.input, exported.manifest.postprocess
    module = tf.Module()
    module.network = tf.saved_model.load(str(exported.folder / "raw"))

    def detect(images):
        outputs = module.network.signatures["serving_default"](images)
        found = tensorflow_ops.postprocess(
            outputs["class_logits"],
            outputs["box_encodings"],
            detector.anchors,
            scale_factors=spec.box_coder.scale_factors,
            score_converter=spec.score_converter,
            logit_scale=spec.logit_scale,
            background_column=spec.background_column,
            score_threshold=0.1,
            iou_threshold=spec.nms.iou_threshold,
            max_per_class=spec.nms.max_per_class,
            max_total=spec.nms.max_total,
        )
        return {name: one for name, one in found._asdict().items() if one is not None}

    signature = [tf.TensorSpec([None, image.height, image.width, 3], name=image.name)]
    module.detect = tf.function(detect, input_signature=signature)
    tf.saved_model.save(module, str(tmp_path), signatures=module.detect)
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    batch = tf.constant(detector.preprocess(scenes).arrays[image.name])
    found = {name: tensor.numpy() for name, tensor in loaded(**{image.name: batch}).items()}
    for index, expected in enumerate(detector.detect(scenes, score_threshold=0.1)):
        count = found["num_detections"][index]
        assert count == len(expected) > 0
        pixels = found["boxes"][index, :count] * np.float32(scenes[index].shape[:2] * 2)
        np.testing.assert_allclose(pixels, expected.boxes, atol=0.01)
        np.testing.assert_allclose(found["scores"][index, :count], expected.scores, atol=1e-5)
        assert np.array_equal(found["classes"][index, :count] + 1, expected.classes)


def test_an_altered_weight_is_refused(exported, tmp_path):
    copy = shutil.copytree(exported.folder, tmp_path / "export")
    weights = next((copy / "raw" / "variables").glob("*.data-*"))
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="altered: found SHA-256"):
        Detector.load(copy)


def test_a_checkpoint_of_another_model_leaves_the_last_export_alone(exported, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    checkpoints.save(tf.train.Checkpoint(model=tf.Module()), other, 3, keep=1)
    before = json.loads((exported.folder / "manifest.json").read_text())
    model = trained_model.find(RUN, checkpoint=other)
    with pytest.raises(UserError, match="a checkpoint of another model"):
        exporter.export(model, exported.folder)
    assert json.loads((exported.folder / "manifest.json").read_text()) == before
    assert [path.name for path in exported.folder.parent.iterdir()] == ["export"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (
            "model.ssd.image_resizer={keep_aspect_ratio_resizer: {min_dimension: 90}}",
            "has no fixed size",
        ),
        (
            "model.ssd.image_resizer.fixed_shape_resizer.resize_method=AREA",
            "other than BILINEAR",
        ),
        (
            "model.ssd.post_processing.batch_non_max_suppression.use_combined_nms=true",
            "use_combined_nms is set",
        ),
        ("model.ssd.box_coder={square_box_coder: {}}", "not faster_rcnn_box_coder"),
        (
            "model.ssd.post_processing.calibration_config="
            "{temperature_scaling_calibration: {scaler: 2}}",
            "scores are calibrated",
        ),
        ("model.ssd.post_processing.score_converter=IDENTITY", "score_converter is IDENTITY"),
    ],
)
def test_what_only_the_stock_graph_can_do_is_refused(setting, says):
    config = pipeline_config.load(RUN / "pipeline.config")
    config = pipeline_config.override(config, [setting])
    with pytest.raises(UserError, match=f"cannot be exported: .*{says}"):
        exporting.input_spec(config, models.build(config, is_training=False))
        exporting.postprocess_spec(config)
