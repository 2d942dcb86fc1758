"""COCO detection metrics (https://cocodataset.org/#detection-eval), computed by faster-coco-eval.

The numbers are those of the OD API's evaluators (`object_detection/metrics/coco_evaluation.py`):
boxes are compared in pixels of the original picture, the size of an object is the area of its box
(also when masks are compared), a crowd box absorbs detections without counting as missed, and a
metric that no object bears on is -1 there and NaN here.
"""

import collections
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as run_lengths

from roadmark.detections import Detections

BOXES = "bbox"
MASKS = "segm"

# Areas in square pixels: the limits of pycocotools.
_AREAS = {"small": [0, 32**2], "medium": [32**2, 96**2], "large": [96**2, 1e5**2]}
_SIZES = ("all", *_AREAS)
_MAX_DETECTIONS = (1, 10, 100)
_IOU_50, _IOU_75 = 0, 5


@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """What is marked in one picture.

    Attributes:
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]` in pixels of the picture.
        classes: int32 `[N]`, ids of the label map.
        is_crowd: bool `[N]`.
        masks: bool `[N, height, width]`, or None.
    """

    height: int
    width: int
    boxes: np.ndarray
    classes: np.ndarray
    is_crowd: np.ndarray
    masks: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class CocoMetrics:
    """What came out of an evaluation.

    Attributes:
        images: Number of pictures.
        objects: Number of ground-truth boxes, crowds included.
        summary: By `bbox` or `segm`, then by name: `mAP`, `AP50`, `AP75`, `AP_small`,
            `AP_medium`, `AP_large`, `AR1`, `AR10`, `AR100`, `AR_small`, `AR_medium`, `AR_large`;
            between 0 and 1, NaN where no object bears on it.
        per_class: By `bbox` or `segm`, then by class name: `AP`, `AP50`, `AR100`, and `objects`,
            their number without crowds.
    """

    images: int
    objects: int
    summary: Mapping[str, Mapping[str, float]]
    per_class: Mapping[str, Mapping[str, Mapping[str, float]]]


class CocoEvaluator:
    """Takes pictures one by one and computes metrics at the end.

    Masks are kept run-length encoded, so memory grows with objects and not with pixels.

    Args:
        categories: Class name by label map id. Detections of other classes are left out.
        iou_types: `bbox`, `segm` or both; `segm` needs masks on both sides.
    """

    def __init__(self, categories: Mapping[int, str], iou_types: Iterable[str] = (BOXES,)) -> None:
        self._categories = dict(categories)
        self._iou_types = tuple(iou_types)
        self._images: list[dict[str, Any]] = []
        self._truth: list[dict[str, Any]] = []
        self._found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in self._iou_types}

    def add(self, truth: GroundTruth, found: Detections) -> None:
        """Adds one picture.

        Raises:
            ValueError: A ground-truth class is no category, or masks are missing for `segm`.
        """
        unknown = set(truth.classes.tolist()) - set(self._categories)
        if unknown:
            raise ValueError(f"classes: found id {min(unknown)}, expected one of the label map")
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "height": truth.height, "width": truth.width})
        self._add_truth(image_id, truth)
        known = np.isin(found.classes, list(self._categories))
        for kind in self._iou_types:
            self._found[kind] += _detections(image_id, found.select(known), kind)

    def metrics(self) -> CocoMetrics:
        """The metrics of all pictures added so far."""
        results = {kind: self._accumulate(kind) for kind in self._iou_types}
        return CocoMetrics(
            images=len(self._images),
            objects=len(self._truth),
            summary={kind: _summary(*result) for kind, result in results.items()},
            per_class={kind: self._per_class(*result) for kind, result in results.items()},
        )

    def by_area(self, areas: Mapping[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
        """Metrics of boxes whose objects have an area between two limits, by name.

        Detections that match no object count only where their own area is between them, too.

        Args:
            areas: The least and the largest area in square pixels, by name.

        Returns:
            `AP`, `AP50`, `AR100`, and `objects`, their number without crowds.
        """
        precision, recall = self._accumulate(BOXES, areas)
        rows = {}
        for index, (name, (low, high)) in enumerate(areas.items(), start=1):
            rows[name] = {
                "AP": _mean(precision[:, :, :, index, -1]),
                "AP50": _mean(precision[_IOU_50, :, :, index, -1]),
                "AR100": _mean(recall[:, :, index, -1]),
                "objects": sum(
                    low <= row["area"] <= high and not row["iscrowd"] for row in self._truth
                ),
            }
        return rows

    def _add_truth(self, image_id: int, truth: GroundTruth) -> None:
        masks = _encoded(truth.masks, len(truth.boxes), MASKS in self._iou_types)
        columns = (
            _corners_and_sizes(truth.boxes),
            _areas(truth.boxes),
            truth.classes.tolist(),
            truth.is_crowd.tolist(),
            masks,
        )
        for box, area, class_id, crowd, mask in zip(*columns, strict=True):
            self._truth.append(
                {
                    "id": len(self._truth) + 1,
                    "image_id": image_id,
                    "category_id": class_id,
                    "bbox": box,
                    "area": area,
                    "iscrowd": int(crowd),
                    **({} if mask is None else {"segmentation": mask}),
                }
            )

    def _accumulate(
        self, kind: str, areas: Mapping[str, Sequence[float]] = _AREAS
    ) -> tuple[np.ndarray, np.ndarray]:
        """Precision `[IoU, recall, class, size, limit]` and recall `[IoU, class, size, limit]`."""
        categories = [{"id": key, "name": name} for key, name in self._categories.items()]
        truth = COCO(
            {
                "info": {},
                "images": self._images,
                "annotations": [dict(row) for row in self._truth],
                "categories": categories,
            }
        )
        found = truth.loadRes([dict(row) for row in self._found[kind]])
        evaluation = COCOeval_faster(truth, found, kind, ranges=areas, print_function=_silent)
        evaluation.evaluate()
        evaluation.accumulate()
        return evaluation.eval["precision"], evaluation.eval["recall"]

    def _per_class(self, precision: np.ndarray, recall: np.ndarray) -> dict[str, dict[str, float]]:
        rows = {}
        objects = collections.Counter(
            row["category_id"] for row in self._truth if not row["iscrowd"]
        )
        for index, (class_id, name) in enumerate(sorted(self._categories.items())):
            rows[name] = {
                "AP": _mean(precision[:, :, index, 0, -1]),
                "AP50": _mean(precision[_IOU_50, :, index, 0, -1]),
                "AR100": _mean(recall[:, index, 0, -1]),
                "objects": objects[class_id],
            }
        return rows


def evaluate(
    ground_truth: Iterable[GroundTruth],
    detections: Iterable[Detections],
    categories: Mapping[int, str],
    iou_types: Iterable[str] = (BOXES,),
) -> CocoMetrics:
    """COCO metrics of detections against ground truth.

    Args:
        ground_truth: One per picture.
        detections: One per picture, in the same order.
        categories: Class name by label map id.
        iou_types: `bbox`, `segm` or both.

    Raises:
        ValueError: The two have different lengths, or as `CocoEvaluator.add`.
    """
    return _filled(ground_truth, detections, categories, iou_types).metrics()


def by_area(
    ground_truth: Iterable[GroundTruth],
    detections: Iterable[Detections],
    categories: Mapping[int, str],
    areas: Mapping[str, tuple[float, float]],
) -> dict[str, dict[str, float]]:
    """Metrics of boxes by the area of the objects; see `CocoEvaluator.by_area` and `evaluate`."""
    return _filled(ground_truth, detections, categories, (BOXES,)).by_area(areas)


def _filled(
    ground_truth: Iterable[GroundTruth],
    detections: Iterable[Detections],
    categories: Mapping[int, str],
    iou_types: Iterable[str],
) -> CocoEvaluator:
    evaluator = CocoEvaluator(categories, iou_types)
    for truth, found in zip(ground_truth, detections, strict=True):
        evaluator.add(truth, found)
    return evaluator


def _detections(image_id: int, found: Detections, kind: str) -> list[dict[str, Any]]:
    """Boxes, or masks, of one picture as COCO results."""
    if kind == MASKS:
        key, values = "segmentation", _encoded(found.masks, len(found), required=True)
    else:
        key, values = "bbox", _corners_and_sizes(found.boxes)
    columns = (found.classes.tolist(), found.scores.tolist(), values)
    return [
        {"image_id": image_id, "category_id": class_id, "score": score, key: value}
        for class_id, score, value in zip(*columns, strict=True)
    ]


def _corners_and_sizes(boxes: np.ndarray) -> list[list[float]]:
    """COCO's `[x, y, width, height]` of each box."""
    corners = boxes[:, [1, 0]]
    return np.hstack([corners, boxes[:, [3, 2]] - corners]).tolist()


def _areas(boxes: np.ndarray) -> list[float]:
    return ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).tolist()


def _encoded(masks: np.ndarray | None, count: int, required: bool) -> list[Any]:
    if not required:
        return [None] * count
    if masks is None:
        if count:
            raise ValueError("masks: found None, expected one per object to compare masks")
        return []
    return [run_lengths.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]


def _summary(precision: np.ndarray, recall: np.ndarray) -> dict[str, float]:
    values = {
        "mAP": _mean(precision[:, :, :, 0, -1]),
        "AP50": _mean(precision[_IOU_50, :, :, 0, -1]),
        "AP75": _mean(precision[_IOU_75, :, :, 0, -1]),
    }
    for index, size in enumerate(_SIZES[1:], start=1):
        values[f"AP_{size}"] = _mean(precision[:, :, :, index, -1])
    for index, limit in enumerate(_MAX_DETECTIONS):
        values[f"AR{limit}"] = _mean(recall[:, :, 0, index])
    for index, size in enumerate(_SIZES[1:], start=1):
        values[f"AR_{size}"] = _mean(recall[:, :, index, -1])
    return values


def _mean(values: np.ndarray) -> float:
    """Mean over what is defined: COCO marks the rest with -1."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else math.nan


def _silent(*unused: object) -> None:
    del unused
