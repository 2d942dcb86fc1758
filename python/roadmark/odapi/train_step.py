"""One training step: forward, losses, gradients, update."""

from typing import Any

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


def build_optimizer(config: Any, model: Any, step: tf.Variable) -> tuple[Any, Any]:
    """The config's optimizer and its learning rate.

    Args:
        config: A `TrainEvalPipelineConfig`.
        model: A detection model.
        step: int64 scalar that the schedule follows.

    Returns:
        The optimizer, and a function without arguments that gives the learning rate.
    """
    optimizer, (rate,) = optimizer_builder.build(config.train_config.optimizer, global_step=step)
    if config.train_config.optimizer.use_moving_average:
        # The averages shadow variables, which must exist by then.
        build_variables(model)
        optimizer.shadow_copy(model)
    return optimizer, rate if callable(rate) else lambda: rate


def build_variables(model: Any) -> None:
    """Makes all variables of a detection model, which it makes only as it is called.

    Nothing is computed: tracing is enough.
    """

    def predict() -> None:
        images, shapes = model.preprocess(tf.zeros([1, 64, 64, 3]))
        model.predict(images, shapes)

    was_training = model._is_training
    _set_training(model, False)
    tracing.trace(predict)
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
    ):
        self._config = config
        self._train_config = config.train_config
        self._model = model
        self._optimizer = optimizer
        self._learning_rate = learning_rate
        self._step = step
        self._strategy = strategy
        self._parts = parts
        self.frozen: tuple[str, ...] = ()
        self._compiled = tracing.trace(self._distributed, *batch_spec)

    def __call__(self, features: Any, labels: Any) -> dict[str, tf.Tensor]:
        """Takes one step.

        Args:
            features: From `train_inputs.train_dataset`, distributed by the strategy.
            labels: Likewise.

        Returns:
            float32 scalars: each loss by its name, the total loss, the global norm of the
            gradients before clipping, and the learning rate that was used.
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
        return values | {LEARNING_RATE: rate}

    def _replica_step(self, features: Any, labels: Any) -> dict[str, tf.Tensor]:
        _set_training(self._model, True)
        losses, found = self._gradients(features, labels)
        trained = self._trained_variables()
        gradients, variables = list(found.values()), [trained[number] for number in found]
        norm = tf.linalg.global_norm(gradients)
        limit = self._train_config.gradient_clipping_by_norm
        if limit > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, limit, use_norm=norm)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return losses | {GRADIENT_NORM: norm}

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
        gradients = tape.gradient(losses[TOTAL_LOSS], self._trained_variables())
        return losses, {
            number: tf.convert_to_tensor(gradient)
            for number, gradient in enumerate(gradients)
            if gradient is not None
        }

    def _trained_variables(self) -> list[tf.Variable]:
        variables = self._model.trainable_variables
        names = [variable.name.partition(":")[0] for variable in variables]
        kept = pipeline_config.trained(self._config, names)
        self.frozen = tuple(name for name, keep in zip(names, kept, strict=True) if not keep)
        return [variable for variable, keep in zip(variables, kept, strict=True) if keep]

    def _losses(self, features: Any, labels: Any) -> dict[str, tf.Tensor]:
        model = self._model
        shapes = features[_Fields.true_image_shape]
        # As a tensor: the model would track the variable and save it as one of its own.
        step = self._step.read_value()
        model_lib.provide_groundtruth(model, labels, training_step=step)
        predictions = model.predict(
            features[_Fields.image], shapes, **model.get_side_inputs(features)
        )
        losses = {_short(name): value for name, value in model.loss(predictions, shapes).items()}
        penalties = model.regularization_losses()
        if self._train_config.add_regularization_loss and penalties:
            losses["regularization_loss"] = tf.add_n(penalties)
        losses[TOTAL_LOSS] = tf.add_n(list(losses.values()))
        # The optimizer adds up the replicas' gradients.
        replicas = self._strategy.num_replicas_in_sync
        return {name: value / replicas for name, value in losses.items()}


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
