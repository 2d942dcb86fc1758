"""The training step of the stock `object_detection/model_main_tf2.py`, and the parts of a step.

For benchmarks: the product trains with `train_step`.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection import inputs, model_lib, model_lib_v2  # noqa: E402
from object_detection.builders import optimizer_builder  # noqa: E402
from object_detection.core import box_list, standard_fields  # noqa: E402

from roadmark.odapi import models  # noqa: E402

_Boxes = standard_fields.BoxListFields
_Inputs = standard_fields.InputDataFields
# Batches: more than either side keeps ready, and then so many that bursts even out.
_READY, _COUNTED = 16, 48
PARTS = ("input", "forward", "target assignment", "loss", "backward", "optimiser")


class StockTraining:
    """What `model_lib_v2.train_loop` builds before its loop, and its step.

    Without checkpoints and summaries, which it does not write at every step.

    Args:
        config: A `TrainEvalPipelineConfig` without a fine-tune checkpoint.
    """

    def __init__(self, config: Any):
        train = config.train_config
        self.model = models.build(config, is_training=True)
        step = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.optimizer, _ = optimizer_builder.build(train.optimizer, global_step=step)
        dataset = inputs.train_input(
            train, config.train_input_reader, config.model, model=self.model
        )
        self.batches: Iterator = iter(dataset.repeat())

        @tf.function
        def take(batches: Any) -> dict[str, tf.Tensor]:
            features, labels = batches.get_next()
            losses = model_lib_v2.eager_train_step(
                self.model,
                features,
                labels,
                train.unpad_groundtruth_tensors,
                self.optimizer,
                training_step=step,
                add_regularization_loss=train.add_regularization_loss,
                clip_gradients_value=train.gradient_clipping_by_norm or None,
            )
            step.assign_add(1)
            return losses

        self._take = take

    def step(self) -> float:
        """Takes a step; gives its total loss."""
        return float(self._take(self.batches)["Loss/total_loss"])


def measure_parts(
    config: Any, model: Any, optimizer: Any, batches: Iterator, rounds: int
) -> dict[str, float]:
    """Times the parts of a step one by one.

    Args:
        config: Of the model.
        model: An SSD model for training whose variables exist.
        optimizer: Its optimizer, whose variables exist.
        batches: Its input.
        rounds: Times that each part but the input is taken; the median counts.

    Returns:
        Seconds by the names in `PARTS`. The loss and the backward pass are what is left of longer
        stretches once the parts before are taken off, and not below 0.
    """
    features, labels = next(batches)
    steps = _Parts(config, model, optimizer)
    anchors = steps.forward(features, labels)[-1]
    gradients = steps.gradients(features, labels)
    taken = _medians(
        {
            "forward": lambda: steps.forward(features, labels),
            "targets": lambda: steps.targets(labels, anchors),
            "losses": lambda: steps.losses(features, labels),
            "gradients": lambda: steps.gradients(features, labels),
            "optimiser": lambda: steps.update(gradients),
        },
        rounds,
    )
    forward, targets = taken["forward"], taken["targets"]
    return {
        "input": _input_seconds(batches),
        "forward": forward,
        "target assignment": targets,
        "loss": max(0.0, taken["losses"] - forward - targets),
        "backward": max(0.0, taken["gradients"] - taken["losses"]),
        "optimiser": taken["optimiser"],
    }


def _input_seconds(batches: Iterator) -> float:
    """What a batch takes to prepare, on all processors: one after the other, none ready before."""
    for _ in range(_READY):
        next(batches)
    begin = time.perf_counter()
    for _ in range(_COUNTED):
        next(batches)
    return (time.perf_counter() - begin) / _COUNTED


def _medians(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in calls}
    # They take turns, and the first round, which compiles, does not count.
    for number in range(rounds + 1):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            if number:
                taken[name].append(time.perf_counter() - begin)
    return {name: sorted(values)[len(values) // 2] for name, values in taken.items()}


class _Parts:
    """Compiled functions, each from a batch to the end of one part."""

    def __init__(self, config: Any, model: Any, optimizer: Any):
        self._config, self._model = config, model
        compiled = tf.function(autograph=False)
        self.forward = compiled(self._forward)
        self.targets = compiled(self._targets)
        self.losses = compiled(self._losses)
        self.gradients = compiled(self._gradients)

        def update(gradients: list[tf.Tensor | None]) -> None:
            pairs = zip(gradients, self._variables(), strict=True)
            optimizer.apply_gradients([pair for pair in pairs if pair[0] is not None])

        self.update = compiled(update)

    def _variables(self) -> list[tf.Variable]:
        return self._model.trainable_variables

    def _forward(self, features: Any, labels: Any) -> Any:
        self._provide(labels)
        found = self._model.predict(features[_Inputs.image], features[_Inputs.true_image_shape])
        # As a copy: the model keeps the tensor, and another graph could not use that.
        anchors = tf.identity(self._model.anchors.get())
        return [found["box_encodings"], found["class_predictions_with_background"], anchors]

    def _targets(self, labels: Any, anchors: tf.Tensor) -> Any:
        self._provide(labels)
        self._model._anchors = box_list.BoxList(anchors)
        lists = self._model.groundtruth_lists
        return self._model._assign_targets(
            lists(_Boxes.boxes), lists(_Boxes.classes), None, lists(_Boxes.weights), None
        )

    def _losses(self, features: Any, labels: Any) -> tf.Tensor:
        self._provide(labels)
        shapes = features[_Inputs.true_image_shape]
        found = self._model.predict(features[_Inputs.image], shapes)
        losses = list(self._model.loss(found, shapes).values())
        if self._config.train_config.add_regularization_loss:
            losses += self._model.regularization_losses()
        return tf.add_n(losses)

    def _gradients(self, features: Any, labels: Any) -> list[tf.Tensor | None]:
        with tf.GradientTape() as tape:
            total = self._losses(features, labels)
        return tape.gradient(total, self._variables())

    def _provide(self, labels: Any) -> None:
        self._model._is_training = True
        tf.compat.v1.keras.backend.set_learning_phase(True)
        unpad = self._config.train_config.unpad_groundtruth_tensors
        unstacked = model_lib.unstack_batch(labels, unpad_groundtruth_tensors=unpad)
        model_lib.provide_groundtruth(self._model, unstacked)
