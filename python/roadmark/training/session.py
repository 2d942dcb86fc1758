"""Model, optimizer, input and checkpoint of one run, on the devices that TensorFlow sees."""

import contextlib
import functools
import os
import time
import zlib
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
from roadmark.odapi.train_inputs import Mixing, Share  # noqa: E402
from roadmark.training import (  # noqa: E402
    class_balance,
    cluster,
    input_sheet,
    learning_rate,
    pruning,
    weather,
)
from roadmark.training.averages import Averages  # noqa: E402
from roadmark.training.batch_fit import OutOfMemoryError  # noqa: E402
from roadmark.training.cluster import Cluster  # noqa: E402
from roadmark.training.example_order import ExampleOrder  # noqa: E402
from roadmark.training.pruning import Pruner  # noqa: E402
from roadmark.training.recipe import FLOAT16, Recipe, Weather  # noqa: E402
from roadmark.training.record_index import RecordIndex  # noqa: E402

_ALONE = Cluster()
# How TensorFlow's collective operations end when a worker is gone.
_GONE = (tf.errors.InternalError, tf.errors.DeadlineExceededError, tf.errors.CancelledError)


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
        team: The workers of the run.

    Attributes:
        model: The detection model.
        optimizer: Its optimizer.
        batches: The input, distributed by the strategy; each iterator of it begins anew.
        not_native: Why the native op does not, though it should; else None.
        fine_tuned: What the fine-tune checkpoint gave; None without one or when resuming.

    Raises:
        UserError: A checkpoint does not fit, the batch cannot be shared out among workers and GPUs,
            or the workers are not there or did not find the same.
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
        team: Cluster = _ALONE,
    ):
        _choose_threads()
        first_step = checkpoints.step_of(resume) if resume else 0
        self._team = team
        self.strategy = _strategy(config, recipe.accumulate, team)
        if team.workers > 1:
            with self.peers():
                self._agree(f"{first_step} {seed} {index.digest()}")
        tf.config.optimizer.set_jit("autoclustering" if xla else False)
        # Dropout and sampling inside the model go on differently after a resumption than before.
        # Keras' own, because its initializers do not follow TensorFlow's seed.
        tf.keras.utils.set_random_seed(seed + first_step)
        self._batch_size = config.train_config.batch_size
        self._examples = _Examples(index, seed, recipe)
        self._mixes = bool(recipe.mosaic or recipe.mixup)
        self._averages: Averages | None = None
        self._pruner: Pruner | None = None
        with self.strategy.scope(), train_step.computing_in(recipe.precision):
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
        self.optimizer, rate = train_step.build_optimizer(
            config,
            self.model,
            self._step,
            learning_rate.change(config, recipe.schedule),
            scale_loss=recipe.precision == FLOAT16,
        )
        self._checkpoint = tf.train.Checkpoint(
            model=self.model,
            optimizer=self.optimizer,
            step=self._step,
            **self._followers(config, recipe),
        )
        dataset = train_inputs.train_dataset(
            config,
            self.model,
            self._examples.read,
            seed,
            first_step,
            _threads(),
            functools.partial(_changed, recipe.weather) if recipe.weather != Weather() else None,
            _mixing(recipe, self._examples.epoch),
            self._share(),
        )
        self.batches = self.strategy.distribute_datasets_from_function(lambda _: dataset)
        self._train_step = train_step.TrainStep(
            config,
            self.model,
            self.optimizer,
            rate,
            self._step,
            self.strategy,
            self.batches.element_spec,
            recipe.accumulate,
            self._after_update,
        )

    def _share(self) -> Share:
        workers = self._team.workers
        return Share(workers, self._team.index, self.strategy.num_replicas_in_sync // workers)

    def _agree(self, found: str) -> None:
        """Refuses workers that would not do the same."""
        mine, replicas = zlib.crc32(found.encode()), self.strategy.num_replicas_in_sync

        @tf.function
        def total() -> tf.Tensor:
            each = self.strategy.run(lambda: tf.constant(mine, tf.int64))
            return self.strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None)

        if int(total()) != mine * replicas:
            raise UserError(
                f"worker {self._team.index + 1} of {self._team.workers}",
                "another worker found another checkpoint, seed or other training records",
                "give all the same --model_dir on a file system that they share, and --seed",
            )

    def meet(self) -> None:
        """Waits until all workers are here: one that ends would take the others with it."""
        if self._team.workers > 1:
            self._agree("")

    @contextlib.contextmanager
    def peers(self) -> Iterator[None]:
        """A block in which a worker that is lost is told as such.

        Raises:
            UserError: Another worker cannot be reached.
        """
        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError, *_GONE) as error:
            if self._team.workers == 1:
                raise
            raise cluster.lost(self._team, error.message) from None

    def _followers(self, config: Any, recipe: Recipe) -> dict[str, list[tf.Variable]]:
        """Makes what follows the weights; gives its variables as a checkpoint names them."""
        if not recipe.ema and not recipe.pruning.sparsity:
            return {}
        # They shadow the model's variables, which must exist by then.
        train_step.build_variables(self.model)
        found = {}
        if recipe.pruning.sparsity:
            trained, _ = train_step.trained_variables(config, self.model)
            self._pruner = Pruner(trained, recipe.pruning, config.train_config.num_steps)
            found["pruning_masks"] = self._pruner.masks
        if recipe.ema:
            numbers = [v for v in train_step.variables(self.model) if v.dtype.is_floating]
            self._averages = Averages(numbers, recipe.ema)
            found["raw_weights"] = self._averages.values
        return found

    def _after_update(self, done: tf.Tensor) -> dict[str, tf.Tensor]:
        values = {}
        if self._pruner is not None:
            values = self._pruner.update(done, self.strategy)
        if self._averages is not None:
            self._averages.update(done - 1, self.strategy)
        if self._pruner is not None and self._averages is not None:
            self._pruner.mask(self._averages.pairs(), self.strategy)
        return values

    def _restore(self, config: Any, resume: Path | None) -> Restored | None:
        train = config.train_config
        if resume is not None:
            checkpoints.restore_training(self._checkpoint, resume)
            if self._averages is not None:
                self._averages.swap()
            return None
        found = None
        if train.fine_tune_checkpoint:
            found = checkpoints.fine_tune(
                self.model, train.fine_tune_checkpoint, train.fine_tune_checkpoint_type
            )
        if self._averages is not None:
            self._averages.begin()
        return found

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
            OutOfMemoryError: A batch takes more memory than there is.
        """
        batches = iter(self.batches)
        done = self.step
        while True:
            start = time.perf_counter()
            try:
                features, labels = next(batches)
            except tf.errors.ResourceExhaustedError:
                raise OutOfMemoryError(self._batch_size) from None
            except tf.errors.OpError as error:
                self._examples.blame(done * self._batch_size, self._batch_size)
                if self._mixes:
                    self._examples.blame(0, self._examples.epoch)
                raise error
            waited = time.perf_counter() - start
            try:
                values = self._train_step(features, labels)
            except tf.errors.ResourceExhaustedError:
                raise OutOfMemoryError(self._batch_size) from None
            yield values, waited
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

        batches = ((on_host(features), on_host(labels)) for features, labels in self.batches)
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

    def checkpoints_in(self, run: Path, keep: int) -> checkpoints.Writer:
        """What writes this session's checkpoints; see `checkpoints.Writer`."""
        return checkpoints.Writer(self._checkpoint, run, keep)

    @contextlib.contextmanager
    def as_saved(self) -> Iterator[None]:
        """A block in which the weights are what a checkpoint gives: their averages, if any."""
        if self._averages is None:
            yield
            return
        self._averages.swap()
        try:
            yield
        finally:
            self._averages.swap()

    def profile(self, folder: Path) -> None:
        """Starts a TensorBoard profile, which `end_profile` writes."""
        tf.profiler.experimental.start(str(folder))

    def end_profile(self) -> None:
        """Writes the profile."""
        tf.profiler.experimental.stop()

    @property
    def pruning_begins(self) -> int:
        """The last step before weights are pruned."""
        return self._pruner.first

    def pruned(self) -> pruning.Size | None:
        """What the weights, as a checkpoint gives them, take; None where nothing is pruned."""
        if self._pruner is None:
            return None
        with self.as_saved():
            return pruning.size(train_step.variables(self.model))


class _Examples:
    """Serialised examples by their position in the stream."""

    def __init__(self, index: RecordIndex, seed: int, recipe: Recipe):
        self._index = index
        self._order = ExampleOrder(len(index), seed, class_balance.repeats(index, recipe))

    @property
    def epoch(self) -> int:
        """Positions of an epoch."""
        return self._order.epoch

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


def _strategy(config: Any, parts: int, team: Cluster) -> tf.distribute.Strategy:
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    replicas = team.workers * max(1, len(gpus))
    if replicas == 1:
        return tf.distribute.get_strategy()
    batch_size, shares = config.train_config.batch_size, replicas * parts
    if batch_size % shares:
        among = f"{replicas} {'GPUs' if gpus else 'workers'}"
        among += f" in {parts} parts each" * (parts > 1)
        raise UserError(
            "--batch_size",
            f"{batch_size} images cannot be shared out evenly among {among}",
            f"use a multiple of {shares}, or choose GPUs with CUDA_VISIBLE_DEVICES",
        )
    if config.train_config.optimizer.use_moving_average:
        raise UserError(
            "train_config.optimizer.use_moving_average",
            f"not on {replicas} devices",
            "set it to false, and recipe.ema in its place",
        )
    if team.workers == 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.MultiWorkerMirroredStrategy()


def _mixing(recipe: Recipe, count: int) -> Mixing | None:
    if not recipe.mosaic and not recipe.mixup:
        return None
    return Mixing(recipe.mosaic, recipe.mixup, count)


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
