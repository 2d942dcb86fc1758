"""Model, optimizer, input and checkpoint of one run, on the devices that TensorFlow sees."""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from roadmark.errors import UserError
from roadmark.odapi import checkpoints, door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first

from roadmark.data import example, tfrecord  # noqa: E402
from roadmark.odapi import models, target_assignment, train_inputs, train_step  # noqa: E402
from roadmark.odapi.checkpoints import Restored  # noqa: E402
from roadmark.training import input_sheet, weather  # noqa: E402
from roadmark.training.example_order import ExampleOrder  # noqa: E402
from roadmark.training.recipe import Recipe, Weather  # noqa: E402
from roadmark.training.record_index import RecordIndex  # noqa: E402


class Session:
    """Everything that TensorFlow holds during a run.

    Args:
        config: The as-run `TrainEvalPipelineConfig`.
        index: The training examples.
        seed: Of weights, order and augmentation.
        resume: Prefix of the checkpoint to go on from, or None.
        xla: Whether to compile with XLA.
        native_target_assignment: Whether the native op assigns targets, where it can.
        recipe: What the config has no field for.

    Attributes:
        not_native: Why the native op does not, though it should; else None.
        fine_tuned: What the fine-tune checkpoint gave; None without one or when resuming.

    Raises:
        UserError: A checkpoint does not fit, or the batch cannot be shared out among the GPUs.
    """

    def __init__(
        self,
        config: Any,
        index: RecordIndex,
        seed: int,
        resume: Path | None,
        xla: bool,
        native_target_assignment: bool,
        recipe: Recipe,
    ):
        _choose_threads()
        first_step = checkpoints.step_of(resume) if resume else 0
        self.strategy = _strategy(config.train_config.batch_size, recipe.accumulate)
        tf.config.optimizer.set_jit("autoclustering" if xla else False)
        # Dropout and sampling inside the model go on differently after a resumption than before.
        # Keras' own, because its initializers do not follow TensorFlow's seed.
        tf.keras.utils.set_random_seed(seed + first_step)
        self._batch_size = config.train_config.batch_size
        self._examples = _Examples(index, seed)
        with self.strategy.scope():
            self._build(config, seed, first_step, native_target_assignment, recipe)
        self.fine_tuned = self._restore(config, resume)

    def _build(self, config: Any, seed: int, first_step: int, native: bool, recipe: Recipe) -> None:
        self.model = models.build(config, is_training=True)
        self.not_native = target_assignment.use_native_op(self.model) if native else None
        self._step = tf.Variable(
            0,
            trainable=False,
            dtype=tf.int64,
            name="step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        optimizer, rate = train_step.build_optimizer(config, self.model, self._step)
        self._checkpoint = tf.train.Checkpoint(
            model=self.model, optimizer=optimizer, step=self._step
        )
        dataset = train_inputs.train_dataset(
            config,
            self.model,
            self._examples.read,
            seed,
            first_step,
            _threads(),
            functools.partial(_changed, recipe.weather) if recipe.weather != Weather() else None,
        )
        self._batches = self.strategy.experimental_distribute_dataset(dataset)
        self._train_step = train_step.TrainStep(
            config,
            self.model,
            optimizer,
            rate,
            self._step,
            self.strategy,
            self._batches.element_spec,
            recipe.accumulate,
        )

    def _restore(self, config: Any, resume: Path | None) -> Restored | None:
        train = config.train_config
        if resume is not None:
            checkpoints.restore_training(self._checkpoint, resume)
        elif train.fine_tune_checkpoint:
            return checkpoints.fine_tune(
                self.model, train.fine_tune_checkpoint, train.fine_tune_checkpoint_type
            )
        return None

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._step.numpy())

    def steps(self) -> Iterator[tuple[dict[str, tf.Tensor], float]]:
        """Takes one training step after another.

        Yields:
            The step's float32 scalars by name, and the seconds that it waited for its batch.

        Raises:
            UserError: A record or an image of the next batch cannot be read.
        """
        batches = iter(self._batches)
        done = self.step
        while True:
            start = time.perf_counter()
            try:
                features, labels = next(batches)
            except tf.errors.OpError as error:
                self._examples.blame(done * self._batch_size, self._batch_size)
                raise error
            waited = time.perf_counter() - start
            yield self._train_step(features, labels), waited
            done += 1

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the trainable variables that the config leaves as they are."""
        return self._train_step.frozen

    @property
    def devices(self) -> str:
        """What the steps run on, for the user."""
        gpus = tf.config.list_logical_devices("GPU")
        if not gpus:
            return "the CPU (TensorFlow sees no GPU)"
        names = [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ]
        return ", ".join(names)

    def summary_writer(self, folder: Path) -> Callable[[int, Mapping[str, float]], None]:
        """Starts TensorBoard event files.

        Returns:
            A function that writes the scalars of a step.
        """
        writer = tf.summary.create_file_writer(str(folder))

        def write(step: int, values: Mapping[str, float]) -> None:
            with writer.as_default(step=step):
                for name, value in values.items():
                    tf.summary.scalar(name, value)
            writer.flush()

        return write

    def write_input_sheet(self, names: Mapping[int, str], path: Path, count: int) -> None:
        """Draws the first inputs that the next steps will see; see `input_sheet.write`."""
        from roadmark.odapi import exporting

        def on_host(values: Mapping[str, Any]) -> dict[str, Any]:
            # Of the first replica: the sheet is a sample.
            local = self.strategy.experimental_local_results
            return {name: local(value)[0].numpy() for name, value in values.items()}

        batches = ((on_host(features), on_host(labels)) for features, labels in self._batches)
        normalisation = exporting.normalisation(self.model)
        input_sheet.write(batches, self.step + 1, normalisation, names, path, count)

    def write_batch(self, step: int, path: Path) -> list[str]:
        """Writes the records of one step's batch to a file of their own.

        Args:
            step: The step, counted from 1.
            path: The TFRecord file; its folder is made.

        Returns:
            Where each of them comes from.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        first = (step - 1) * self._batch_size
        frames = [self._examples.frame(first + index) for index in range(self._batch_size)]
        with tfrecord.RecordWriter(path) as writer:
            for frame in frames:
                writer.write(tfrecord.intact(frame))
        return [frame.where for frame in frames]

    def save(self, run: Path, step: int, keep: int) -> Path:
        """Writes a checkpoint; see `checkpoints.save`."""
        return checkpoints.save(self._checkpoint, run, step, keep)


class _Examples:
    """Serialised examples by their position in the stream."""

    def __init__(self, index: RecordIndex, seed: int):
        self._index = index
        self._order = ExampleOrder(len(index), seed)

    def read(self, position: int) -> bytes:
        return tfrecord.intact(self.frame(position))

    def blame(self, first: int, count: int) -> None:
        """Raises a UserError for the first of `count` examples that cannot be used, if any."""
        for position in range(first, first + count):
            frame = self.frame(position)
            image = example.parse(tfrecord.intact(frame), frame.where)
            try:
                tf.io.decode_image(image.encoded, channels=3, expand_animations=False)
            except tf.errors.InvalidArgumentError:
                raise UserError(
                    f"{frame.where}, {image.filename}",
                    "image bytes that cannot be decoded",
                    "make the records again without it: bazel run //python:prepare; its --check "
                    "lists every such image",
                ) from None

    def frame(self, position: int) -> tfrecord.Frame:
        return self._index.frame(self._order.example_at(int(position)))


def _strategy(batch_size: int, parts: int) -> tf.distribute.Strategy:
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if len(gpus) < 2:
        return tf.distribute.get_strategy()
    shares = len(gpus) * parts
    if batch_size % shares:
        among = f"{len(gpus)} GPUs" + f" in {parts} parts each" * (parts > 1)
        raise UserError(
            "--batch_size",
            f"{batch_size} images cannot be shared out evenly among {among}",
            f"use a multiple of {shares}, or choose GPUs with CUDA_VISIBLE_DEVICES",
        )
    return tf.distribute.MirroredStrategy()


def _changed(kinds: Weather, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return weather.apply(image, kinds, seed)


def _choose_threads() -> None:
    """On two cores has TensorFlow run two operations at a time instead of sharing out each.

    A backward pass offers two at nearly every point, and the operations of small models share out
    badly (docs/results/threads.md). TensorFlow's own variables for the environment come first.
    """
    if _threads() > 2 or "TF_NUM_INTRAOP_THREADS" in os.environ:
        return
    # Refused once TensorFlow has begun to compute in this process: then it stays as it is.
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)


def _threads() -> int:
    return len(os.sched_getaffinity(0))
