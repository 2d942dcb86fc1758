"""The networks: a backbone, an average over its map, dropout and one dense layer.

Keras 3 on TensorFlow. A process that has this module has no Object Detection API in it, which is
what would need the legacy Keras.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roadmark import tensorflow_logs
from roadmark.classification import config as configs
from roadmark.classification.config import Augmentation, Config
from roadmark.errors import UserError

# Keras looks at it once, when it is imported.
os.environ["KERAS_BACKEND"] = "tensorflow"

with tensorflow_logs.errors_only():
    import keras

BACKBONE = "backbone"
_HEAD = "head"
# How the weights of a module in keras.applications want their pictures; those not named here take
# them as they are. `network_test.py` compares with each module's own preprocess_input.
_CAFFE, _TORCH, _SYMMETRIC = "caffe", "torch", "symmetric"
_INPUTS = {
    "resnet": _CAFFE,
    "vgg16": _CAFFE,
    "vgg19": _CAFFE,
    "densenet": _TORCH,
    "resnet_v2": _SYMMETRIC,
    "mobilenet": _SYMMETRIC,
    "mobilenet_v2": _SYMMETRIC,
    "inception_v3": _SYMMETRIC,
    "inception_resnet_v2": _SYMMETRIC,
    "nasnet": _SYMMETRIC,
    "xception": _SYMMETRIC,
}


def use_precision(mixed: bool) -> None:
    """Sets the precision of networks that are built from now on."""
    import tensorflow as tf

    reduced = "mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"
    keras.mixed_precision.set_global_policy(reduced if mixed else "float32")


def build(config: Config, weights: str | None) -> keras.Model:
    """The classifier, from float32 `[N, H, W, 3]` RGB of 0 to 255 to float32 `[N, classes]`.

    Args:
        config: Names backbone, input, classes and dropout.
        weights: `imagenet` for the backbone, or None.

    Raises:
        UserError: The input is too small for the backbone, or weights cannot be had.
    """
    backbone = _backbone(config, weights)
    inputs = keras.Input(config.input_shape, name="pictures")
    features = backbone(_preprocessed(inputs, config.backbone))
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    pooled = keras.layers.Dropout(config.dropout_rate, seed=config.seed, name="dropout")(pooled)
    logits = keras.layers.Dense(config.classes, dtype="float32", name=_HEAD)(pooled)
    outputs = keras.layers.Activation("softmax", dtype="float32", name="probabilities")(logits)
    return keras.Model(inputs, outputs, name="classifier")


def augmenting(classifier: keras.Model, augmentation: Augmentation, seed: int) -> keras.Model:
    """The classifier behind layers that change training pictures at random."""
    inputs = keras.Input(classifier.input_shape[1:], name="training_pictures")
    changed = inputs
    for layer in augmentation_layers(augmentation, seed):
        changed = layer(changed)
    return keras.Model(inputs, classifier(changed), name="training")


def augmentation_layers(augmentation: Augmentation, seed: int) -> list[keras.layers.Layer]:
    """The layers; Keras 3 has no RandomHeight and RandomWidth, which are zooms of one side."""
    a, layers = augmentation, []
    zoom = keras.layers.RandomZoom
    if a.flip:
        layers.append(keras.layers.RandomFlip(a.flip, seed=seed + 1))
    if a.rotation:
        layers.append(keras.layers.RandomRotation(a.rotation, seed=seed + 2))
    if a.zoom_height or a.zoom_width:
        layers.append(zoom(a.zoom_height, a.zoom_width, seed=seed + 3, name="zoom"))
    if a.height:
        layers.append(zoom(a.height, 0.0, seed=seed + 4, name="height"))
    if a.width:
        layers.append(zoom(0.0, a.width, seed=seed + 5, name="width"))
    return layers


def reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Makes what layers draw in an epoch depend on (seed, epoch) alone."""
    rng = np.random.default_rng([seed, epoch])
    for generator in seed_generators(model):
        generator.state.assign(rng.integers(0, 2**31 - 1, 2).astype("uint32"))


def seed_generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """What the layers draw from: dropout and the random layers name theirs differently."""
    found = (
        getattr(layer, name, None)
        for layer in model._flatten_layers()
        for name in ("seed_generator", "generator")
    )
    return [one for one in found if isinstance(one, keras.random.SeedGenerator)]


def optimizer(config: Config, learning_rate: float) -> keras.Optimizer:
    """The config's optimizer at a learning rate."""
    if config.optimizer == configs.SGD:
        return keras.optimizers.SGD(learning_rate, momentum=config.momentum)
    return keras.optimizers.Adam(learning_rate)


def compile_model(model: keras.Model, config: Config, learning_rate: float) -> None:
    """Gives the model the config's loss and metrics, and a new optimizer."""
    sparse = config.loss == configs.SPARSE
    top_5 = keras.metrics.SparseTopKCategoricalAccuracy if sparse else (
        keras.metrics.TopKCategoricalAccuracy
    )  # fmt: skip
    losses = keras.losses
    loss = (
        losses.SparseCategoricalCrossentropy()
        if sparse
        else losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
    )
    # The gap and the best epoch need the accuracy, asked for or not.
    metrics = [
        "accuracy",
        *([top_5(5, name=configs.TOP_5)] if configs.TOP_5 in config.metrics else []),
    ]
    # Not by XLA, which has no kernel for the zoom and takes a minute for a ResNet on a CPU.
    model.compile(optimizer(config, learning_rate), loss=loss, metrics=metrics, jit_compile=False)


def load_weights(classifier: keras.Model, path: Path, where: str) -> None:
    """Reads weights of the very same network.

    Raises:
        UserError: The file is not there, is no weights file, or is of another network.
    """
    if not path.is_file():
        raise UserError(where, f"{path}: no such file, expected weights", "check the path")
    try:
        classifier.load_weights(str(path))
    except Exception as error:  # Keras and h5py raise many kinds, none of them documented.
        problem = re.sub(r"\s+", " ", str(error))[:160]
        raise UserError(
            where, f"{path} does not hold weights of this network: {problem}",
            "name the run or .weights.h5 file of the same backbone and number of classes",
        ) from None  # fmt: skip


def take_weights(target: keras.Model, source: keras.Model, same_classes: bool) -> None:
    """Copies the backbone, and the last layer too where it is for the same classes."""
    target.get_layer(BACKBONE).set_weights(source.get_layer(BACKBONE).get_weights())
    if same_classes:
        target.get_layer(_HEAD).set_weights(source.get_layer(_HEAD).get_weights())


def activation_maps(classifier: keras.Model, images: np.ndarray, classes: Sequence[int]) -> Any:
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) for a class of each picture.

    Behind the last map stand an average and one dense layer, so that the gradients of a class's
    logit are that class's weights: the map is CAM (Zhou et al. 2016) without a gradient.

    Args:
        classifier: As `build` makes it.
        images: uint8 or float32 `[N, H, W, 3]`.
        classes: Of N.

    Returns:
        float32 `[N, h, w]`, each 0 to 1.
    """
    head = classifier.get_layer(_HEAD)
    feature_model = keras.Model(classifier.inputs, classifier.get_layer("pool").input)
    features = np.asarray(feature_model.predict(images.astype(np.float32), verbose=0), np.float32)
    weights = np.asarray(head.get_weights()[0])[:, list(classes)]
    maps = np.maximum(np.einsum("nhwc,cn->nhw", features, weights), 0)
    return maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-9)


def _backbone(config: Config, weights: str | None) -> keras.Model:
    if config.backbone == configs.SMALL_CNN:
        return _small_cnn(config.input_shape)
    make = getattr(keras.applications, configs.KERAS_BACKBONES[config.backbone][1])
    try:
        made = make(include_top=False, weights=weights, input_shape=config.input_shape)
    except ValueError as error:
        problem = re.sub(r"\s+", " ", str(error))[:160]
        raise UserError(
            config.path, f"model.input_shape: {config.backbone} cannot be built: {problem}",
            "give a larger input_shape",
        ) from None  # fmt: skip
    except Exception as error:  # Keras raises a bare Exception for a failed download.
        problem = re.sub(r"\s+", " ", str(error))[:200]
        folder = Path(os.environ.get("KERAS_HOME", "~/.keras")) / "models"
        raise UserError(
            config.path, f"model.weights: {weights} cannot be downloaded: {problem}",
            f"put that file into {folder} by other means, or write weights: none or the path of a "
            "run",
        ) from None  # fmt: skip
    made.name = BACKBONE
    return made


def _preprocessed(pictures: Any, backbone: str) -> Any:
    module = configs.KERAS_BACKBONES[backbone][0] if backbone != configs.SMALL_CNN else None
    kind = _INPUTS.get(module) if module else _SYMMETRIC
    layers = keras.layers
    if kind == _CAFFE:
        bgr = keras.ops.flip(pictures, axis=-1)
        return layers.Normalization(mean=(103.939, 116.779, 123.68), variance=(1, 1, 1))(bgr)
    if kind == _TORCH:
        mean, deviation = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
        return layers.Normalization(mean=255 * mean, variance=(255 * deviation) ** 2)(pictures)
    if kind == _SYMMETRIC:
        return layers.Rescaling(1 / 127.5, -1.0)(pictures)
    return pictures


def _small_cnn(input_shape: tuple[int, int, int]) -> keras.Model:
    """Five stages of 3 x 3 convolutions with batch norm, 0.4 million weights, a 16th in size."""
    layers = keras.layers
    inputs = keras.Input(input_shape)
    x = inputs
    for number, (channels, stride) in enumerate(((24, 2), (48, 1), (96, 2), (128, 2), (160, 2))):
        x = layers.Conv2D(channels, 3, stride, "same", use_bias=False, name=f"conv{number}")(x)
        # A short memory, so that few steps suffice for statistics to evaluate with.
        x = layers.BatchNormalization(momentum=0.9, name=f"norm{number}")(x)
        x = layers.ReLU()(x)
    return keras.Model(inputs, x, name=BACKBONE)
