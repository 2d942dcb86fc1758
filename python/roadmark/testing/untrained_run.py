"""A run folder with an untrained detector that nevertheless finds things, for tests.

A freshly initialised one-stage detector gives every anchor the same score and box. Here signals
keep their size through its layers and its heads are scaled up, so that scores and boxes vary over
anchors and pictures as those of a trained one do.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.odapi import checkpoints, pipeline_config

LABEL_MAP = """\
item { id: 1 name: "vehicle" }
item { id: 2 name: "pedestrian" }
item { id: 3 name: "cyclist" }
"""
_STEP = 7
_KEEPING_SIZE = "conv_hyperparams.initializer={variance_scaling_initializer: {}}"
_PREDICTOR = "model.ssd.box_predictor.weight_shared_convolutional_box_predictor"
_OVERRIDES = (
    f"model.ssd.feature_extractor.{_KEEPING_SIZE}",
    f"{_PREDICTOR}.{_KEEPING_SIZE}",
    f"{_PREDICTOR}.class_prediction_bias_init=0",
)
# Standard deviations of class logits and box encodings, as trained detectors have them.
_LOGITS, _ENCODINGS = 1.0, 1.0


def make(run: Path, config_file: str, overrides: Sequence[str]) -> Path:
    """Makes a run folder with a checkpoint.

    Args:
        run: The folder to make.
        config_file: A pipeline config of a one-stage model with shared heads and 3 classes.
        overrides: As for `--set`.

    Returns:
        `run`.
    """
    from roadmark.odapi import models, train_step

    import tensorflow as tf  # isort: skip - the door, opened above, must come first

    run.mkdir(parents=True)
    config = pipeline_config.load(config_file)
    config = pipeline_config.override(config, (*_OVERRIDES, *overrides))
    pipeline_config.set_label_map(config, str(run / "label_map.pbtxt"))
    pipeline_config.save(config, run / "pipeline.config")
    (run / "label_map.pbtxt").write_text(LABEL_MAP)
    tf.keras.utils.set_random_seed(1)
    model = models.build(config, is_training=False)
    train_step.build_variables(model)
    _scale_heads(model)
    checkpoints.save(tf.train.Checkpoint(model=model), run, _STEP, keep=1)
    return run


def _scale_heads(model: Any) -> None:
    import tensorflow as tf

    @tf.function(autograph=False)
    def predict(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = model.predict(*model.preprocess(image))
        return found["class_predictions_with_background"], found["box_encodings"]

    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
    logits, encodings = (tensor.numpy() for tensor in predict(tf.constant(noise)))
    for head, wanted, values in (("Class", _LOGITS, logits), ("Box", _ENCODINGS, encodings)):
        (kernel,) = (
            variable
            for variable in model.variables
            if f"{head}Head/" in variable.name and variable.name.endswith("pointwise_kernel:0")
        )
        kernel.assign(kernel * (wanted / values.std(axis=1).mean()))
