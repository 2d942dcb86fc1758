"""Backbones of our own: their levels, their norm, freezing, and weights to begin from."""

from pathlib import Path

import numpy as np
import pytest

from roadmark.errors import UserError
from roadmark.odapi import checkpoints, input_sides, models, pipeline_config, train_step
from roadmark.odapi.backbones import extractors, pretrained, registry

import tensorflow as tf  # isort: skip - behind the door that roadmark.odapi.models opens

_CONFIG = Path(__file__).resolve().parents[4] / "configs/ssd_mobilenet_v3_large_fpnlite_320.config"
_NAME = "mobilenet_v3_large"


def _config():
    config = pipeline_config.load(_CONFIG)
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    resizer.height = resizer.width = 64
    return config


@pytest.fixture(scope="module")
def model():
    made = models.build(_config(), is_training=True)
    train_step.build_variables(made)
    return made


def test_levels_have_their_strides():
    backbone = registry.BACKBONES[_NAME]
    cut = extractors.cut(backbone, None, 1.0, 2, 5)
    sides = [int(one.shape[1]) for one in cut(tf.keras.Input((128, 128, 3)))]
    assert sides == [32, 16, 8, 4]
    assert not any("rescaling" in layer.name for layer in cut.layers)


@pytest.mark.parametrize(("name", "white"), [(_NAME, 1.0), ("efficientnet_v2_s", 255 / 128 - 1)])
def test_pixels_are_normed_as_in_keras(name, white):
    """Its networks begin with pixels / 127.5 - 1 and pixels / 128 - 1."""
    backbone = registry.BACKBONES[name]
    normed = (np.array([[0.0] * 3, [255.0] * 3]) - backbone.mean) * backbone.scale
    np.testing.assert_allclose(normed, [[-1.0] * 3, [white] * 3])


@pytest.mark.parametrize("pyramid", ["fpn", "bifpn"])
def test_a_pyramid_takes_the_sides_that_the_check_of_a_config_lets_pass(model, pyramid):
    extractor = model._feature_extractor
    config = _config().model.ssd.feature_extractor
    if pyramid == "bifpn":
        config.type, config.use_depthwise = f"ssd_{_NAME}_bifpn_keras", False
        config.bifpn.min_level, config.bifpn.max_level = 4, 6
        config.bifpn.num_iterations, config.bifpn.num_filters = 1, 16
        changed = _config()
        changed.model.ssd.feature_extractor.CopyFrom(config)
        extractor = models.build(changed, is_training=True)._feature_extractor
    sides = (64, 90, 96, 128)
    expected = {side: input_sides.fits(config, side) for side in sides}
    assert {side: _takes(extractor, side) for side in sides} == expected
    assert expected[128]
    assert not expected[90]


def _takes(extractor, side: int) -> bool:
    try:
        tf.function(lambda picture: extractor(picture)).get_concrete_function(
            tf.TensorSpec((1, side, 64, 3))
        )
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("fpn { min_level: 1 }", "mobilenet_v3_large has the levels 2, 3, 4, 5; found 1"),
        ("use_explicit_padding: true", "use_explicit_padding is not supported"),
        (
            'type: "ssd_efficientnet_v2_s_fpn_keras" depth_multiplier: 0.5',
            "efficientnet_v2_s has one width only: depth_multiplier is 0.5",
        ),
        (
            'type: "ssd_mobilenet_v3_large_bifpn_keras"',
            "use_depthwise: a BiFPN's convolutions are separable already",
        ),
    ],
)
def test_what_a_backbone_cannot_do_is_one_line(change, says):
    from google.protobuf import text_format

    config = _config()
    extractor = config.model.ssd.feature_extractor
    text_format.Merge(change, extractor)
    if "bifpn" in change:
        extractor.ClearField("fpn")
    with pytest.raises(UserError, match=says):
        models.build(config, is_training=True)


def test_the_config_overrides_weight_decay_and_batch_norm(model):
    backbone = model._feature_extractor.classification_backbone
    layers = tf.keras.layers
    norms = [one for one in backbone.layers if isinstance(one, layers.BatchNormalization)]
    assert {(round(one.momentum, 6), round(one.epsilon, 6)) for one in norms} == {(0.997, 0.001)}
    kernels = [one for one in backbone.layers if isinstance(one, layers.Conv2D)]
    decay = 4e-5 * sum(float(tf.nn.l2_loss(one.trainable_weights[0])) for one in kernels)
    assert float(tf.add_n(backbone.losses)) == pytest.approx(decay, rel=1e-4)


@pytest.mark.parametrize("frozen", [False, True])
def test_batch_norm_is_frozen_where_the_config_says(model, frozen):
    extractor = model._feature_extractor
    norm = extractor.classification_backbone.get_layer("Conv/BatchNorm")
    before = norm.moving_mean.numpy()
    extractor._freeze_batchnorm = frozen
    tf.compat.v1.keras.backend.set_learning_phase(True)
    try:
        extractor._levels_of(tf.random.normal((2, 64, 64, 3), seed=0))
    finally:
        tf.compat.v1.keras.backend.set_learning_phase(False)
        extractor._freeze_batchnorm = False
    assert np.array_equal(before, norm.moving_mean.numpy()) == frozen


def test_training_begins_from_a_classifiers_weights(model, tmp_path):
    whole = registry.BACKBONES[_NAME].make(None, 1.0)
    whole.save_weights(tmp_path / "keras.h5")
    prefix = pretrained.save(_NAME, tmp_path / "keras.h5", 1.0, 3, tmp_path / "own" / "ckpt")
    assert prefix == tmp_path / "own" / "ckpt-0"
    found = checkpoints.fine_tune(model, prefix, "classification")
    backbone = model._feature_extractor.classification_backbone
    assert len(found.matched) == len(backbone.variables)
    for layer in ("Conv", "expanded_conv_14/project"):
        theirs, ours = (one.get_layer(layer).get_weights() for one in (whole, backbone))
        np.testing.assert_array_equal(theirs[0], ours[0])


def test_weights_of_another_network_are_refused(tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"bad\.h5: no weights of mobilenet_v3_large"):
        pretrained.save(_NAME, tmp_path / "bad.h5", 1.0, 3, tmp_path / "ckpt")
