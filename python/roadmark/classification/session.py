"""What Keras holds while a classifier trains: the network, its optimizer, the data."""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roadmark import atomic, progress
from roadmark.classification import config as configs
from roadmark.classification import network, runs, training
from roadmark.classification.class_set import TRAIN, VAL, ClassSet
from roadmark.classification.config import Config
from roadmark.classification.network import keras
from roadmark.classification.pictures import Pictures
from roadmark.classification.training import Result, State
from roadmark.errors import UserError
from roadmark.progress import Meter
from roadmark.training.interruption import Interruption
from roadmark.training.metrics import MetricsFile

_OPTIMIZER_FILE = "optimizer.npz"
COLUMNS = (
    "phase", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "accuracy_gap",
    runs.SECONDS,
)  # fmt: skip


class _StoppedError(Exception):
    """The user stopped within an epoch."""


class Session:
    """One run, from where it is to its end.

    Args:
        settings: The config.
        classes: The class set.
        folder: The run folder.
        state: How far the run is.

    Raises:
        UserError: The weights to begin from cannot be had or are of another network.
    """

    def __init__(self, settings: Config, classes: ClassSet, folder: Path, state: State) -> None:
        self._settings, self._classes = settings, classes
        self._folder, self._state = folder, state
        keras.utils.set_random_seed(settings.seed)
        network.use_precision(settings.mixed_precision)
        self._classifier = self._built()
        self._model = network.augmenting(self._classifier, settings.augmentation, settings.seed)
        height, width, _ = settings.input_shape
        self._entries = {split: classes.of(split) for split in (TRAIN, VAL)}
        self._pictures = {
            split: Pictures([classes.folder / e.path for e in entries], height, width)
            for split, entries in self._entries.items()
        }
        top_5 = (configs.TOP_5, f"val_{configs.TOP_5}")
        self._columns = (*COLUMNS, *(top_5 if configs.TOP_5 in settings.metrics else ()))
        balanced = settings.class_weights == configs.BALANCED
        self._class_weights = training.class_weights(classes) if balanced else None
        if state.epoch:
            self._load_last()

    def run(self) -> Result:
        """Trains to the end of the last phase, or until a signal."""
        settings, state = self._settings, self._state
        steps = -(-len(self._entries[TRAIN]) // settings.batch_size)
        metrics = MetricsFile(self._folder / runs.METRICS, self._columns, state.epoch)
        board = _TensorBoard(self._folder / runs.TENSORBOARD)
        phase = -1
        with (
            Interruption() as interruption,
            progress.track(
                "training", settings.epochs * steps, "steps", done=state.epoch * steps
            ) as meter,
        ):
            while state.phase < len(settings.phases) and interruption.exit_code is None:
                if state.phase != phase:
                    phase = self._enter_phase(state.phase)
                try:
                    row = self._epoch(meter, interruption)
                except _StoppedError:
                    break
                self._record(row, metrics, board)
        metrics.close()
        code = interruption.exit_code or 0
        if code:
            print(
                f"stopped; {state.epoch} whole epochs are in {self._folder}: repeat the command to "
                "go on",
                flush=True,
            )
        return Result(self._folder, code, state.epoch, state.best)

    def _built(self) -> keras.Model:
        settings = self._settings
        imagenet = settings.weights == configs.IMAGENET and not self._state.epoch
        made = network.build(settings, configs.IMAGENET if imagenet else None)
        if settings.is_continued and not self._state.epoch:
            begin_from(made, settings, self._classes.classes)
        return made

    def _enter_phase(self, index: int) -> int:
        """Freezes or unfreezes, and begins with a new optimizer unless that of a resumed phase."""
        phase, state = self._settings.phases[index], self._state
        if state.phase_epoch == 0 and state.epoch and state.best["epoch"] < state.epoch:
            self._load_best()
        frozen = phase.freeze == configs.BACKBONE
        self._classifier.get_layer(network.BACKBONE).trainable = not frozen
        network.compile_model(self._model, self._settings, phase.learning_rate)
        self._model.optimizer.build(self._model.trainable_variables)
        if state.phase_epoch:
            self._load_optimizer()
        print(
            f"phase {phase.name}: {len(self._model.trainable_variables)} variables train at "
            f"{phase.learning_rate:g}",
            flush=True,
        )
        return index

    def _epoch(self, meter: Meter, interruption: Interruption) -> dict[str, float]:
        settings, epoch = self._settings, self._state.epoch
        network.reseed(self._model, settings.seed, epoch)
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(self._entries[TRAIN]))
        begin = time.perf_counter()
        history = self._model.fit(
            self._dataset(TRAIN, order),
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=0,
            shuffle=False,
            class_weight=self._class_weights,
            callbacks=[_Steps(meter, interruption)],
        ).history
        seconds = time.perf_counter() - begin
        found = self._model.evaluate(
            self._dataset(VAL, np.arange(len(self._entries[VAL]))),
            verbose=0,
            return_dict=True,
            callbacks=[_Watch(interruption)],
        )
        row = {name: float(values[-1]) for name, values in history.items()}
        row |= {f"val_{name}": float(value) for name, value in found.items()}
        training.require_finite(row, epoch + 1)
        return row | {runs.SECONDS: seconds}

    def _dataset(self, split: str, order: np.ndarray) -> Any:
        import tensorflow as tf

        pictures = self._pictures[split]
        labels = np.array([entry.class_id for entry in self._entries[split]], np.int32)
        sparse = self._settings.loss == configs.SPARSE
        shape = self._settings.input_shape

        def load(index: Any) -> Any:
            image = tf.numpy_function(lambda i: pictures[int(i)], [index], tf.uint8, stateful=False)
            image = tf.cast(tf.ensure_shape(image, shape), tf.float32)
            label = tf.gather(labels, index)
            return image, label if sparse else tf.one_hot(label, self._settings.classes)

        data = tf.data.Dataset.from_tensor_slices(order)
        data = data.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return data.batch(self._settings.batch_size).prefetch(2)

    def _record(self, row: dict[str, float], metrics: MetricsFile, board: "_TensorBoard") -> None:
        state, settings = self._state, self._settings
        phase = settings.phases[state.phase]
        facts = {"phase": state.phase + 1, "learning_rate": phase.learning_rate}
        row |= {"accuracy_gap": row["accuracy"] - row["val_accuracy"]}
        is_best = state.after(row, settings)
        if is_best:
            self._save(self._folder / runs.BEST)
        self._save(self._folder / runs.LAST, with_optimizer=True)
        metrics.write(state.epoch, {name: (facts | row)[name] for name in self._columns})
        board.write(state.epoch, facts | row)
        best = state.best
        runs.load(self._folder).with_result(
            epochs=state.epoch,
            best_epoch=best["epoch"],
            val_accuracy=best["val_accuracy"],
            val_loss=best["val_loss"],
            train_accuracy=best["accuracy"],
        ).save()
        print(
            f"epoch {state.epoch} ({phase.name}): loss {row['loss']:.4f}, accuracy "
            f"{row['accuracy']:.4f}, val_loss {row['val_loss']:.4f}, val_accuracy "
            f"{row['val_accuracy']:.4f}{', the best so far' if is_best else ''}",
            flush=True,
        )
        if state.phase_epoch == 0 and state.phase < len(settings.phases):
            print(f"phase {phase.name} is done", flush=True)

    def _save(self, folder: Path, with_optimizer: bool = False) -> None:
        with atomic.atomic_folder(folder) as temporary:
            self._classifier.save_weights(str(temporary / runs.WEIGHTS_FILE))
            if with_optimizer:
                values = [np.asarray(v, np.float64) for v in self._model.optimizer.variables]
                np.savez(temporary / _OPTIMIZER_FILE, *values)
            state = json.dumps(dataclasses.asdict(self._state))
            (temporary / runs.STATE).write_text(state, encoding="utf-8")

    def _load_last(self) -> None:
        path = self._folder / runs.LAST / runs.WEIGHTS_FILE
        network.load_weights(self._classifier, path, str(self._folder))

    def _load_best(self) -> None:
        path = self._folder / runs.BEST / runs.WEIGHTS_FILE
        network.load_weights(self._classifier, path, str(self._folder))

    def _load_optimizer(self) -> None:
        path = self._folder / runs.LAST / _OPTIMIZER_FILE
        with np.load(path) as saved:
            values = [saved[name] for name in saved.files]
        for variable, value in zip(self._model.optimizer.variables, values, strict=True):
            variable.assign(value.astype(variable.dtype))


def begin_from(classifier: keras.Model, settings: Config, classes: Sequence[str]) -> None:
    """Gives a network the weights that its config names: a run's best, or those of a file.

    Of a run for other classes only the backbone is taken.

    Raises:
        UserError: They are of another network.
    """
    where = f"{settings.path}: model.weights"
    source = Path(settings.weights)
    if not source.is_dir():
        network.load_weights(classifier, source, where)
        return
    parent = runs.load(source)
    before = configs.load(source / runs.CONFIG)
    if before.backbone != settings.backbone:
        raise UserError(
            where, f"{source} is a {before.backbone}, expected a {settings.backbone}",
            "name a run with the same backbone",
        )  # fmt: skip
    before = dataclasses.replace(before, classes=len(parent.classes))
    donor = network.build(before, None)
    network.load_weights(donor, source / runs.BEST / runs.WEIGHTS_FILE, where)
    same = parent.classes == tuple(classes)
    network.take_weights(classifier, donor, same)
    what = "all weights" if same else "the backbone, as the classes differ"
    print(f"weights: {what} of {source}, epoch {parent.result.get('best_epoch')}", flush=True)


def load_run(folder: str | Path) -> tuple[keras.Model, Config, runs.Experiment]:
    """The network of a run with the weights of its best epoch, in float32.

    Raises:
        UserError: There is no run, it has no whole epoch yet, or its weights are damaged.
    """
    experiment = runs.load(folder)
    weights = experiment.folder / runs.BEST / runs.WEIGHTS_FILE
    if not weights.is_file():
        raise UserError(folder, "has no whole epoch yet", "train it first")
    settings = configs.load(experiment.folder / runs.CONFIG)
    network.use_precision(False)
    classifier = network.build(settings, None)
    network.load_weights(classifier, weights, str(folder))
    return classifier, settings, experiment


class _Watch(keras.callbacks.Callback):
    """Ends an epoch as soon as the user wants to stop."""

    def __init__(self, interruption: Interruption) -> None:
        super().__init__()
        self._interruption = interruption

    def _look(self) -> None:
        if self._interruption.exit_code is not None:
            raise _StoppedError

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del batch, logs
        self._look()


class _Steps(_Watch):
    """Shows the steps."""

    def __init__(self, meter: Meter, interruption: Interruption) -> None:
        super().__init__(interruption)
        self._meter = meter

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        del batch
        self._meter.advance(note=f"loss {float((logs or {}).get('loss', float('nan'))):.4f}")
        self._look()


class _TensorBoard:
    """Writes the rows for TensorBoard."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._tf, self._writer = tf, tf.summary.create_file_writer(str(folder))

    def write(self, epoch: int, values: dict[str, float]) -> None:
        with self._writer.as_default(step=epoch):
            for name, value in values.items():
                self._tf.summary.scalar(name, value)
        self._writer.flush()
