"""`predictions.csv`: what a classifier said of each picture of a split. Needs no Keras."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadmark import atomic
from roadmark.classification.class_set import Entry
from roadmark.errors import UserError

FILE = "predictions.csv"
_GUESSES = 5
_COLUMNS = ("path", "sha256", "class", "rank", "true_probability")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What was said of one picture.

    Attributes:
        path: Relative to the folder of the class set.
        sha256: Of the picture's file.
        class_name: The true one.
        rank: Place of the true class among the guesses, from 1.
        true_probability: Of the true class.
        guesses: The likeliest classes, five at most.
        probabilities: Theirs.
    """

    path: str
    sha256: str
    class_name: str
    rank: int
    true_probability: float
    guesses: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def is_right(self) -> bool:
        """Whether the first guess is."""
        return self.rank == 1


def of(
    entries: Sequence[Entry], probabilities: np.ndarray, classes: Sequence[str]
) -> list[Prediction]:
    """What a model said.

    Args:
        entries: The pictures.
        probabilities: float32 `[N, classes]`.
        classes: Names of the columns.
    """
    # Stable, so that of equal probabilities the lower id counts as the better guess, as in argmax.
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return [
        Prediction(
            entry.path,
            entry.sha256,
            entry.class_name,
            1 + int(np.flatnonzero(places == entry.class_id)[0]),
            float(row[entry.class_id]),
            tuple(classes[number] for number in places[:_GUESSES]),
            tuple(float(row[number]) for number in places[:_GUESSES]),
        )
        for entry, row, places in zip(entries, probabilities, order, strict=True)
    ]


def write(path: Path, predictions: Sequence[Prediction]) -> None:
    """Writes them, a row each, with as many pairs of guess and probability as there are."""
    count = max((len(one.guesses) for one in predictions), default=0)
    pairs = [f"{name}_{n}" for n in range(1, count + 1) for name in ("guess", "probability")]
    with (
        atomic.atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow((*_COLUMNS, *pairs))
        for one in predictions:
            said = zip(one.guesses, one.probabilities, strict=True)
            writer.writerow(
                (
                    one.path, one.sha256, one.class_name, one.rank, f"{one.true_probability:.7g}",
                    *(cell for guess, value in said for cell in (guess, f"{value:.7g}")),
                )
            )  # fmt: skip


def read(path: Path) -> list[Prediction]:
    """Reads them.

    Raises:
        UserError: There is no such file, or it is damaged; names the line.
    """
    cure = "make it with: bazel run //python:classify -- evaluate --model=RUN"
    found: list[Prediction] = []
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            rows = csv.reader(stream)
            heads = tuple(next(rows, ()))
            if heads[: len(_COLUMNS)] != _COLUMNS:
                raise UserError(path, f"found the columns {', '.join(heads)}", cure)
            for row in rows:
                fixed, said = row[: len(_COLUMNS)], row[len(_COLUMNS) :]
                probabilities = tuple(float(cell) for cell in said[1::2])
                found.append(
                    Prediction(
                        fixed[0], fixed[1], fixed[2], int(fixed[3]), float(fixed[4]),
                        tuple(said[0::2]), probabilities,
                    )
                )  # fmt: skip
    except FileNotFoundError:
        raise UserError(path, "not found, expected a classifier's predictions", cure) from None
    except (ValueError, IndexError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}:{len(found) + 2}", f"cannot be read: {error}", cure) from None
    return found
