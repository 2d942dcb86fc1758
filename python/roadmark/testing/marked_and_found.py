"""Pictures with boxes marked and found in them, for tests of metrics."""

from collections.abc import Sequence

import numpy as np

from roadmark.detections import Detections
from roadmark.evaluation.coco import GroundTruth
from roadmark.evaluation.matching import Picture

NAMES = {1: "vehicle", 2: "pedestrian", 4: "cyclist"}
BOX, FAR = [100, 100, 150, 150], [200, 200, 350, 400]
# IoU with BOX: 2500 / 2750 = 0.909; with a shift of 10 px: 2000 / 3000 = 0.667.
WIDER, SHIFTED = [100, 100, 150, 155], [100, 110, 150, 160]


Box = Sequence[float]


def picture(
    marked: Sequence[tuple[int, Box]],
    found: Sequence[tuple[int, float, Box]],
    crowd: Sequence[bool] | None = None,
    name: str = "a.jpg",
) -> Picture:
    """A picture of 400 x 600 pixels.

    Args:
        marked: Class and box of each object.
        found: Class, score and box of each detection.
        crowd: Which objects are crowds; None for none.
        name: Of the picture.
    """
    return Picture(
        name,
        GroundTruth(
            400,
            600,
            np.float32([box for _, box in marked]).reshape(-1, 4),
            np.int32([class_id for class_id, _ in marked]),
            np.array(crowd or [False] * len(marked), bool),
        ),
        Detections(
            np.float32([box for *_, box in found]).reshape(-1, 4),
            np.float32([score for _, score, _ in found]),
            np.int32([class_id for class_id, *_ in found]),
        ),
    )


def random_pictures(seed: int, count: int = 40) -> list[Picture]:
    """Crowded pictures: crowds, ties, duplicates, wrong classes, a class without objects."""
    random = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        corner = random.uniform(0, 300, (random.integers(0, 9), 2))
        marked = np.hstack([corner, corner + random.uniform(5, 120, corner.shape)])
        classes = random.integers(1, 3, len(marked))
        crowd = random.random(len(marked)) < 0.1
        near = np.repeat(np.arange(len(marked)), random.integers(0, 4, len(marked)))
        boxes = marked[near] + random.normal(0, 4, (len(near), 4))
        boxes = np.hstack([boxes[:, :2], np.maximum(boxes[:, :2], boxes[:, 2:])])
        wrong = random.random(len(near)) < 0.2
        ids = np.where(wrong, random.choice([1, 2, 4], len(near)), classes[near])
        scores = random.integers(1, 100, len(near)) / 100
        rows = list(zip(ids.tolist(), scores.tolist(), boxes.tolist(), strict=True))
        objects = list(zip(classes.tolist(), marked.tolist(), strict=True))
        pictures.append(picture(objects, rows, crowd.tolist()))
    return pictures
