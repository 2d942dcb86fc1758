"""Every config in configs/ builds, and the zoo's checkpoints fit those that the zoo has."""

from pathlib import Path
from typing import Any

import pytest

from roadmark.errors import UserError
from roadmark.odapi import models, pipeline_config, train_step
from roadmark.testing import street_data

import tensorflow as tf  # isort: skip - behind the door that roadmark.odapi.models opens

_CONFIGS = Path(__file__).resolve().parents[3] / "configs"
_CLASSES = 3
# The least that all feature pyramids take: a multiple of 128, and more than 128.
_SIDE = 256


def _predictions(model: Any) -> dict[str, list[int | None]]:
    """Shapes of what the model predicts for one picture; traced, not computed."""

    @tf.function(autograph=False)
    def predict() -> dict[str, tf.Tensor]:
        images, shapes = model.preprocess(tf.zeros([1, _SIDE, _SIDE, 3]))
        predictions = model.predict(images, shapes)
        return {name: value for name, value in predictions.items() if tf.is_tensor(value)}

    shapes = predict.get_concrete_function().structured_outputs
    return {name: value.shape.as_list() for name, value in shapes.items()}


def _load(name: str) -> Any:
    """The config with a small input, which shrinks the work and no variable."""
    config = pipeline_config.load(_CONFIGS / f"{name}.config")
    resizer = pipeline_config.architecture(config).image_resizer.fixed_shape_resizer
    resizer.height = resizer.width = _SIDE
    return config


@pytest.mark.parametrize(
    "name",
    sorted(
        path.stem
        for path in _CONFIGS.glob("*.config")
        if pipeline_config.load(path).model.WhichOneof("model") == "ssd"
    ),
)
def test_one_stage_configs_build(name: str) -> None:
    config = _load(name)
    shapes = _predictions(models.build(config, is_training=False))
    anchors = shapes["anchors"][0]
    columns = _CLASSES + config.model.ssd.add_background_class
    assert shapes["box_encodings"] == [1, anchors, 4]
    assert shapes["class_predictions_with_background"] == [1, anchors, columns]


@pytest.mark.parametrize(
    ("name", "has_masks"),
    [("faster_rcnn_inception_resnet_v2_640", False), ("mask_rcnn_inception_resnet_v2", True)],
)
def test_two_stage_configs_build(name: str, has_masks: bool) -> None:
    shapes = _predictions(models.build(_load(name), is_training=False))
    assert shapes["refined_box_encodings"][-2:] == [_CLASSES, 4]
    assert shapes["class_predictions_with_background"][-1] == _CLASSES + 1
    assert ("mask_predictions" in shapes) == has_masks


@pytest.mark.parametrize(
    ("name", "zoo"),
    [
        ("effdet_d0", "efficientdet_d0_coco17_tpu-32"),
        ("ssd_mobilenet_v2_fpnlite_320", "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8"),
        ("ssd_mobilenet_v2_fpnlite_640", "ssd_mobilenet_v2_fpnlite_640x640_coco17_tpu-8"),
    ],
)
def test_zoo_checkpoints_have_our_variables(name: str, zoo: str, tmp_path: Path) -> None:
    theirs = _variables(street_data.folder(f"zoo_index/{zoo}") / "checkpoint" / "ckpt-0")
    config = _load(name)
    config.model.ssd.num_classes = 90
    model = models.build(config, is_training=True)
    train_step.build_variables(model)
    written = tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
    ours = _variables(written)
    assert len(ours) > 300
    assert ours == theirs


def _variables(checkpoint: str | Path) -> dict[str, list[int]]:
    """Object path to shape of a checkpoint's model; only the index file is read."""
    shapes = tf.train.list_variables(str(checkpoint))
    return {name: shape for name, shape in shapes if name.startswith("model/")}


def test_a_model_that_the_od_api_does_not_know_is_refused() -> None:
    config = pipeline_config.load(_CONFIGS / "quickstart.config")
    config.model.ssd.feature_extractor.type = "ssd_tricycle"
    with pytest.raises(UserError, match=r"cannot build it: .*ssd_tricycle"):
        models.build(config, is_training=True)
