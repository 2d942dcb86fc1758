"""Writes class sets of tiny pictures whose classes any network tells apart."""

import dataclasses
import hashlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from roadmark.classification import class_set, predictions, runs
from roadmark.classification.class_set import Entry

_COLOURS = ((220, 30, 30), (30, 30, 220), (30, 200, 30), (220, 220, 30))
_PER_SPLIT = {"train": 8, "val": 4, "test": 4}


def write(folder: Path, classes: int = 2, size: int = 40) -> Path:
    """Writes a class set of noisy single-coloured pictures.

    Args:
        folder: Made when missing.
        classes: Up to 4.
        size: Of the square pictures, in pixels.

    Returns:
        `folder`.
    """
    names = tuple(f"make {number}" for number in range(classes))
    rng = np.random.default_rng(classes)
    entries = []
    for split, count in _PER_SPLIT.items():
        for number in range(count * classes):
            class_id = number % classes
            noise = rng.integers(-25, 26, (size, size, 3))
            pixels = (np.array(_COLOURS[class_id]) + noise).clip(0, 255).astype(np.uint8)
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "png")
            path = f"{split}/{names[class_id]}/{number}.png"
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(stream.getvalue())
            digest = hashlib.sha256(stream.getvalue()).hexdigest()
            box = (4.0, 6.0, size - 4.0, size - 6.0)
            entries.append(Entry(split, path, class_id, names[class_id], digest, box, "test"))
    class_set.write(folder, names, entries, {})
    return folder


def write_config(path: Path, folder: Path, **changes: str) -> Path:
    """Writes the config of a network that learns such a set in seconds.

    Args:
        path: The file.
        folder: The class set.
        changes: Text to replace, by `weights`, `classes`, `phases`, `more` or `backbone`.

    Returns:
        `path`.
    """
    values = {
        "weights": "none",
        "classes": "2",
        "backbone": "small_cnn",
        "phases": "[{epochs: 4, learning_rate: 0.003}]",
        "more": "",
    } | changes
    path.write_text(
        f"data: {{directory: {folder}, batch_size: 8}}\n"
        f"model:\n  backbone: {values['backbone']}\n  weights: {values['weights']}\n"
        f"  input_shape: [32, 32, 3]\n  classes: {values['classes']}\n  dropout_rate: 0.1\n"
        "  data_aug_layer: {random_flip: horizontal, random_width: 0.1}\n"
        f"compile: {{metrics: [accuracy, top_5_accuracy]{values['more']}}}\n"
        f"phases: {values['phases']}\n"
    )
    return path


def write_run(
    folder: Path, class_set_folder: Path, right: float, cropped: bool = False, more: str = ""
) -> Path:
    """Writes the folder of a run that was evaluated on `test`, without weights.

    Args:
        folder: Made.
        class_set_folder: As `write` makes it.
        right: Share of the pictures that it has right, the first ones.
        cropped: Gives the pictures another ending and content than in the set.
        more: For its config.

    Returns:
        `folder`.
    """
    found = class_set.load(class_set_folder)
    names, entries = found.classes, found.of("test")
    if cropped:
        entries = [
            dataclasses.replace(e, path=e.path.replace(".png", ".jpg"), sha256="other")
            for e in entries
        ]
    is_right = np.arange(len(entries)) < round(right * len(entries))
    probabilities = np.full((len(entries), len(names)), 0.2 / (len(names) - 1), np.float32)
    ids = np.array([e.class_id for e in entries])
    probabilities[np.arange(len(ids)), np.where(is_right, ids, (ids + 1) % len(names))] = 0.8
    evaluation = folder / runs.EVALUATIONS / "test"
    evaluation.mkdir(parents=True)
    predictions.write(evaluation / predictions.FILE, predictions.of(entries, probabilities, names))
    content = {
        "class_set": str(class_set_folder),
        "data_version": found.data_version,
        "cost": {"parameters": 350_000, "size_bytes": 1_400_000, "ms_per_image": 2.5, "timed": "x"},
    }
    (evaluation / runs.EVALUATION).write_text(json.dumps(content))
    config = write_config(folder / runs.CONFIG, class_set_folder, more=more)
    digest = runs.sha256_of_text(config)
    version, result = found.data_version, {"epochs": 2, "best_epoch": 2}
    runs.Experiment(
        folder, None, "none", digest, version, str(class_set_folder), names, 0, {}, result
    ).save()
    (folder / runs.METRICS).write_text(
        "step,phase,learning_rate,loss,accuracy,val_loss,val_accuracy,accuracy_gap,seconds\n"
        "1,1,0.003,0.9,0.6,0.8,0.7,-0.1,30\n2,1,0.003,0.4,0.9,0.5,0.8,0.1,30\n"
    )
    return folder
