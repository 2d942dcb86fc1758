"""What is exported computes what the network does, whatever it does to its pictures first."""

import numpy as np
import onnxruntime
import pytest

from roadmark.classification import exporting, manifest
from roadmark.classification.network import keras


def _fixed() -> keras.layers.Layer:
    """As ResNet's and ConvNeXt's preparation."""
    return keras.layers.Normalization(mean=(103.939, 116.779, 123.68), variance=(1.0, 4.0, 9.0))


def _learnt() -> keras.layers.Layer:
    """As EfficientNet's, which is among its weights."""
    layer = keras.layers.Normalization(axis=-1)
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32))
    return layer


def _grouped() -> keras.layers.Layer:
    """As ConvNeXt's blocks: as many groups as channels, then GELU."""
    convolution = keras.layers.Conv2D(3, 5, padding="same", groups=3)
    rescaling = keras.layers.Rescaling(1 / 127.5, -1.0)
    return keras.Sequential([rescaling, convolution, keras.layers.Activation("gelu")])


def _shifted() -> keras.layers.Layer:
    """As MobileNetV3's activation, on which an optimisation of the converter fails."""
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.Conv2D(3, 3, use_bias=False)(inputs) + 3.0)


@pytest.mark.parametrize("layer", [_fixed, _learnt, _grouped, _shifted])
def test_the_exported_graphs_compute_what_the_network_does(layer, tmp_path, caplog):
    import tensorflow as tf

    inputs = keras.Input((8, 8, 3), name="pictures")
    # A network of its own within the network, as backbones are.
    backbone = keras.Sequential([keras.Input((8, 8, 3)), layer(), keras.layers.Conv2D(4, 3)])
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(pooled))
    names, difference = exporting.write_graphs(model, tmp_path)
    assert difference < 1e-5
    graph = onnxruntime.InferenceSession(str(tmp_path / manifest.ONNX_FILE))
    assert [one.name for one in graph.get_inputs()] == [names[0]]
    pictures = np.random.default_rng(1).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    saved = tf.saved_model.load(str(tmp_path / manifest.SAVED_MODEL))
    np.testing.assert_allclose(saved.serve(pictures), model(pictures), atol=1e-5)
    assert caplog.text == "", "what a user would be shown"
