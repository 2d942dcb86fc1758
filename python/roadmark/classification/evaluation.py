"""Judges a classifier on a split of its class set, and writes numbers, sheets and a report.

Takes a run (through Keras, with activation maps) or an exported folder (through ONNX Runtime).
"""

import dataclasses
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roadmark import atomic, progress
from roadmark.classification import (
    class_set,
    class_sources,
    manifest,
    pictures,
    predictions,
    report,
    runs,
    scoring,
    training,
)
from roadmark.classification.class_set import ClassSet
from roadmark.classification.report import Looked
from roadmark.classification.scoring import Scores
from roadmark.errors import UserError
from roadmark.evaluation.evaluation import Cost

_BATCH = 32
_MOST_MAPS = 12
_TIMED, _WARM_UP = 15, 3
_ONE_BY_ONE = "one picture at a time, without reading it"

Maps = Callable[[np.ndarray, Sequence[int]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Model:
    """A classifier that can be judged.

    Attributes:
        name: For titles.
        classes: In the order of its columns.
        size: Height and width that it sees.
        classify: Takes float32 `[N, H, W, 3]` of 0 to 255, gives `[N, classes]`.
        maps: Activation maps for classes of such pictures, or None.
        run: The run folder, or None.
        class_set: Folder of the class set of the run, or None.
        cost: What it takes, but for the time.
    """

    name: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    classify: Callable[[np.ndarray], np.ndarray]
    maps: Maps | None = None
    run: Path | None = None
    class_set: str | None = None
    cost: Cost = dataclasses.field(default_factory=Cost)


@dataclasses.dataclass(frozen=True)
class Judged:
    """An evaluation that was written.

    Attributes:
        scores: The numbers.
        folder: Where report and JSON are.
    """

    scores: Scores
    folder: Path


def load(path: str | Path) -> Model:
    """Loads a run, or an exported folder.

    Raises:
        UserError: It is neither, or is damaged.
    """
    path = Path(path)
    if manifest.is_export(path):
        from roadmark.classification.classifier import Classifier

        exported = Classifier(path)
        facts = exported.manifest
        size = (path / manifest.ONNX_FILE).stat().st_size
        return Model(
            f"{facts.model} (ONNX)",
            facts.classes,
            (facts.height, facts.width),
            exported.run,
            cost=Cost(size_bytes=size, timed=f"ONNX Runtime, {_ONE_BY_ONE}"),
        )
    runs.load(path)  # Before Keras is imported.
    from roadmark.classification import network, session

    built, settings, experiment = session.load_run(path)
    return Model(
        experiment.name,
        experiment.classes,
        settings.input_shape[:2],
        lambda batch: np.asarray(built.predict_on_batch(batch)),
        lambda images, ids: network.activation_maps(built, images, ids),
        path,
        experiment.class_set,
        Cost(
            parameters=sum(int(np.prod(weight.shape)) for weight in built.trainable_weights),
            size_bytes=(path / runs.BEST / runs.WEIGHTS_FILE).stat().st_size,
            timed=f"Keras on TensorFlow, {_ONE_BY_ONE}",
        ),
    )


def evaluate(model: Model, data: str | Path | None, split: str, out: Path | None = None) -> Judged:
    """Judges a model and writes `evaluation.json`, `predictions.csv` and `report.html`.

    Args:
        model: See `load`.
        data: Folder of the class set; None for that of the run.
        split: `train`, `val` or `test`.
        out: Folder to write; None for `<run>/evaluation/<split>`.

    Raises:
        UserError: The set has other classes or no such split, or a picture is missing.
    """
    folder = data or model.class_set
    if folder is None:
        raise UserError("--data", "missing, expected a class set", "an export does not know its")
    classes = class_set.load(folder)
    if classes.classes != model.classes:
        raise UserError(
            classes.folder, f"has {len(classes.classes)} classes other than those of {model.name} "
            f"({len(model.classes)}), first {classes.classes[0]!r} and {model.classes[0]!r}",
            "evaluate on the set that it was trained for",
        )  # fmt: skip
    target = out or (model.run and model.run / runs.EVALUATIONS / split)
    if target is None:
        raise UserError("--out", "missing, expected a folder", "give one for an exported model")
    entries = classes.of(split)
    training.verify_pictures(dataclasses.replace(classes, entries=tuple(entries)))
    images = pictures.Pictures([classes.folder / e.path for e in entries], *model.size)
    probabilities = classify_all(model, images)
    labels = np.array([entry.class_id for entry in entries])
    scores = scoring.score(probabilities, labels, classes.classes)
    maps = _maps(model, images, probabilities, labels)
    looked = Looked(classes.folder, entries, images, probabilities, maps)
    _write(model, classes, split, scores, looked, Path(target))
    return Judged(scores, Path(target))


def classify_all(model: Model, images: pictures.Pictures) -> np.ndarray:
    """float32 `[N, classes]` of all pictures, in batches."""
    found = []
    with progress.track("classifying", len(images), "pictures") as meter:
        for start in range(0, len(images), _BATCH):
            numbers = range(start, min(start + _BATCH, len(images)))
            batch = np.stack([images[number] for number in numbers]).astype(np.float32)
            found.append(model.classify(batch))
            meter.advance(len(batch))
    return np.concatenate(found)


def _timed(model: Model, images: pictures.Pictures) -> float:
    """Median milliseconds per picture, one at a time, without reading it."""
    seconds = []
    for number in range(_WARM_UP + _TIMED):
        batch = images[number % len(images)][None].astype(np.float32)
        begin = time.perf_counter()
        model.classify(batch)
        seconds.append(time.perf_counter() - begin)
    return 1000 * statistics.median(seconds[_WARM_UP:])


def _maps(
    model: Model, images: pictures.Pictures, probabilities: np.ndarray, labels: np.ndarray
) -> dict[int, np.ndarray]:
    """Activation maps of the guesses for some pictures: half mistakes, half right, by index."""
    if model.maps is None:
        return {}
    guesses = probabilities.argmax(axis=1)
    surest = np.argsort(-probabilities.max(axis=1), kind="stable")
    wrong = [i for i in surest if guesses[i] != labels[i]][: _MOST_MAPS // 2]
    right = [i for i in surest if guesses[i] == labels[i]][: _MOST_MAPS - len(wrong)]
    chosen = [int(index) for index in (*wrong, *right)]
    batch = np.stack([images[index] for index in chosen]).astype(np.float32)
    return dict(zip(chosen, model.maps(batch, guesses[chosen]), strict=True))


def _write(
    model: Model, classes: ClassSet, split: str, scores: Scores, looked: Looked, folder: Path
) -> None:
    epochs = runs.epochs(model.run)
    cost = dataclasses.replace(model.cost, ms_per_image=_timed(model, looked.images))
    content: dict[str, Any] = {
        "model": model.name,
        "class_set": str(classes.folder),
        "data_version": classes.data_version,
        "split": split,
        "cost": dataclasses.asdict(cost),
        **scores.to_dict(),
        "accuracy_gap": [{"epoch": e.number, "gap": e.gap} for e in epochs],
    }
    folder.mkdir(parents=True, exist_ok=True)
    said = predictions.of(looked.entries, looked.probabilities, classes.classes)
    predictions.write(folder / predictions.FILE, said)
    atomic.write_text(folder / runs.EVALUATION, json.dumps(content, indent=1) + "\n")
    atomic.write_text(folder / "report.txt", scoring.to_text(scores))
    experiment = None if model.run is None else runs.load(model.run)
    best = experiment and experiment.result.get("best_epoch")
    report.write(model.name, classes, split, scores, looked, epochs, best, folder / "report.html")
    if experiment is None:
        return
    # A run's own result is on its own data only.
    if experiment.data_version == classes.data_version:
        experiment.with_result(**{f"{split}_accuracy": scores.accuracy.value}).save()


def find_pictures(source: Path) -> list[Path]:
    """The picture given, or those in a folder and its subfolders, sorted.

    Raises:
        UserError: There is none.
    """
    if source.is_file():
        return [source]
    found = sorted(p for p in source.rglob("*") if p.suffix.lower() in class_sources.SUFFIXES)
    if not found:
        raise UserError(source, "no pictures here", "check --images")
    return found


def predict(model: Model, paths: Sequence[Path], most: int = 5) -> list[dict[str, Any]]:
    """The likeliest classes of pictures.

    Args:
        model: See `load`.
        paths: Pictures.
        most: Classes to name for each.

    Returns:
        For each picture its `file` and `classes`, name and probability, the likeliest first.

    Raises:
        UserError: A picture cannot be read.
    """
    found = classify_all(model, pictures.Pictures(paths, *model.size))
    order = np.argsort(-found, axis=1, kind="stable")[:, :most]
    return [
        {
            "file": str(path),
            "classes": [
                {"name": model.classes[i], "probability": round(float(row[i]), 6)} for i in best
            ],
        }
        for path, row, best in zip(paths, found, order, strict=True)
    ]
