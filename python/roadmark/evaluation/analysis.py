"""What an evaluation says beyond COCO's numbers: what goes wrong, where, and how sure that is."""

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from roadmark.evaluation import (
    average_precision,
    bootstrap,
    coco,
    confusion,
    curves,
    groups,
    matching,
    tide,
)
from roadmark.evaluation.average_precision import Ranking
from roadmark.evaluation.bootstrap import Confidence
from roadmark.evaluation.confusion import Confusion
from roadmark.evaluation.curves import Calibration, Curve
from roadmark.evaluation.matching import NONE, Matches, Picture
from roadmark.evaluation.tide import ErrorSplit

LOW_SCORE = "low score"

# Sides of a square of the same area, in pixels. COCO's limits, 32 and 96, are among them.
_SIDES = (0, 8, 16, 32, 64, 96, 192, 1e5)
_LISTED = 24
_LISTED_OF_A_PICTURE = 2


@dataclasses.dataclass(frozen=True)
class DriveMetrics:
    """How well one drive goes.

    Attributes:
        name: Of the drive.
        pictures: Their number.
        objects: Their number, crowds aside.
        mAP: COCO's, over the classes that the drive has; NaN without objects.
        AP50: The same at an IoU of 0.5.
    """

    name: str
    pictures: int
    objects: int
    mAP: float  # noqa: N815 the metric's name
    AP50: float


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A false positive or a missed object.

    Attributes:
        picture: File name of the picture.
        number: Of the picture in the evaluation, from 0.
        class_name: Of the detection, or of the missed object.
        kind: One of `tide.KINDS`; of a missed object, what was found there instead, `low score`
            standing for a detection below the best threshold of its class.
        score: Of the detection; of a missed object, of the one with a low score, else NaN.
        box: `[ymin, xmin, ymax, xmax]` in pixels.
    """

    picture: str
    number: int
    class_name: str
    kind: str
    score: float
    box: Sequence[float]


@dataclasses.dataclass(frozen=True)
class Analysis:
    """An account of an evaluation of boxes.

    Attributes:
        confidence: How far mAP and AP50 would move on other pictures of the kind.
        curves: Precision, recall and F1 by class name.
        errors: Kinds of mistakes and what they cost.
        confusion: At the best threshold of each class.
        calibration: Whether scores can be believed.
        sizes: By size of the objects, such as `8-16 px`: `AP`, `AP50`, `AR100`, `objects`.
        drives: One entry per drive, the worst AP50 first; empty when pictures tell no drives.
        false_positives: The highest scores first, two of a picture at most.
        misses: Objects without a detection at the best threshold of their class, the largest
            first, two of a picture at most.
    """

    confidence: Confidence
    curves: Mapping[str, Curve]
    errors: ErrorSplit
    confusion: Confusion
    calibration: Calibration
    sizes: Mapping[str, Mapping[str, float]]
    drives: Sequence[DriveMetrics]
    false_positives: Sequence[Mistake]
    misses: Sequence[Mistake]


def analyse(
    pictures: Sequence[Picture],
    categories: Mapping[int, str],
    group_by: str | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Analysis:
    """Takes an evaluation apart.

    Args:
        pictures: What was marked and found.
        categories: Class name by label map id.
        group_by: Regular expression that finds a picture's drive in its name; None to go by the
            name's folder or what stands before the frame's number.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.

    Raises:
        UserError: As `groups.group`.
    """
    drives, unit = groups.group([picture.name for picture in pictures], group_by)
    matches = matching.match(pictures, categories)
    rankings = [Ranking(matches, class_id) for class_id in categories]
    by_class = {class_id: curves.curve(matches, class_id) for class_id in categories}
    thresholds = {class_id: curve.best.threshold for class_id, curve in by_class.items()}
    kind = tide.kinds(matches)
    return Analysis(
        confidence=bootstrap.confidence(rankings, groups.numbered(drives), unit, seed, resamples),
        curves={categories[class_id]: curve for class_id, curve in by_class.items()},
        errors=tide.split(matches, categories),
        confusion=confusion.confusion(pictures, categories, thresholds),
        calibration=curves.calibration(matches, list(categories)),
        sizes=by_size(pictures, categories),
        drives=_by_drive(matches, rankings, drives) if unit == groups.DRIVES else [],
        false_positives=_false_positives(matches, categories, kind),
        misses=_misses(matches, categories, kind, thresholds),
    )


def mistakes(
    pictures: Sequence[Picture], categories: Mapping[int, str]
) -> tuple[list[Mistake], list[Mistake]]:
    """All false positives at the best threshold of their class, and all misses, the worst first.

    Args:
        pictures: What was marked and found.
        categories: Class name by label map id.
    """
    matches = matching.match(pictures, categories)
    thresholds = best_thresholds(matches, categories)
    kind = tide.kinds(matches)
    alarms = _false_positives(matches, categories, kind, None)
    ids = {name: key for key, name in categories.items()}
    trusted = [one for one in alarms if one.score >= thresholds[ids[one.class_name]]]
    return trusted, _misses(matches, categories, kind, thresholds, None)


def best_thresholds(matches: Matches, class_ids: Iterable[int]) -> dict[int, float]:
    """The score with the highest F1 of each class; 0.5 where nothing is right at any."""
    best = {key: curves.curve(matches, key).best.threshold for key in class_ids}
    return {key: 0.5 if math.isnan(value) else value for key, value in best.items()}


def by_size(
    pictures: Sequence[Picture], categories: Mapping[int, str]
) -> Mapping[str, Mapping[str, float]]:
    """Metrics by size of the objects, such as `8-16 px`: `AP`, `AP50`, `AR100`, `objects`."""
    areas = {
        f"{low}-{high} px" if high < _SIDES[-1] else f"{low} px and more": (low**2, high**2)
        for low, high in itertools.pairwise(_SIDES)
    }
    return coco.by_area(
        [picture.truth for picture in pictures],
        [picture.found for picture in pictures],
        categories,
        areas,
    )


def _by_drive(
    matches: Matches, rankings: Sequence[Ranking], drives: Sequence[str]
) -> list[DriveMetrics]:
    number_of = groups.numbered(drives)
    objects = number_of[matches.truth_image[~matches.truth_crowd]]
    rows = []
    for number, name in enumerate(sorted(set(drives))):
        own = number_of == number
        values = average_precision.mean(rankings, own.astype(int))
        rows.append(
            DriveMetrics(
                name=name,
                pictures=int(own.sum()),
                objects=int((objects == number).sum()),
                mAP=float(values.mean()),
                AP50=float(values[0]),
            )
        )
    return sorted(rows, key=lambda row: (math.isnan(row.AP50), row.AP50, row.name))


def _false_positives(
    matches: Matches,
    categories: Mapping[int, str],
    kind: np.ndarray,
    most: int | None = _LISTED,
) -> list[Mistake]:
    order = np.argsort(-matches.scores, kind="stable")
    worst = _few_of_a_picture(order[kind[order] != NONE], matches.image, most)
    return [
        Mistake(
            picture=matches.pictures[matches.image[row]],
            number=int(matches.image[row]),
            class_name=categories[int(matches.classes[row])],
            kind=tide.KINDS[kind[row]],
            score=float(matches.scores[row]),
            box=matches.boxes[row].tolist(),
        )
        for row in worst
    ]


def _misses(
    matches: Matches,
    categories: Mapping[int, str],
    kind: np.ndarray,
    thresholds: Mapping[int, float],
    most: int | None = _LISTED,
) -> list[Mistake]:
    found = np.flatnonzero(matches.is_true[:, 0])
    scores = np.full(len(matches.truth_image), np.nan)
    scores[matches.matched[found, 0]] = matches.scores[found]
    least = np.array([thresholds[class_id] for class_id in matches.truth_classes.tolist()])
    lost = ~matches.truth_crowd & ~(scores >= least)
    boxes = matches.truth_boxes
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-area, kind="stable")
    instead = tide.instead(matches, kind)
    return [
        Mistake(
            picture=matches.pictures[matches.truth_image[row]],
            number=int(matches.truth_image[row]),
            class_name=categories[int(matches.truth_classes[row])],
            kind=instead.get(int(row), tide.MISSED) if math.isnan(scores[row]) else LOW_SCORE,
            score=float(scores[row]),
            box=boxes[row].tolist(),
        )
        for row in _few_of_a_picture(order[lost[order]], matches.truth_image, most)
    ]


def _few_of_a_picture(rows: Iterable[int], image: np.ndarray, most: int | None) -> list[int]:
    """The first rows, so that one picture cannot fill the list; all where it has no end."""
    if most is None:
        return [int(row) for row in rows]
    seen: collections.Counter = collections.Counter()
    chosen = []
    for row in rows:
        seen[int(image[row])] += 1
        if seen[int(image[row])] <= _LISTED_OF_A_PICTURE:
            chosen.append(int(row))
        if len(chosen) == most:
            break
    return chosen
