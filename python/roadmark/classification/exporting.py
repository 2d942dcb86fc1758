"""From a run to a folder that needs no Keras: SavedModel, ONNX, manifest."""

import contextlib
import functools
import json
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from roadmark import atomic, locations
from roadmark.classification import manifest, runs, session
from roadmark.classification.manifest import ClassifierManifest
from roadmark.classification.network import keras
from roadmark.errors import UserError
from roadmark.manifest import sha256

# ONNX Runtime and TensorFlow add up in other orders.
_MOST_DIFFERENCE = 1e-3


def export(run: str | Path, out: Path | None = None) -> Path:
    """Exports the best epoch of a run.

    Args:
        run: The run folder.
        out: Where to; None for `<run>/export`.

    Returns:
        The exported folder.

    Raises:
        UserError: There is no such run, or it has no whole epoch.
        RuntimeError: The exported graph disagrees with the network, a bug of ours or of a
            converter.
    """
    model, settings, experiment = session.load_run(run)
    out = out or locations.export_dir(run)
    if out.exists() and any(out.iterdir()) and not manifest.is_export(out):
        raise UserError(out, "holds something else than an export", "choose another --out")
    with atomic.atomic_folder(out) as folder:
        names, difference = write_graphs(model, folder)
        best = experiment.folder / runs.BEST
        made = ClassifierManifest(
            model=experiment.name,
            input_name=names[0],
            height=settings.input_shape[0],
            width=settings.input_shape[1],
            output_name=names[1],
            classes=experiment.classes,
            backbone=settings.backbone,
            data_version=experiment.data_version,
            config_sha256=experiment.config_sha256,
            weights_sha256=sha256(best / runs.WEIGHTS_FILE),
            epoch=json.loads((best / runs.STATE).read_text())["epoch"],
            largest_difference=difference,
        )
        manifest.write(folder, made)
    return out


def write_graphs(model: keras.Model, folder: Path) -> tuple[tuple[str, str], float]:
    """Writes a network as SavedModel and as ONNX.

    Args:
        model: A classifier.
        folder: Where to.

    Returns:
        Names of the ONNX graph's input and output, and the largest difference of a probability
        between it and the network.

    Raises:
        RuntimeError: As `export`.
    """
    pictures = np.random.default_rng(0).uniform(0, 255, (3, *model.input_shape[1:]))
    expected = np.asarray(model(pictures.astype(np.float32), training=False))
    for layer in model._flatten_layers():
        _fit_for_onnx(layer)
    model.export(str(folder / manifest.SAVED_MODEL), format="tf_saved_model", verbose=False)
    with _without_converters_words():
        model.export(str(folder / manifest.ONNX_FILE), format="onnx", verbose=False)
    return _agreement(folder / manifest.ONNX_FILE, pictures.astype(np.float32), expected)


@contextlib.contextmanager
def _without_converters_words() -> Iterator[None]:
    """Keeps tf2onnx's tracebacks of optimisations that it then does without from the terminal.

    What the graph computes is compared afterwards; a conversion that fails raises.
    """
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # Of Keras' own look at NumPy.
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _fit_for_onnx(layer: keras.layers.Layer) -> None:
    """Has a layer compute the same by other means, where tf2onnx does not know its own."""
    if isinstance(layer, keras.layers.Normalization):
        # As tensors, which it holds outside of any graph, tf2onnx makes them inputs.
        layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    elif _has_a_group_for_each_channel(layer):
        # Keras compiles grouped convolutions with XLA.
        layer.convolution_op = functools.partial(_depthwise, layer)
    elif getattr(layer, "activation", None) is keras.activations.gelu:
        layer.activation = _gelu


def _has_a_group_for_each_channel(layer: keras.layers.Layer) -> bool:
    if not isinstance(layer, keras.layers.Conv2D):
        return False
    return layer.groups == layer.filters > 1 and layer.kernel.shape[2] == 1


def _depthwise(layer: keras.layers.Conv2D, inputs: Any, kernel: Any) -> Any:
    """What a convolution computes that has a group for each channel, in and out."""
    ops = keras.ops
    return ops.depthwise_conv(
        inputs, ops.transpose(kernel, (0, 1, 3, 2)), layer.strides, layer.padding,
        layer.data_format, layer.dilation_rate,
    )  # fmt: skip


def _gelu(values: Any) -> Any:
    """Keras' own has TensorFlow's Erfc, which ONNX lacks."""
    return 0.5 * values * (1.0 + keras.ops.erf(values / math.sqrt(2.0)))


def _agreement(
    path: Path, pictures: np.ndarray, expected: np.ndarray
) -> tuple[tuple[str, str], float]:
    """Names of the ONNX graph's input and output, and how far it is from the network's answers."""
    import onnxruntime

    graph = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = (graph.get_inputs()[0].name, graph.get_outputs()[0].name)
    theirs = graph.run([names[1]], {names[0]: pictures})[0]
    difference = float(np.abs(theirs - expected).max())
    if not difference < _MOST_DIFFERENCE:
        raise RuntimeError(f"{path} differs from the network by {difference}")
    return names, difference
