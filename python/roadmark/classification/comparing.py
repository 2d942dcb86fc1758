"""Compares classifiers' runs on the pictures that all of them have classified. Needs no Keras."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

from roadmark.classification import predictions, runs
from roadmark.classification.class_set import SPLITS
from roadmark.classification.predictions import Prediction
from roadmark.classification.runs import Epoch
from roadmark.classification.scoring import LEVEL, Share
from roadmark.errors import UserError
from roadmark.evaluation import set_ups
from roadmark.evaluation.bootstrap import Interval
from roadmark.evaluation.evaluation import Cost
from roadmark.evaluation.set_ups import Setting

TOP_1, TOP_5 = "top-1", "top-5"
RESAMPLES = 10_000
_LISTED = 12
_EVALUATE = "make it with: bazel run //python:classify -- evaluate --model={} --split={}"


@dataclasses.dataclass(frozen=True)
class Run:
    """One of those to compare.

    Attributes:
        name: Of its folder; no two are equal.
        folder: The run.
        classes: That it tells apart.
        class_set: Folder of the pictures that it classified.
        data_version: Of these.
        predictions: By the picture's name without its ending, as cropping changes that.
        cost: What the model takes.
        epochs: How training went.
        best_epoch: Whose weights were evaluated, from 1.
        settings: Every field of the config and what else the run began with, by its path.
    """

    name: str
    folder: Path
    classes: Sequence[str]
    class_set: Path
    data_version: str
    predictions: Mapping[str, Prediction]
    cost: Cost
    epochs: Sequence[Epoch]
    best_epoch: int
    settings: Mapping[str, str]

    @property
    def best(self) -> Epoch | None:
        """The row of the best epoch."""
        return next((one for one in self.epochs if one.number == self.best_epoch), None)

    @property
    def train_seconds(self) -> float:
        """Spent in training steps, in all epochs; NaN where that was not measured."""
        return math.fsum(one.seconds for one in self.epochs) if self.epochs else math.nan


@dataclasses.dataclass(frozen=True)
class RunResult:
    """How one run does on the pictures that all have.

    Attributes:
        run: What was given.
        accuracy: Of the first guess.
        top_5: How often the class is among the first five.
        loss: Mean cross-entropy, in nats.
        recall: By class.
        coverage: Share of the pictures that it is as sure of, and its accuracy on these.
    """

    run: Run
    accuracy: Share
    top_5: Share
    loss: float
    recall: Mapping[str, float]
    coverage: Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much better one run is than another on the same pictures.

    Attributes:
        first: Number of the one run.
        second: Number of the other.
        metric: `top-1` or `top-5`.
        value: The second's less the first's.
        interval: Between what that lies in 95 of 100 samples (paired bootstrap over pictures).
        only_first: Pictures that only the first has right.
        only_second: Likewise the second.
        p: Chance of so unequal a pair of these numbers, or a more unequal one, if the two were
            equally good (McNemar 1947, exact binomial).
    """

    first: int
    second: int
    metric: str
    value: float
    interval: Interval
    only_first: int
    only_second: int
    p: float

    @property
    def is_real(self) -> bool:
        """Whether chance alone would hardly do it."""
        return self.p < 1 - LEVEL


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs on the same pictures.

    Attributes:
        split: Of the class sets.
        pictures: Number of those that all runs classified.
        classes: Names, with the number of pictures of each.
        results: Of each run.
        differences: Of every two runs, in top-1 and top-5.
        settings: Fields in which runs differ.
        disagreements: Names of pictures that some have right and some have wrong.
        disagreeing: How many of these there are.
        notes: What the reader should know, such as what was left out.
    """

    split: str
    pictures: int
    classes: Mapping[str, int]
    results: Sequence[RunResult]
    differences: Sequence[Difference]
    settings: Sequence[Setting]
    disagreements: Sequence[str]
    disagreeing: int
    notes: Sequence[str]


def load(folders: Sequence[str], split: str | None = None) -> tuple[list[Run], str]:
    """Reads what is to be compared.

    Args:
        folders: Runs.
        split: That they were evaluated on; None for `test` where all were, else `val`.

    Returns:
        The runs, and the split.

    Raises:
        UserError: There are fewer than two, two have one name, one was not evaluated on the split,
            or a file is damaged.
    """
    if len(folders) < 2:
        raise UserError("command line", f"found {folders[0]} alone to compare", "give two or more")
    chosen = split or _shared_split([Path(folder) for folder in folders])
    found: list[Run] = []
    for folder in folders:
        run = _load(Path(folder), chosen)
        if run.name in {other.name for other in found}:
            raise UserError(
                "command line", f"{run.name} is given twice", "give runs with names of their own"
            )
        found.append(run)
    return found, chosen


def compare(given: Sequence[Run], split: str, seed: int = 0) -> Comparison:
    """Compares runs on the pictures that all have.

    Raises:
        UserError: There is none, or the runs have other classes.
    """
    for run in given[1:]:
        if set(run.classes) != set(given[0].classes):
            raise UserError(
                run.folder, f"tells {len(run.classes)} classes apart, other than the "
                f"{len(given[0].classes)} of {given[0].folder}", "compare runs on the same classes",
            )  # fmt: skip
    keys = sorted(set.intersection(*(set(run.predictions) for run in given)))
    if not keys:
        counts = ", ".join(f"{run.name} has {len(run.predictions)}" for run in given)
        raise UserError(
            "command line", f"no picture of {split} was classified by every run: {counts}",
            "compare runs on class sets that were divided with the same seed",
        )  # fmt: skip
    said = [[run.predictions[key] for key in keys] for run in given]
    names = [one.class_name for one in said[0]]
    mixed = [n for n in range(len(keys)) if len({own[n].is_right for own in said}) > 1]
    spread = [
        max(own[n].true_probability for own in said) - min(own[n].true_probability for own in said)
        for n in mixed
    ]
    order = np.argsort(-np.array(spread), kind="stable")[:_LISTED]
    return Comparison(
        split=split,
        pictures=len(keys),
        classes={name: names.count(name) for name in sorted(set(names))},
        results=[_result(run, own, names) for run, own in zip(given, said, strict=True)],
        differences=_differences(said, seed),
        settings=set_ups.differing([run.settings for run in given]),
        disagreements=[keys[mixed[n]] for n in order],
        disagreeing=len(mixed),
        notes=_notes(given, said, len(keys)),
    )


def paired(
    first: Sequence[bool], second: Sequence[bool], seed: int
) -> tuple[Interval, int, int, float]:
    """Whether two are really unequal on the same pictures.

    Args:
        first: Whether the first has each picture right.
        second: Likewise the second.
        seed: Same seed, same interval.

    Returns:
        Interval of the difference of their shares, pictures that only the first and that only the
        second has right, and McNemar's exact p.
    """
    one, two = np.array(first, bool), np.array(second, bool)
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    shares = np.array([only_first, only_second, len(one) - only_first - only_second]) / len(one)
    # Drawing pictures with replacement is drawing the three kinds of pictures.
    drawn = np.random.default_rng(seed).multinomial(len(one), shares, RESAMPLES)
    values = (drawn[:, 1] - drawn[:, 0]) / len(one)
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    unequal = only_first + only_second
    p = stats.binomtest(only_first, unequal).pvalue if unequal else 1.0
    return Interval(float(low), float(high)), only_first, only_second, float(p)


def _shared_split(folders: Sequence[Path]) -> str:
    for split in ("test", "val"):
        if all((one / runs.EVALUATIONS / split / predictions.FILE).is_file() for one in folders):
            return split
    for folder in folders:
        runs.load(folder)
        own = folder / runs.EVALUATIONS
        there = [split for split in SPLITS if (own / split / predictions.FILE).is_file()]
        if "test" not in there:
            raise UserError(
                folder, f"was evaluated on {', '.join(there) or 'nothing'}, expected test, or val "
                "of all runs", _EVALUATE.format(folder, "test"),
            )  # fmt: skip
    raise UserError("--split", "the runs were evaluated on different splits", "name one")


def _load(folder: Path, split: str) -> Run:
    experiment = runs.load(folder)
    evaluation = folder / runs.EVALUATIONS / split
    cure = _EVALUATE.format(folder, split)
    if not (evaluation / predictions.FILE).is_file():
        raise UserError(evaluation / predictions.FILE, "not found", cure)
    said = predictions.read(evaluation / predictions.FILE)
    path = evaluation / runs.EVALUATION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cost = Cost(**content["cost"])
        class_set, data_version = content["class_set"], content["data_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(path, f"not what an evaluation writes: {error!r}", cure) from None
    return Run(
        name=folder.resolve().name,
        folder=folder,
        classes=experiment.classes,
        class_set=Path(class_set),
        data_version=data_version,
        predictions={one.path.rsplit(".", 1)[0]: one for one in said},
        cost=cost,
        epochs=runs.epochs(folder),
        best_epoch=int(experiment.result.get("best_epoch", 0)),
        settings=_settings(folder, experiment),
    )


def _settings(folder: Path, experiment: runs.Experiment) -> dict[str, str]:
    path = folder / runs.CONFIG
    try:
        config: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = str(error).replace("\n", " ")
        raise UserError(path, f"cannot be read: {problem}", "restore it") from None
    # Flags may have replaced what the config says of these.
    began = {
        "seed": str(experiment.seed),
        "data.directory": experiment.class_set,
        "model.weights": experiment.weights,
        "data version": experiment.data_version[:12],
    }
    return set_ups.of_tree(config, "") | began | set_ups.of_tree(experiment.versions, "versions")


def _result(run: Run, own: Sequence[Prediction], names: Sequence[str]) -> RunResult:
    right = np.array([one.is_right for one in own])
    in_five = sum(one.rank <= 5 for one in own)
    losses = -np.log(np.maximum([one.true_probability for one in own], 1e-12))
    of_class = np.array(names)
    return RunResult(
        run,
        Share.of(int(right.sum()), len(own)),
        Share.of(in_five, len(own)),
        float(losses.mean()),
        {name: float(right[of_class == name].mean()) for name in sorted(set(names))},
        _coverage(right, np.array([one.probabilities[0] for one in own])),
    )


def _coverage(right: np.ndarray, sureness: np.ndarray) -> list[tuple[float, float]]:
    """Accuracy on the surest 1%, 2%, … of the pictures (El-Yaniv and Wiener 2010)."""
    ordered = right[np.argsort(-sureness, kind="stable")]
    accuracy = np.cumsum(ordered) / np.arange(1, len(right) + 1)
    counts = np.unique(np.ceil(np.linspace(0.01, 1, 100) * len(right)).astype(int))
    return [(float(count / len(right)), float(accuracy[count - 1])) for count in counts]


def _differences(said: Sequence[Sequence[Prediction]], seed: int) -> list[Difference]:
    found = []
    for first, second in combinations(range(len(said)), 2):
        for metric, most in ((TOP_1, 1), (TOP_5, 5)):
            one, two = ([p.rank <= most for p in said[number]] for number in (first, second))
            interval, only_first, only_second, p = paired(one, two, seed)
            value = (only_second - only_first) / len(one)
            found.append(
                Difference(first, second, metric, value, interval, only_first, only_second, p)
            )
    return found


def _notes(
    given: Sequence[Run], said: Sequence[Sequence[Prediction]], shared: int
) -> Sequence[str]:
    notes = []
    counts = {run.name: len(run.predictions) for run in given}
    if set(counts.values()) != {shared}:
        listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
        notes.append(
            f"the runs were evaluated on different pictures: {listed}; compared on the {shared} "
            "that all have"
        )
    other = sum(len({own[n].sha256 for own in said}) > 1 for n in range(shared))
    if other:
        notes.append(
            f"{other} of the pictures are not the same file for all, as when backgrounds were cut "
            "away for some: the data differ as well as the models"
        )
    return notes
