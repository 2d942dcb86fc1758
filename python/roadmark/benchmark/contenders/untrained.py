"""Exports of models that nobody has trained, to measure times with."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.data import synthetic
from roadmark.export import exporter
from roadmark.odapi import models, pipeline_config, trained_model

# isort: split
import tensorflow as tf  # `models` has opened the door for it

from roadmark.odapi import train_step

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]

_SEED = 7
_NAMES = ("vehicle", "pedestrian", "cyclist")
# Of both heads: part of its last layer's name, what it makes, and by how much that is to deviate.
# Logits as a trained model's on a street make some boxes score high, and few alike; encodings that
# deviate by much give boxes so large that the last bit of one counts in pixels.
_HEADS = (
    ("classpredictor", "class_predictions_with_background", 1.2),
    ("boxhead", "box_encodings", 0.3),
)


def exporting(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Exports the model of a pipeline config with random weights. Options: config, out, formats.

    They are such that logits spread as those of a trained model do: with the weights that training
    begins with all boxes score alike, and which of them survive NMS is chance.
    """
    del arrays, threads

    def call() -> None:
        tf.keras.utils.set_random_seed(_SEED)
        config = pipeline_config.load(options["config"])
        network = models.build(config, is_training=False)
        train_step.build_variables(network)
        _spread(network)
        with tempfile.TemporaryDirectory() as folder:
            prefix = tf.train.Checkpoint(model=network).write(f"{folder}/ckpt-0")
            labels = Path(folder, "label_map.pbtxt")
            items = enumerate(_NAMES, start=1)
            labels.write_text("".join(f"item {{ id: {i} name: '{name}' }}\n" for i, name in items))
            model = trained_model.find(
                checkpoint=prefix, config=options["config"], labels=str(labels)
            )
            exporter.export(model, options["out"], options["formats"])

    return call, lambda _: {}


def _spread(network: Any) -> None:
    """Has signals reach the outputs, and those spread as a trained model's do.

    The weights that training begins with are so small that, before batch normalisation has seen
    anything, nothing is left of a picture after some layers; those of He et al. (2015,
    arXiv:1502.01852) keep its variance.
    """
    rng = np.random.default_rng(_SEED)
    kernels = [one for one in train_step.variables(network) if one.shape.rank == 4]
    for kernel in kernels:
        height, width, inputs, _ = kernel.shape
        fan_in = height * width * (1 if "depthwise" in kernel.name else inputs)
        kernel.assign(rng.normal(0, np.sqrt(2 / fan_in), kernel.shape).astype(np.float32))
    scene = synthetic.render_scene(_SEED, 0).image
    pictures, shapes = network.preprocess(tf.constant(scene[np.newaxis], tf.float32))
    made = network.predict(pictures, shapes)
    for head, output, deviation in _HEADS:
        # Of a separable convolution the last one.
        last = [one for one in kernels if head in one.name.lower()][-1]
        last.assign(last * (deviation / float(made[output].numpy().std())))
