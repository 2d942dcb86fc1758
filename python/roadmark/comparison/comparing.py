"""Evaluates runs on the same pictures and says how they differ."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from roadmark.comparison.runs import Run
from roadmark.errors import UserError
from roadmark.evaluation import (
    analysis,
    bootstrap,
    curves,
    detections_reading,
    groups,
    matching,
    set_ups,
)
from roadmark.evaluation.average_precision import Ranking
from roadmark.evaluation.bootstrap import Difference, Interval
from roadmark.evaluation.coco import CocoMetrics
from roadmark.evaluation.detections_reading import DetectionsFile
from roadmark.evaluation.matching import Matches, Picture
from roadmark.evaluation.recording import Recording
from roadmark.evaluation.records import Selection
from roadmark.evaluation.set_ups import Setting
from roadmark.odapi.label_map import LabelMap

_LISTED = 8
_LISTED_OF_A_DRIVE = 2


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a run makes of one picture, at the best threshold of each class and an IoU of 0.5.

    Attributes:
        right: float32 `[N, 4]` boxes of the detections that are right; in pixels, as all.
        wrong: Of those that are not.
        missed: Of the objects that are not found.
    """

    right: np.ndarray
    wrong: np.ndarray
    missed: np.ndarray

    @property
    def errors(self) -> int:
        """False positives and misses."""
        return len(self.wrong) + len(self.missed)


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """A picture that some runs do better on than others.

    Attributes:
        picture: Its name.
        number: Its number in the comparison, from 0.
        verdicts: Of each run.
    """

    picture: str
    number: int
    verdicts: Sequence[Verdict]


@dataclasses.dataclass(frozen=True)
class RunResult:
    """How one run does.

    Attributes:
        run: What was given.
        metrics: COCO's.
        sizes: By size of the objects: `AP`, `AP50`, `AR100`, `objects`.
        intervals: Between what mAP and AP50 lie in 95 of 100 samples.
        precision: At IoU 0.5, mean over the classes, at `average_precision.RECALLS`.
        f1: At IoU 0.5, mean over the classes, at `curves.THRESHOLDS`.
    """

    run: Run
    metrics: CocoMetrics
    sizes: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Interval]
    precision: Sequence[float]
    f1: Sequence[float]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs on the same pictures.

    Attributes:
        records: The glob of the records.
        pictures: Number of pictures that all were compared on.
        objects: Number of objects in them.
        unit: What the bootstrap drew: `drives` or `pictures`.
        units: How many of these there are.
        resamples: Number of its samples.
        seed: Of its draws.
        results: Of each run.
        differences: Of every two runs.
        settings: Fields of config, recipe and versions in which runs differ.
        disagreements: The pictures where runs differ most, two of a drive at most.
        notes: What the reader should know, such as what was left out.
    """

    records: str
    pictures: int
    objects: int
    unit: str
    units: int
    resamples: int
    seed: int
    results: Sequence[RunResult]
    differences: Sequence[Difference]
    settings: Sequence[Setting]
    disagreements: Sequence[Disagreement]
    notes: Sequence[str]


def compare(
    runs: Sequence[Run],
    label_map: LabelMap,
    selection: Selection,
    group_by: str | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> tuple[Comparison, Selection]:
    """Evaluates every run's detections on the pictures that all of them have.

    Args:
        runs: As `runs.load` gives them.
        label_map: Of the records.
        selection: The records.
        group_by: Regular expression that finds a picture's drive in its name, or None.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.

    Returns:
        The comparison, and the records that it is about.

    Raises:
        UserError: No picture is in all runs, a run looked at pictures of another size, or as
            `detections_reading.evaluate`.
    """
    files = [detections_reading.read(run.detections, label_map) for run in runs]
    selection, notes = _shared(runs, files, selection)
    evaluated = []
    for run, file in zip(runs, files, strict=True):
        recorded = Recording(group_by)
        found, said = detections_reading.evaluate(
            run.detections, label_map, selection, recorded.add
        )
        # What the others lack has been said once for all.
        notes += [f"{run.name}: {note}" for note in said if "among the records" not in note]
        _check_sizes(run, file, recorded.pictures)
        evaluated.append((found.metrics, recorded.pictures))
    names = label_map.names
    pictures = evaluated[0][1]
    drives, unit = groups.group([picture.name for picture in pictures], group_by)
    numbered = groups.numbered(drives)
    matches = [matching.match(own, names) for _, own in evaluated]
    rankings = [[Ranking(one, class_id) for class_id in names] for one in matches]
    differences, intervals = bootstrap.differences(rankings, numbered, seed, resamples)
    by_class = [{key: curves.curve(one, key) for key in names} for one in matches]
    results = [
        RunResult(
            run,
            metrics,
            analysis.by_size(own, names),
            intervals[number],
            _mean([ranking.precision_at_recalls() for ranking in rankings[number]]),
            _mean([curve.f1 for curve in by_class[number].values() if not _is_empty(curve)]),
        )
        for number, (run, (metrics, own)) in enumerate(zip(runs, evaluated, strict=True))
    ]
    thresholds = [{key: one.best.threshold for key, one in own.items()} for own in by_class]
    comparison = Comparison(
        records=selection.source,
        pictures=len(pictures),
        objects=evaluated[0][0].objects,
        unit=unit,
        units=len(set(drives)),
        resamples=resamples,
        seed=seed,
        results=results,
        differences=differences,
        settings=set_ups.differing([run.settings for run in runs]),
        disagreements=_disagreements(pictures, matches, thresholds, drives),
        notes=notes,
    )
    return comparison, selection


def _shared(
    runs: Sequence[Run], files: Sequence[DetectionsFile], selection: Selection
) -> tuple[Selection, list[str]]:
    """The records that every run looked at, and a line where that is not all of them."""
    seen = np.ones(len(selection), bool)
    counts = []
    for file in files:
        names = detections_reading.assign(file, selection)
        # A list of results cannot say that it looked at a picture and found nothing.
        own = np.array([file.sizes is None or name is not None for name in names], bool)
        seen &= own
        counts.append(int(own.sum()))
    if seen.all():
        return selection, []
    listed = ", ".join(f"{run.name} has {count}" for run, count in zip(runs, counts, strict=True))
    if not seen.any():
        raise UserError(
            selection.source,
            f"no picture was evaluated by every run: of {len(selection)}, {listed}",
            "evaluate them on the same records: bazel run //python:evaluate -- --eval_records=...",
        )
    picked = tuple(np.array(selection.picked)[seen].tolist())
    note = (
        f"the runs were evaluated on different data: of {len(selection)} pictures, {listed}; "
        f"compared on the {len(picked)} that all have"
    )
    return dataclasses.replace(selection, picked=picked), [note]


def _check_sizes(run: Run, file: DetectionsFile, pictures: Sequence[Picture]) -> None:
    for picture in pictures:
        size = (picture.truth.height, picture.truth.width)
        found = (file.sizes or {}).get(picture.name, size)
        if None not in found and tuple(found) != size:
            raise UserError(
                f"{run.detections}: {picture.name}",
                f"found a picture of {found[1]} x {found[0]} pixels, expected {size[1]} x "
                f"{size[0]} as in the records",
                "compare runs that were evaluated on the same records",
            )


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    defined = [row for row in rows if not np.isnan(row).any()]
    length = len(rows[0]) if rows else 0
    return np.mean(defined, axis=0).tolist() if defined else [float("nan")] * length


def _is_empty(curve: curves.Curve) -> bool:
    return bool(np.isnan(curve.recall).all())


def _disagreements(
    pictures: Sequence[Picture],
    matches: Sequence[Matches],
    thresholds: Sequence[Mapping[int, float]],
    drives: Sequence[str],
) -> list[Disagreement]:
    verdicts = [
        _verdicts(own, least, len(pictures)) for own, least in zip(matches, thresholds, strict=True)
    ]
    errors = np.array([[verdict.errors for verdict in own] for own in verdicts])
    spread = errors.max(axis=0) - errors.min(axis=0)
    listed: collections.Counter = collections.Counter()
    chosen = []
    for number in np.argsort(-spread, kind="stable").tolist():
        listed[drives[number]] += 1
        if spread[number] > 0 and listed[drives[number]] <= _LISTED_OF_A_DRIVE:
            own = [of_run[number] for of_run in verdicts]
            chosen.append(Disagreement(pictures[number].name, number, own))
        if len(chosen) == _LISTED:
            break
    return chosen


def _verdicts(matches: Matches, thresholds: Mapping[int, float], count: int) -> list[Verdict]:
    """Of each picture."""
    # NaN stands for a class of which nothing is right at any threshold.
    least = np.array([thresholds[class_id] for class_id in matches.classes.tolist()])
    shown = matches.scores >= np.nan_to_num(least.astype(np.float32), nan=np.inf)
    is_true, ignored = matches.is_true[:, 0], matches.ignored[:, 0]
    found = np.zeros(len(matches.truth_image), bool)
    found[matches.matched[shown & is_true, 0]] = True
    missed = ~found & ~matches.truth_crowd
    return [
        Verdict(
            matches.boxes[shown & is_true & (matches.image == number)],
            matches.boxes[shown & ~is_true & ~ignored & (matches.image == number)],
            matches.truth_boxes[missed & (matches.truth_image == number)],
        )
        for number in range(count)
    ]
