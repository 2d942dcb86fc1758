"""COCO's twelve numbers from arrays of boxes: ours, and pycocotools as its own demo calls it.

Inputs: `truth` `[G, 6]` and `found` `[D, 7]`, each row a picture's number, a class, `[ymin, xmin,
ymax, xmax]` in pixels and, where found, a score; sorted by picture.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def ours(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`roadmark.evaluation.coco`, which `evaluate` uses."""
    del threads
    from roadmark.detections import Detections
    from roadmark.evaluation import coco

    names = {number + 1: str(number) for number in range(options["classes"])}
    truth = [
        coco.GroundTruth(
            options["height"],
            options["width"],
            rows[:, 2:6].astype(np.float32),
            rows[:, 1].astype(np.int32),
            np.zeros(len(rows), bool),
        )
        for rows in _by_picture(arrays["truth"], options["pictures"])
    ]
    found = [
        Detections(
            rows[:, 2:6].astype(np.float32),
            rows[:, 6].astype(np.float32),
            rows[:, 1].astype(np.int32),
        )
        for rows in _by_picture(arrays["found"], options["pictures"])
    ]

    def call() -> np.ndarray:
        return np.array(list(coco.evaluate(truth, found, names).summary[coco.BOXES].values()))

    return call, lambda values: {"metrics": values}


def pycocotools(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Dictionaries for the objects, an array of rows for the detections, all three steps."""
    del threads
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = arrays["truth"], arrays["found"]

    def call() -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):
            data = COCO()
            data.dataset = {
                "images": [{"id": number} for number in range(options["pictures"])],
                "categories": [{"id": number + 1} for number in range(options["classes"])],
                "annotations": _annotations(truth),
            }
            data.createIndex()
            corners, sizes = found[:, [3, 2]], found[:, [5, 4]] - found[:, [3, 2]]
            rows = np.hstack([found[:, :1], corners, sizes, found[:, 6:], found[:, 1:2]])
            evaluation = COCOeval(data, data.loadRes(rows), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation.stats

    return call, lambda values: {"metrics": values}


def _by_picture(rows: np.ndarray, pictures: int) -> Iterator[np.ndarray]:
    ends = np.searchsorted(rows[:, 0], np.arange(1, pictures))
    yield from np.split(rows, ends)


def _annotations(truth: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image_id": int(picture),
            "category_id": int(class_id),
            "bbox": [xmin, ymin, xmax - xmin, ymax - ymin],
            "area": (xmax - xmin) * (ymax - ymin),
            "iscrowd": 0,
        }
        for number, (picture, class_id, ymin, xmin, ymax, xmax) in enumerate(truth.tolist(), 1)
    ]
