"""The suite `evaluate`: COCO metrics against pycocotools."""

import dataclasses
import functools

import numpy as np

from roadmark.benchmark import agreement, suite
from roadmark.benchmark.computer import Bandwidth
from roadmark.benchmark.contender import Contenders
from roadmark.benchmark.report import Report
from roadmark.benchmark.suite import Arrays, Measured, Operation, Options, Rival

_CONTENDERS = "roadmark.benchmark.contenders.coco_metrics"
_PICTURES = 5000
_HEIGHT, _WIDTH = 480, 640
_TARGET = 2.5


def run(options: Options) -> Report:
    """Runs the suite; neither side uses a second thread.

    Args:
        options: The user's.

    Raises:
        RuntimeError: A contender failed; names it.
    """
    options = dataclasses.replace(options, threads=(1,))

    def measure(running: Contenders, bandwidth: Bandwidth) -> Measured:
        chosen = [one for one in operations() if options.wants(one.name)]
        return suite.run("evaluate", chosen, options, running, bandwidth)

    packages = ["pycocotools", "faster-coco-eval", "numpy"]
    return suite.report_of(options, options.threads, measure, _CONTENDERS, packages)


def operations() -> list[Operation]:
    """What the suite times: as crowded as COCO's validation set, and as street scenes are."""
    return [
        _metrics(classes=80, objects=7, detections=60),
        _metrics(classes=3, objects=33, detections=100),
    ]


def _metrics(classes: int, objects: int, detections: int) -> Operation:
    return Operation(
        name="COCO metrics",
        size=f"{_PICTURES:,} pictures, {classes} classes, {objects} objects and {detections} "
        "detections in each",
        inputs=functools.partial(pictures, _PICTURES, classes, objects, detections),
        ours=f"{_CONTENDERS}:ours",
        options={
            "pictures": _PICTURES,
            "classes": classes,
            "height": _HEIGHT,
            "width": _WIDTH,
        },
        moved=_PICTURES * (objects * 6 + detections * 7) * 8,
        moved_what="all rows, once",
        rivals=(
            Rival(
                peer="pycocotools",
                function=f"{_CONTENDERS}:pycocotools",
                is_foreign=False,
                target=_TARGET,
                counted="both sides: from arrays in memory to the twelve numbers of boxes",
                agree=agreement.close("metrics"),
            ),
        ),
    )


def pictures(count: int, classes: int, objects: int, detections: int, seed: int = 1) -> Arrays:
    """Objects, and detections of which two in five lie near one.

    Args:
        count: Number of pictures.
        classes: Number of classes; a few are as frequent as all others together.
        objects: In each picture.
        detections: In each picture.
        seed: Same seed, same pictures.

    Returns:
        `truth` and `found` as `contenders.coco_metrics` describes them.
    """
    rng = np.random.default_rng(seed)
    ids = 1 + np.minimum(rng.geometric(min(0.9, 4 / classes), count * objects) - 1, classes - 1)
    corners = rng.uniform(0, (_HEIGHT * 0.8, _WIDTH * 0.8), (count * objects, 2))
    sides = np.exp(rng.uniform(np.log(8), np.log(250), (count * objects, 2)))
    truth = np.hstack(
        [
            np.repeat(np.arange(count), objects)[:, np.newaxis],
            ids[:, np.newaxis],
            corners,
            corners + sides,
        ]
    )
    of = rng.integers(0, objects, (count, detections)) + np.arange(count)[:, np.newaxis] * objects
    found = truth[of.ravel()].copy()
    near = rng.random(len(found)) < 0.4
    spread = np.where(near, 0.08, 1.0)[:, np.newaxis] * (found[:, 4:6] - found[:, 2:4])
    moved = found[:, 2:6] + rng.normal(0, 1, (len(found), 4)) * np.tile(spread, 2)
    found[:, 2:4] = np.minimum(moved[:, :2], moved[:, 2:])
    found[:, 4:6] = np.maximum(moved[:, :2], moved[:, 2:]) + 1
    scores = np.where(near, rng.beta(4, 3, len(found)), rng.beta(1, 8, len(found)))
    found = np.hstack([found, scores[:, np.newaxis]])
    # Both sides get the same float32 values.
    return {
        name: rows.astype(np.float32).astype(np.float64)
        for name, rows in (("truth", truth), ("found", found))
    }
