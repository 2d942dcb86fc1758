"""Networks: pictures reach a backbone as its own module wants them; maps show where it looks."""

import dataclasses

import numpy as np
import pytest

from roadmark.classification import config as configs
from roadmark.classification import network
from roadmark.classification.config import Augmentation
from roadmark.classification.network import keras
from roadmark.errors import UserError
from roadmark.testing import small_class_sets


def _config(tmp_path, **changes):
    path = small_class_sets.write_config(tmp_path / "c.yml", tmp_path)
    return dataclasses.replace(configs.load(path), **changes)


@pytest.mark.parametrize("backbone", sorted(configs.KERAS_BACKBONES))
def test_pictures_are_prepared_as_the_backbones_module_does(backbone):
    module, name = configs.KERAS_BACKBONES[backbone]
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    inputs = keras.Input((8, 8, 3))
    outputs = network._preprocessed(inputs, backbone)
    ours = pictures
    if outputs is not inputs:
        ours = np.asarray(keras.Model(inputs, outputs)(pictures))
    theirs = getattr(keras.applications, module).preprocess_input(pictures.copy())
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert hasattr(keras.applications, name)


def test_every_backbone_of_keras_has_a_name():
    theirs = {
        name
        for name, made in vars(keras.applications).items()
        if name[0].isupper() and callable(made)
    }
    assert {name for _, name in configs.KERAS_BACKBONES.values()} == theirs


def test_resnet50_of_the_cars_builds(tmp_path):
    model = network.build(_config(tmp_path, backbone="resnet50", classes=196), None)
    assert model.output_shape == (None, 196)
    assert 23e6 < model.count_params() < 25e6


def test_an_input_too_small_for_the_backbone_is_named(tmp_path):
    with pytest.raises(UserError, match="give a larger input_shape"):
        network.build(_config(tmp_path, backbone="inception_v3"), None)


def test_augmentation_layers_do_what_the_config_says():
    augmentation = Augmentation("horizontal", 0.1, 0.2, 0.1, 0.3, 0.2)
    layers = network.augmentation_layers(augmentation, 0)
    zooms = {layer.name: (layer.height_factor, layer.width_factor) for layer in layers[2:]}
    assert [type(layer).__name__ for layer in layers[:2]] == ["RandomFlip", "RandomRotation"]
    assert zooms["height"][1] == zooms["width"][0] == 0.0
    assert not network.augmentation_layers(Augmentation(), 0)


def test_what_layers_draw_depends_on_seed_and_epoch_alone(tmp_path):
    model = network.augmenting(
        network.build(_config(tmp_path), None), Augmentation("horizontal", 0.1), 0
    )
    states = []
    for epoch in (3, 4, 3):
        network.reseed(model, 0, epoch)
        states.append([np.asarray(one.state) for one in network.seed_generators(model)])
    assert len(states[0]) == 3, "flip, rotation and dropout"
    assert all((a == b).all() for a, b in zip(states[0], states[2], strict=True))
    assert all((a != b).any() for a, b in zip(states[0], states[1], strict=True))


def test_activation_maps_are_those_of_the_gradient(tmp_path):
    import tensorflow as tf

    model = network.build(_config(tmp_path), None)
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3)).astype(np.float32)
    ours = network.activation_maps(model, images, [0, 1, 1])
    to_map = keras.Model(model.inputs, model.get_layer("pool").input)
    features = tf.Variable(to_map(images))
    head = model.get_layer("head")
    with tf.GradientTape() as tape:
        logits = head(tf.reduce_mean(features, axis=(1, 2)))
        chosen = tf.reduce_sum(tf.gather(logits, [0, 1, 1], batch_dims=1))
    weights = tf.reduce_mean(tape.gradient(chosen, features), axis=(1, 2), keepdims=True)
    expected = np.maximum(np.asarray(tf.reduce_sum(weights * features, axis=-1)), 0)
    expected /= np.maximum(expected.max(axis=(1, 2), keepdims=True), 1e-12)
    np.testing.assert_allclose(ours, expected, atol=1e-4)
