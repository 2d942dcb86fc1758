"""One training step: forward, losses, gradients, update."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection import model_lib  # noqa: E402
from object_detection.builders import optimizer_builder  # noqa: E402
from object_detection.core import standard_fields  # noqa: E402

from roadmark.odapi import pipeline_config, tracing  # noqa: E402

_Fields = standard_fields.InputDataFields

TOTAL_LOSS = "total_loss"
GRADIENT_NORM = "gradient_norm"
LEARNING_RATE = "learning_rate"
SKIPPED = "skipped_steps"
BOXES = "boxes_per_image"
_POLICIES = {"fp32": "float32", "bf16": "mixed_bfloat16", "fp16": "mixed_float16"}

RateChange = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
AfterUpdate = Callable[[tf.Tensor], dict[str, tf.Tensor]]


@contextlib.contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Has the layers that are made in this block compute in a precision.

    Args:
        precision: `fp32`, `bf16` or `fp16`. Variables are float32 in each case.
    """
    before = tf.keras.mixed_precision.global_policy()
    tf.keras.mixed_precision.set_global_policy(_POLICIES[precision])
    try:
        yield
    finally:
        tf.keras.mixed_precision.set_global_policy(before)


def build_optimizer(
    config: Any,
    model: Any,
    step: tf.Variable,
    change: RateChange = lambda rate, step: rate,
    scale_loss: bool = False,
) -> tuple[Any, Any]:
    """The config's optimizer and its learning rate.

    Args:
        config: A `TrainEvalPipelineConfig`.
        model: A detection model.
        step: int64 scalar that the schedule follows.
        change: Takes the schedule's rate, float32, and the step; gives the rate.
        scale_loss: Whether gradients are of a loss that is scaled up as far as they stay finite,
            for float16; the optimizer then is a `LossScaleOptimizer`.

    Returns:
        The optimizer, and a function without arguments that gives the learning rate.
    """
    original = optimizer_builder._create_learning_rate

    def changed(*arguments: Any, **options: Any) -> Callable[[], tf.Tensor]:
        rate = original(*arguments, **options)
        return lambda: change(rate() if callable(rate) else rate, step)

    with mock.patch.object(optimizer_builder, "_create_learning_rate", changed):
        optimizer, (rate,) = optimizer_builder.build(
            config.train_config.optimizer, global_step=step
        )
    if config.train_config.optimizer.use_moving_average:
        # The averages shadow variables, which must exist by then.
        build_variables(model)
        optimizer.shadow_copy(model)
    if scale_loss:
        optimizer = tf.keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer, rate


def build_variables(model: Any) -> None:
    """Makes all variables of a detection model, which it makes only as it is called.

    It is called eagerly: a `tf.function` that makes variables is traced twice.
    """
    was_training = model._is_training
    _set_training(model, False)
    images, shapes = model.preprocess(tf.zeros([1, 64, 64, 3]))
    model.predict(images, shapes)
    _set_training(model, was_training)


class TrainStep:
    """A compiled training step over a distribution strategy.

    Making one makes every variable of the model and the optimizer, and runs nothing.

    Args:
        config: A `TrainEvalPipelineConfig`.
        model: The detection model, built under the strategy.
        optimizer: As `build_optimizer` gives it.
        learning_rate: Likewise.
        step: int64 scalar, counted up by every call.
        strategy: Where to run.
        batch_spec: The dataset's `element_spec`.
        parts: Parts that a batch is worked through in, one after the other; divides its size.
        after_update: Called in the graph with the steps done, once the weights are updated; gives
            further float32 scalars of the step.

    Attributes:
        frozen: Names of the trainable variables that the config leaves as they are.

    Raises:
        UserError: As `pipeline_config.trained`.
    """

    def __init__(
        self,
        config: Any,
        model: Any,
        optimizer: Any,
        learning_rate: Any,
        step: tf.Variable,
        strategy: tf.distribute.Strategy,
        batch_spec: Any,
        parts: int = 1,
        after_update: AfterUpdate = lambda done: {},
    ):
        self._config = config
        self._train_config = config.train_config
        self._model = model
        self._optimizer = optimizer
        self._learning_rate = learning_rate
        self._step = step
        self._strategy = strategy
        self._parts = parts
        self._after_update = after_update
        self._scales_loss = isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
        self.frozen: tuple[str, ...] = ()
        # All variables before the step is traced, which would be traced twice otherwise.
        build_variables(model)
        optimizer._create_all_weights(self._trained_variables())
        self._compiled = tracing.trace(self._distributed, *batch_spec)

    def __call__(self, features: Any, labels: Any) -> dict[str, tf.Tensor]:
        """Takes one step.

        Args:
            features: From `train_inputs.train_dataset`, distributed by the strategy.
            labels: Likewise.

        Returns:
            float32 scalars: each loss by its name, the total loss, the boxes of an image, the
            global norm of the gradients before clipping, the learning rate that was used, and what
            `after_update` gives. With a scaled loss also whether the step was left out because its
            gradients were not finite; their norm is 0 then.
        """
        return self._compiled(features, labels)

    def _distributed(self, features: Any, labels: Any) -> dict[str, tf.Tensor]:
        rate = tf.cast(self._learning_rate(), tf.float32)
        per_replica = self._strategy.run(self._replica_step, args=(features, labels))
        values = {
            name: self._strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in per_replica.items()
        }
        self._step.assign_add(1)
        return values | self._after_update(self._step.read_value()) | {LEARNING_RATE: rate}

    def _replica_step(self, features: Any, labels: Any) -> dict[str, tf.Tensor]:
        _set_training(self._model, True)
        losses, found = self._gradients(features, labels)
        boxes = tf.reduce_mean(tf.cast(labels[_Fields.num_groundtruth_boxes], tf.float32))
        losses[BOXES] = boxes / self._strategy.num_replicas_in_sync
        trained = self._trained_variables()
        gradients, variables = list(found.values()), [trained[number] for number in found]
        if self._scales_loss:
            gradients = self._optimizer.get_unscaled_gradients(gradients)
        replicas = self._strategy.num_replicas_in_sync
        if replicas > 1:
            # Before clipping, so that it sees the gradients of the whole batch.
            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        norm = tf.linalg.global_norm(gradients)
        limit = self._train_config.gradient_clipping_by_norm
        if limit > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, limit, use_norm=norm)
        options = {"experimental_aggregate_gradients": False} if replicas > 1 else {}
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True), **options)
        # The replicas' values are added up.
        if not self._scales_loss:
            return losses | {GRADIENT_NORM: norm / replicas}
        # The optimizer leaves such a step out and lowers the scale.
        finite = tf.math.is_finite(norm)
        skipped = tf.cast(tf.logical_not(finite), tf.float32) / replicas
        return losses | {GRADIENT_NORM: tf.where(finite, norm, 0.0) / replicas, SKIPPED: skipped}

    def _gradients(self, features: Any, labels: Any) -> tuple[dict, dict[int, tf.Tensor]]:
        """Losses of a batch and their gradients, of its parts averaged, by number of the variable.

        The loss does not depend on every variable: EfficientDet has some that it never uses.
        """
        if self._parts == 1:
            return self._part_gradients(features, labels)
        features, labels = tf.nest.map_structure(self._in_parts, (features, labels))

        def part(index: tf.Tensor) -> Any:
            return self._part_gradients(
                *tf.nest.map_structure(lambda value: value[index], (features, labels))
            )

        def add(index: tf.Tensor, sums: Any) -> Any:
            return index + 1, tf.nest.map_structure(tf.add, sums, part(index))

        # The first part by itself: what it gives says what there is to add up.
        sums = part(tf.constant(0))
        _, sums = tf.while_loop(
            lambda index, _: index < self._parts, add, (tf.constant(1), sums), parallel_iterations=1
        )
        return tf.nest.map_structure(lambda value: value / self._parts, sums)

    def _in_parts(self, value: tf.Tensor) -> tf.Tensor:
        return tf.reshape(value, [self._parts, value.shape[0] // self._parts, *value.shape[1:]])

    def _part_gradients(self, features: Any, labels: Any) -> tuple[dict, dict[int, tf.Tensor]]:
        labels = model_lib.unstack_batch(
            labels, unpad_groundtruth_tensors=self._train_config.unpad_groundtruth_tensors
        )
        with tf.GradientTape() as tape:
            losses = self._losses(features, labels)
            total = losses[TOTAL_LOSS]
            if self._scales_loss:
                total = self._optimizer.get_scaled_loss(total)
        gradients = tape.gradient(total, self._trained_variables())
        return losses, {
            number: tf.convert_to_tensor(gradient)
            for number, gradient in enumerate(gradients)
            if gradient is not None
        }

    def _trained_variables(self) -> list[tf.Variable]:
        trained, self.frozen = trained_variables(self._config, self._model)
        return trained

    def _losses(self, features: Any, labels: Any) -> dict[str, tf.Tensor]:
        model = self._model
        shapes = features[_Fields.true_image_shape]
        # As a tensor: the model would track the variable and save it as one of its own.
        step = self._step.read_value()
        model_lib.provide_groundtruth(model, labels, training_step=step)
        predictions = model.predict(
            features[_Fields.image], shapes, **model.get_side_inputs(features)
        )
        predictions = tf.nest.map_structure(_in_float32, predictions)
        losses = {_short(name): value for name, value in model.loss(predictions, shapes).items()}
        penalties = model.regularization_losses()
        if self._train_config.add_regularization_loss and penalties:
            losses["regularization_loss"] = tf.add_n(penalties)
        losses[TOTAL_LOSS] = tf.add_n(list(losses.values()))
        # The optimizer adds up the replicas' gradients.
        replicas = self._strategy.num_replicas_in_sync
        return {name: value / replicas for name, value in losses.items()}


def trained_variables(config: Any, model: Any) -> tuple[list[tf.Variable], tuple[str, ...]]:
    """The trainable variables that the config trains, and the names of the others.

    Raises:
        UserError: As `pipeline_config.trained`.
    """
    variables = model.trainable_variables
    names = [variable.name.partition(":")[0] for variable in variables]
    kept = pipeline_config.trained(config, names)
    frozen = tuple(name for name, keep in zip(names, kept, strict=True) if not keep)
    return [variable for variable, keep in zip(variables, kept, strict=True) if keep], frozen


def _in_float32(value: Any) -> Any:
    is_half = isinstance(value, tf.Tensor) and value.dtype in (tf.bfloat16, tf.float16)
    return tf.cast(value, tf.float32) if is_half else value


def _short(name: str) -> str:
    return name.removeprefix("Loss/")


def _set_training(model: Any, training: bool) -> None:
    model._is_training = training
    tf.compat.v1.keras.backend.set_learning_phase(training)


def variables(trackable: tf.Module | Any) -> list[tf.Variable]:
    """Every variable that a checkpoint of `trackable` would hold, each once."""
    found = {
        id(item): item
        for item in tf.train.TrackableView(trackable).descendants()
        if isinstance(item, tf.Variable)
    }
    return list(found.values())
