"""Training of a classifier in phases, resumable after any epoch.

Importing it is cheap: Keras is imported once all that can be checked without it is in order.
"""

import dataclasses
import json
import math
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from roadmark import atomic
from roadmark.classification import class_set, config, runs
from roadmark.classification.class_set import TRAIN, VAL, ClassSet
from roadmark.classification.config import Config
from roadmark.classification.runs import Experiment
from roadmark.errors import UserError
from roadmark.manifest import sha256

_DISTRIBUTIONS = ("keras", "tensorflow", "tensorflow-cpu", "numpy")


@dataclasses.dataclass(frozen=True)
class Options:
    """What to train and where.

    Attributes:
        config: The config file.
        model_dir: The run folder; None for `runs/classify/<config name>`.
        restart: Removes an earlier run in the folder.
        seed: In place of the config's.
        class_set: In place of the config's `data.directory`.
        weights: In place of the config's `model.weights`.
    """

    config: Path
    model_dir: Path | None = None
    restart: bool = False
    seed: int | None = None
    class_set: str | None = None
    weights: str | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of training.

    Attributes:
        folder: The run.
        exit_code: 0, or that of the signal that stopped it.
        epochs: Done so far.
        best: Row of the best epoch.
    """

    folder: Path
    exit_code: int
    epochs: int
    best: dict[str, float]


@dataclasses.dataclass
class State:
    """How far a run is.

    Attributes:
        epoch: Epochs done.
        phase: Index of the phase that goes on, or the number of phases when all are done.
        phase_epoch: Epochs done of it.
        waited: Epochs since the phase last brought a better one.
        best: Row of the best epoch.
    """

    epoch: int = 0
    phase: int = 0
    phase_epoch: int = 0
    waited: int = 0
    best: dict[str, float] = dataclasses.field(default_factory=dict)

    def after(self, row: dict[str, float], settings: Config) -> bool:
        """Counts an epoch, and moves on to the next phase where this one is done.

        Returns:
            Whether the epoch is the best so far.
        """
        self.epoch += 1
        self.phase_epoch += 1
        better = not self.best or _is_better(row, self.best, settings.monitor)
        self.waited = 0 if better else self.waited + 1
        if better:
            self.best = {"epoch": self.epoch, **row}
        if self.phase_epoch == settings.phases[self.phase].epochs or self.stalled(settings):
            self.phase, self.phase_epoch, self.waited = self.phase + 1, 0, 0
        return better

    def stalled(self, settings: Config) -> bool:
        """Whether the phase has gone on for too long without a better epoch."""
        return bool(settings.patience) and self.waited >= settings.patience


def train(options: Options) -> Result:
    """Trains a classifier, or goes on with training it.

    Raises:
        UserError: Config, class set and weights do not fit one another, a picture is missing or
            altered, or the run in the folder began with something else.
    """
    settings = _settings(options)
    folder = options.model_dir or runs.default_folder(options.config)
    classes = class_set.load(settings.directory)
    classes.require_classes(settings.classes, f"{settings.path}: model.classes")
    for split in (TRAIN, VAL):
        classes.of(split)
    if options.restart:
        _remove(folder)
    state = _resumed(folder, settings, classes)
    if state.epoch == 0:
        _require_weights(settings)
    elif state.phase == len(settings.phases):
        print(f"{folder} has done its {state.epoch} epochs: --restart begins anew", flush=True)
        return Result(folder, 0, state.epoch, state.best)
    verify_pictures(classes)
    print(_summary(settings, classes, folder, state), flush=True)
    print("starting Keras and building the network ...", flush=True)
    from roadmark.classification.session import Session

    session = Session(settings, classes, folder, state)
    if state.epoch == 0:
        # Not before all that may be refused: a run in the tree has begun.
        _begin(folder, settings, classes)
    return session.run()


def again(run: Path, model_dir: Path) -> Options:
    """What to train to repeat a run in another folder.

    Args:
        run: The run folder.
        model_dir: The new one.

    Raises:
        UserError: There is no such run, or its class set or weights are no longer the same.
    """
    before = runs.load(run)
    if model_dir.resolve() == run.resolve():
        raise UserError("--model_dir", f"found {model_dir}, the run itself", "name a new folder")
    version = class_set.load(before.class_set).data_version
    if version != before.data_version:
        raise UserError(
            before.class_set,
            f"found data version {version[:12]}, but {before.name} was trained on "
            f"{before.data_version[:12]}",
            "prepare that set again",
        )
    if before.weights_sha256 not in (None, _weights_sha256(before.weights)):
        raise UserError(
            before.weights, f"holds other weights than those that {before.name} began from",
            "repeat that run first, or train with --config and --weights",
        )  # fmt: skip
    return Options(
        run / runs.CONFIG, model_dir, False, before.seed, before.class_set, before.weights
    )


def verify_pictures(classes: ClassSet) -> None:
    """Raises UserError when a picture is not there or not the one that the index names."""
    for entry in classes.entries:
        path = classes.folder / entry.path
        if not path.is_file():
            raise UserError(
                path, "no such picture, expected as index.csv lists it", "prepare again"
            )
        if sha256(path) != entry.sha256:
            raise UserError(path, "altered since the set was prepared", "prepare the set again")


def _settings(options: Options) -> Config:
    settings = config.load(options.config)
    changes: dict[str, Any] = {}
    if options.seed is not None:
        changes["seed"] = options.seed
    if options.class_set is not None:
        changes["directory"] = options.class_set
    if options.weights is not None:
        changes["weights"] = options.weights
    return dataclasses.replace(settings, **changes)


def _is_better(row: dict[str, float], best: dict[str, float], monitor: str) -> bool:
    value, before = row[monitor], best[monitor]
    return value < before if monitor == "val_loss" else value > before


def _remove(folder: Path) -> None:
    if not (folder / runs.EXPERIMENT).is_file():
        return
    for name in (runs.LAST, runs.BEST, runs.TENSORBOARD):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (runs.EXPERIMENT, runs.CONFIG, runs.METRICS):
        (folder / name).unlink(missing_ok=True)
    print(f"--restart: removed the run in {folder}", flush=True)


def _resumed(folder: Path, settings: Config, classes: ClassSet) -> State:
    path = folder / runs.LAST / runs.STATE
    if not path.is_file():
        return State()
    before = runs.load(folder)
    for what, old, new in (
        ("data version", before.data_version, classes.data_version),
        ("seed", before.seed, settings.seed),
        ("weights", before.weights, settings.weights),
        ("config", before.config_sha256, runs.sha256_of_text(settings.path)),
    ):
        if old != new:
            raise UserError(
                folder, f"the run in this folder began with another {what}: {old}, found {new}",
                "give that one to resume it, begin anew with --restart, or choose another "
                "--model_dir",
            )  # fmt: skip
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise UserError(path, f"found {error!r}", "begin anew with --restart") from None


def _require_weights(settings: Config) -> None:
    if settings.is_continued and not Path(settings.weights).exists():
        raise UserError(
            f"{settings.path}: model.weights", f"{settings.weights}: no such run or file, expected "
            f"{config.IMAGENET}, {config.NO_WEIGHTS}, a run folder or a .weights.h5 file",
            "correct it",
        )  # fmt: skip


def _begin(folder: Path, settings: Config, classes: ClassSet) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(folder / runs.CONFIG, settings.path.read_text(encoding="utf-8"))
    Experiment(
        folder=folder,
        parent=_parent(settings),
        weights=settings.weights,
        config_sha256=runs.sha256_of_text(settings.path),
        data_version=classes.data_version,
        class_set=settings.directory,
        classes=classes.classes,
        seed=settings.seed,
        versions=_versions(),
        result={},
        weights_sha256=_weights_sha256(settings.weights),
    ).save()


def _parent(settings: Config) -> str | None:
    """The run that the weights are of, or that their file lies in."""
    if not settings.is_continued:
        return None
    weights = Path(settings.weights)
    # A file of weights is in a run's folder `best` or `last`.
    around = (weights, *weights.parents[:2]) if weights.is_file() else (weights,)
    return next((str(one) for one in around if (one / runs.EXPERIMENT).is_file()), None)


def _weights_sha256(weights: str) -> str | None:
    """Of the file that a run of these `weights` begins from; None where that is no file of ours."""
    path = Path(weights)
    if path.is_dir():
        path = path / runs.BEST / runs.WEIGHTS_FILE
    return sha256(path) if path.is_file() else None


def _versions() -> dict[str, str]:
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _summary(settings: Config, classes: ClassSet, folder: Path, state: State) -> str:
    phases = ", ".join(
        f"{p.name} {p.epochs} epochs at {p.learning_rate:g}"
        + (" (backbone frozen)" if p.freeze == config.BACKBONE else "")
        for p in settings.phases
    )
    resumed = f"resuming after epoch {state.epoch}\n" if state.epoch else ""
    return (
        f"config: {settings.path}: {settings.backbone} from {settings.weights}, {phases}, "
        f"seed {settings.seed}\n"
        f"class set: {classes.folder}: {len(classes.classes)} classes, "
        f"{len(classes.of(TRAIN))} pictures to train and {len(classes.of(VAL))} to validate, "
        f"data version {classes.data_version[:8]}\n{resumed}run folder: {folder}"
    )


def class_weights(classes: ClassSet) -> dict[int, float]:
    """Weights by class id, inverse to the class's share of the training pictures, 1 on average."""
    counts = [0] * len(classes.classes)
    train = classes.of(TRAIN)
    for entry in train:
        counts[entry.class_id] += 1
    if not all(counts):
        name = classes.classes[counts.index(0)]
        raise UserError(
            classes.folder / class_set.INDEX, f"class {name!r} has no training pictures",
            "add some, or write class_weights: none",
        )  # fmt: skip
    return {number: len(train) / (len(counts) * count) for number, count in enumerate(counts)}


def require_finite(row: dict[str, float], epoch: int) -> None:
    """Raises UserError when a loss is no number."""
    if not all(map(math.isfinite, row.values())):
        raise UserError(
            f"epoch {epoch}", f"found the loss {row['loss']}, expected a finite number",
            "lower the learning rate of the phase; the epochs before are kept",
        )  # fmt: skip
