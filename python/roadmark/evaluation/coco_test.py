import json
import math
import subprocess
import sys

import numpy as np
import pytest

from roadmark.detections import Detections
from roadmark.evaluation import coco
from roadmark.evaluation.coco import GroundTruth
from roadmark.testing import marked_and_found

NAMES = {1: "vehicle", 4: "cyclist"}
METRICS = [
    "mAP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR1",
    "AR10",
    "AR100",
    "AR_small",
    "AR_medium",
    "AR_large",
]


def truth(boxes, classes=None, crowd=None, masks=None, size=(400, 600)):
    count = len(boxes)
    return GroundTruth(
        *size,
        boxes=np.float32(boxes).reshape(-1, 4),
        classes=np.int32(classes or [1] * count),
        is_crowd=np.array(crowd or [False] * count, bool),
        masks=masks,
    )


def found(boxes, scores=None, classes=None, masks=None):
    count = len(boxes)
    return Detections(
        boxes=np.float32(boxes).reshape(-1, 4),
        scores=np.float32(scores or [0.9] * count),
        classes=np.int32(classes or [1] * count),
        masks=masks,
    )


SMALL, MEDIUM, LARGE = [0, 0, 20, 20], [100, 100, 150, 150], [200, 200, 350, 400]
# IoU with MEDIUM: 2500 / 2750 = 0.909; with a shift of 10 px: 2000 / 3000 = 0.667.
MEDIUM_WIDER, MEDIUM_SHIFTED = [100, 100, 150, 155], [100, 110, 150, 160]


@pytest.mark.parametrize(
    ("marked", "detected", "expected"),
    [
        pytest.param(
            truth([SMALL, MEDIUM, LARGE]),
            found([SMALL, MEDIUM, LARGE]),
            dict.fromkeys(METRICS, 1.0) | {"AR1": 1 / 3},
            id="all found exactly; AR1 may only use one box",
        ),
        pytest.param(
            truth([MEDIUM]),
            found([MEDIUM_WIDER]),
            {"mAP": 0.9, "AP50": 1.0, "AP75": 1.0, "AP_medium": 0.9, "AP_small": math.nan},
            id="IoU 0.909 counts for 9 of 10 thresholds; sizes that do not occur have no metric",
        ),
        pytest.param(
            truth([MEDIUM]),
            found([MEDIUM_SHIFTED]),
            {"mAP": 0.4, "AP50": 1.0, "AP75": 0.0},
            id="IoU 0.667 counts for 4 of 10 thresholds",
        ),
        pytest.param(
            truth([MEDIUM]),
            found([LARGE, MEDIUM], [0.9, 0.8]),
            {"AP50": 0.5, "AR100": 1.0, "AR1": 0.0},
            id="a better-scored false positive halves the precision",
        ),
        pytest.param(
            truth([MEDIUM]),
            found([MEDIUM], classes=[4]),
            {"mAP": 0.0, "AR100": 0.0},
            id="the right box of the wrong class",
        ),
        pytest.param(truth([MEDIUM]), found([]), {"mAP": 0.0, "AR100": 0.0}, id="none found"),
        pytest.param(
            truth([]), found([MEDIUM]), {"mAP": math.nan, "AR100": math.nan}, id="none marked"
        ),
        pytest.param(
            truth([MEDIUM, LARGE], crowd=[False, True]),
            found([LARGE, [210, 210, 300, 300], MEDIUM], [0.99, 0.98, 0.9]),
            {"mAP": 1.0, "AR100": 1.0},
            id="a crowd absorbs detections and is not missed",
        ),
        pytest.param(
            truth([MEDIUM]),
            found([MEDIUM, MEDIUM], [0.9, 0.8], [1, 7]),
            {"mAP": 1.0},
            id="detections of a class outside the label map are left out",
        ),
    ],
)
def test_known_cases(marked, detected, expected):
    metrics = coco.evaluate([marked], [detected], NAMES)
    summary = metrics.summary["bbox"]
    assert list(summary) == METRICS
    for name, value in expected.items():
        assert summary[name] == pytest.approx(value, abs=1e-6, nan_ok=True), name


def test_metrics_per_class():
    metrics = coco.evaluate(
        [truth([MEDIUM, LARGE, SMALL], [1, 4, 4], [False, False, True])],
        [found([MEDIUM], classes=[1])],
        NAMES,
    )
    assert metrics.images == 1
    assert metrics.objects == 3
    assert metrics.per_class["bbox"] == {
        "vehicle": {"AP": 1.0, "AP50": 1.0, "AR100": 1.0, "objects": 1},
        "cyclist": {"AP": 0.0, "AP50": 0.0, "AR100": 0.0, "objects": 1},
    }


def test_masks_are_compared_as_masks():
    whole = np.zeros((1, 400, 600), bool)
    whole[0, 100:150, 100:150] = True
    half = whole.copy()
    half[0, :, 130:] = False  # 60% of the marked pixels in an equal box.
    metrics = coco.evaluate(
        [truth([MEDIUM], masks=whole)], [found([MEDIUM], masks=half)], NAMES, ("bbox", "segm")
    )
    assert metrics.summary["bbox"]["mAP"] == pytest.approx(1.0)
    assert metrics.summary["segm"]["AP50"] == pytest.approx(1.0)
    assert metrics.summary["segm"]["AP75"] == pytest.approx(0.0)


def test_metrics_by_area():
    limits = {"tiny": (0, 400), "small": (400, 2500), "large": (1e4, 1e10)}
    metrics = coco.by_area([truth([SMALL, MEDIUM])], [found([MEDIUM_SHIFTED])], NAMES, limits)
    assert metrics["small"] == pytest.approx(
        {"AP": 0.2, "AP50": 51 / 101, "AR100": 0.2, "objects": 2}, abs=2e-3
    ), "limits belong to both sides, as in COCO: 400 is tiny and small"
    assert metrics["tiny"] == {"AP": 0.0, "AP50": 0.0, "AR100": 0.0, "objects": 1}
    assert metrics["large"]["objects"] == 0
    assert math.isnan(metrics["large"]["AP"])


def test_equal_boxes_of_different_images_do_not_match():
    metrics = coco.evaluate([truth([MEDIUM]), truth([])], [found([]), found([MEDIUM])], NAMES)
    assert metrics.summary["bbox"]["mAP"] == 0.0


@pytest.mark.parametrize(
    ("marked", "detected", "kinds", "says"),
    [
        ([truth([MEDIUM], [2])], [found([])], ["bbox"], "classes: found id 2"),
        ([truth([MEDIUM])], [found([])], ["segm"], "masks: found None"),
        ([truth([])], [found([MEDIUM])], ["segm"], "masks: found None"),
        ([truth([])], [], ["bbox"], "shorter"),
    ],
)
def test_what_cannot_be_compared_is_refused(marked, detected, kinds, says):
    with pytest.raises(ValueError, match=says):
        coco.evaluate(marked, detected, NAMES, kinds)


_PYCOCOTOOLS = """
import json, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
truth = COCO()
given = json.load(sys.stdin)
truth.dataset = given["truth"]
truth.createIndex()
evaluation = COCOeval(truth, truth.loadRes(given["found"]), "bbox")
evaluation.evaluate()
evaluation.accumulate()
evaluation.summarize()
print(json.dumps(evaluation.stats.tolist()), file=sys.stderr)
"""


@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_pycocotools(seed):
    """In a process of its own, so that no patch of one library can reach the other."""
    names = marked_and_found.NAMES
    pictures = marked_and_found.random_pictures(seed)
    found = coco.evaluate([p.truth for p in pictures], [p.found for p in pictures], names)
    answer = subprocess.run(
        [sys.executable, "-c", _PYCOCOTOOLS],
        input=json.dumps(_as_coco(pictures)),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    expected = json.loads(answer.stderr.splitlines()[-1])
    assert list(found.summary["bbox"].values()) == pytest.approx(expected, abs=1e-6)


def _as_coco(pictures):
    def rows(boxes, **columns):
        corner, size = boxes[:, [1, 0]], boxes[:, [3, 2]] - boxes[:, [1, 0]]
        boxes = np.hstack([corner, size]).astype(float).tolist()
        values = zip(boxes, *(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(("bbox", *columns), row, strict=True)) for row in values]

    truth, found = [], []
    for number, p in enumerate(pictures, start=1):
        area = areas(p.truth.boxes)
        marked = rows(
            p.truth.boxes, category_id=p.truth.classes, iscrowd=p.truth.is_crowd * 1, area=area
        )
        truth += [
            row | {"image_id": number, "id": len(truth) + at} for at, row in enumerate(marked, 1)
        ]
        shown = rows(p.found.boxes, category_id=p.found.classes, score=p.found.scores.astype(float))
        found += [row | {"image_id": number} for row in shown]
    images = [{"id": number} for number in range(1, len(pictures) + 1)]
    categories = [{"id": key, "name": name} for key, name in marked_and_found.NAMES.items()]
    return {
        "truth": {"images": images, "annotations": truth, "categories": categories},
        "found": found,
    }


def areas(boxes):
    return ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).astype(float)
