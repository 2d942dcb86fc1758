"""Every config in configs/ builds, and the zoo's checkpoints fit those that the zoo has."""

import functools
from pathlib import Path
from typing import Any

import pytest

from roadmark.errors import UserError
from roadmark.odapi import models, pipeline_config
from roadmark.testing import street_data

import tensorflow as tf  # isort: skip - behind the door that roadmark.odapi.models opens

_CONFIGS = Path(__file__).resolve().parents[3] / "configs"
_CLASSES = 3
# With as many classes as the zoo's models have, one model serves both tests.
_ZOO_CLASSES = 90
_ZOO = {
    "effdet_d0": "efficientdet_d0_coco17_tpu-32",
    "ssd_mobilenet_v2_fpnlite_320": "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8",
    "ssd_mobilenet_v2_fpnlite_640": "ssd_mobilenet_v2_fpnlite_640x640_coco17_tpu-8",
}
# The least that all feature pyramids take: a multiple of 128, and more than 128.
_SIDE = 256


def _classes(name: str) -> int:
    return _ZOO_CLASSES if name in _ZOO else _CLASSES


def _load(name: str) -> Any:
    """The config with a small input, which shrinks the work and no variable."""
    config = pipeline_config.load(_CONFIGS / f"{name}.config")
    architecture = pipeline_config.architecture(config)
    resizer = architecture.image_resizer.fixed_shape_resizer
    resizer.height = resizer.width = _SIDE
    architecture.num_classes = _classes(name)
    if config.model.WhichOneof("model") == "faster_rcnn":
        config.model.faster_rcnn.first_stage_max_proposals = 8
    return config


@functools.cache
def _built(name: str) -> tuple[Any, dict[str, list[int]]]:
    """The model of a config, and the shapes of what it predicts for one picture."""
    model = models.build(_load(name), is_training=False)
    # Eagerly: a graph that makes variables is traced twice, and that takes longer.
    images, shapes = model.preprocess(tf.zeros([1, _SIDE, _SIDE, 3]))
    found = model.predict(images, shapes)
    return model, {key: list(value.shape) for key, value in found.items() if tf.is_tensor(value)}


@pytest.mark.parametrize(
    "name",
    sorted(
        path.stem
        for path in _CONFIGS.glob("*.config")
        if pipeline_config.load(path).model.WhichOneof("model") == "ssd"
    ),
)
def test_one_stage_configs_build(name: str) -> None:
    _, shapes = _built(name)
    anchors = shapes["anchors"][0]
    columns = _classes(name) + _load(name).model.ssd.add_background_class
    assert shapes["box_encodings"] == [1, anchors, 4]
    assert shapes["class_predictions_with_background"] == [1, anchors, columns]


@pytest.mark.parametrize(
    ("name", "has_masks"),
    [("faster_rcnn_inception_resnet_v2_640", False), ("mask_rcnn_inception_resnet_v2", True)],
)
def test_two_stage_configs_build(name: str, has_masks: bool) -> None:
    _, shapes = _built(name)
    assert shapes["refined_box_encodings"][-2:] == [_CLASSES, 4]
    assert shapes["class_predictions_with_background"][-1] == _CLASSES + 1
    assert ("mask_predictions" in shapes) == has_masks


@pytest.mark.parametrize("name", _ZOO)
def test_zoo_checkpoints_have_our_variables(name: str, tmp_path: Path) -> None:
    theirs = _variables(street_data.folder(f"zoo_index/{_ZOO[name]}") / "checkpoint" / "ckpt-0")
    model, _ = _built(name)
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
