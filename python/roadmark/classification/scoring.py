"""What a classifier's probabilities are worth: accuracies with intervals, confusions. No Keras."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95
_MOST_PAIRS = 20


@dataclasses.dataclass(frozen=True)
class Share:
    """A share of pictures with its binomial interval.

    Attributes:
        value: Right ones over all.
        right: Their number.
        total: Number of pictures.
        low: Of the interval that holds the true share in 95 of 100 samples (Wilson 1927).
        high: Likewise.
    """

    value: float
    right: int
    total: int
    low: float
    high: float

    @classmethod
    def of(cls, right: int, total: int) -> "Share":
        """The share of `right` in `total`, which must be 1 or more."""
        interval = stats.binomtest(right, total).proportion_ci(LEVEL, method="wilson")
        return cls(right / total, right, total, float(interval.low), float(interval.high))

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f}, {self.right} of {self.total})"


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two classes of which the first is taken for the second.

    Attributes:
        true: Class id.
        taken_for: Class id.
        count: How often.
        total: Pictures of the first.
        indices: Of these pictures, the surest mistakes first.
    """

    true: int
    taken_for: int
    count: int
    total: int
    indices: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Scores:
    """What there is to say about one set of predictions.

    Attributes:
        accuracy: Of the first guess.
        top_5: How often the class is among the first five.
        loss: Mean cross-entropy, in nats.
        chance: Accuracy of always guessing the most frequent class.
        confusion: int `[classes, classes]`, rows are true.
        per_class: scikit-learn's report by class name: precision, recall, F1, support.
        pairs: The most frequent confusions.
    """

    accuracy: Share
    top_5: Share
    loss: float
    chance: float
    confusion: np.ndarray
    per_class: dict[str, dict[str, float]]
    pairs: tuple[Pair, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        names = list(self.per_class)
        return {
            "accuracy": dataclasses.asdict(self.accuracy),
            "top_5_accuracy": dataclasses.asdict(self.top_5),
            "loss": self.loss,
            "chance": self.chance,
            "confusion": self.confusion.tolist(),
            "most_confused": [
                {"class": names[p.true], "taken_for": names[p.taken_for], "count": p.count}
                for p in self.pairs
            ],
            "per_class": self.per_class,
        }


def score(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Scores:
    """Judges predictions.

    Args:
        probabilities: float32 `[N, classes]`.
        labels: int `[N]`, class ids from 0; N is 1 or more.
        classes: Their names.
    """
    from sklearn import metrics  # Takes a second.

    guesses = probabilities.argmax(axis=1)
    numbers = list(range(len(classes)))
    report = metrics.classification_report(
        labels, guesses, labels=numbers, target_names=list(classes), output_dict=True,
        zero_division=0,
    )  # fmt: skip
    confusion = metrics.confusion_matrix(labels, guesses, labels=numbers)
    true_probability = probabilities[np.arange(len(labels)), labels]
    # Stable, so that of equal probabilities the lower id counts as the better guess, as in argmax.
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    in_five = int((order == labels[:, None]).any(axis=1).sum())
    return Scores(
        accuracy=Share.of(int((guesses == labels).sum()), len(labels)),
        top_5=Share.of(in_five, len(labels)),
        loss=float(-np.log(np.maximum(true_probability, 1e-12)).mean()),
        chance=float(np.bincount(labels).max() / len(labels)),
        confusion=confusion,
        per_class={name: report[name] for name in classes},
        pairs=_pairs(confusion, probabilities, labels, guesses),
    )


def _pairs(
    confusion: np.ndarray, probabilities: np.ndarray, labels: np.ndarray, guesses: np.ndarray
) -> tuple[Pair, ...]:
    wrong = confusion - np.diag(np.diag(confusion))
    places = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
    pairs = []
    for true, taken_for in zip(*np.unravel_index(places, wrong.shape), strict=True):
        if not wrong[true, taken_for]:
            break
        indices = np.flatnonzero((labels == true) & (guesses == taken_for))
        surest = indices[np.argsort(-probabilities[indices, taken_for], kind="stable")]
        total = int(confusion[true].sum())
        pairs.append(Pair(int(true), int(taken_for), len(indices), total, tuple(map(int, surest))))
    return tuple(pairs)


def to_text(scores: Scores) -> str:
    """A table for the terminal."""
    width = max(len(name) for name in scores.per_class)
    lines = [f"{'class':<{width}}  precision  recall      F1  pictures"]
    lines += [
        f"{name:<{width}}  {row['precision']:>9.4f}  {row['recall']:>6.4f}  {row['f1-score']:>6.4f}"
        f"  {row['support']:>8.0f}"
        for name, row in scores.per_class.items()
    ]
    lines += [
        f"top-1 accuracy {scores.accuracy}",
        f"top-5 accuracy {scores.top_5}",
        f"cross-entropy {scores.loss:.4f}, chance {scores.chance:.4f}, intervals of {LEVEL:.0%}",
    ]
    if scores.accuracy.low <= scores.chance:
        lines.append("not shown to be better than chance, which lies in the interval or above it")
    if not math.isfinite(scores.loss):
        lines.append("the cross-entropy is no number: the model is broken")
    return "\n".join(lines) + "\n"
