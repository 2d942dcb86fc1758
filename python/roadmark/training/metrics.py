"""`metrics.csv`: what training measured, a row now and then."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from roadmark import atomic
from roadmark.errors import UserError
from roadmark.evaluation.history import History

STEP = "step"
TRAINING, EVALUATIONS = "metrics.csv", "evaluations.csv"


class MetricsFile:
    """A CSV file that goes on where a resumed run goes on.

    Rows beyond the resumed step are from a part of the run that is done again: they are removed.

    Args:
        path: The file.
        columns: Names of the columns after `step`.
        resumed_step: Steps already done.
    """

    def __init__(self, path: Path, columns: Sequence[str], resumed_step: int):
        self._columns = [STEP, *columns]
        rows = [row for row in read(path) if int(row[STEP]) <= resumed_step]
        with atomic.atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
            writer = csv.DictWriter(stream, self._columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        self._stream = open(path, "a", newline="")  # noqa: SIM115 - closed by close
        self._writer = csv.DictWriter(self._stream, self._columns)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a row and hands it to the operating system."""
        self._writer.writerow({STEP: step} | {name: text(v) for name, v in values.items()})
        self._stream.flush()

    def close(self) -> None:
        """Makes sure that the rows are on the disk."""
        os.fsync(self._stream.fileno())
        self._stream.close()


def text(value: float) -> str:
    """A value as the file holds it."""
    return f"{value:.6g}"


def read(path: str | Path) -> list[dict[str, str]]:
    """The rows of a metrics file, none when there is no file.

    Raises:
        UserError: It is no text, or a row has no step.
    """
    path = Path(path)
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            # A row cut short by a crash ends early.
            rows = [row for row in csv.DictReader(stream) if None not in row.values()]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, str(error)) from None
    for row in rows:
        if not row.get(STEP, "").isdecimal():
            raise _damaged(path, f"a row with the step {row.get(STEP)!r}")
    return rows


def values(path: Path) -> list[tuple[int, dict[str, float]]]:
    """Step and values of each row, none when there is no file; what is empty is left out.

    Raises:
        UserError: As `read`, or a value is no number.
    """
    rows = []
    for row in read(path):
        try:
            numbers = {name: float(text) for name, text in row.items() if name != STEP and text}
        except ValueError as error:
            raise UserError(
                f"{path}: step {row[STEP]}", str(error), "correct it, or remove the file"
            ) from None
        rows.append((int(row[STEP]), numbers))
    return rows


def history(run: Path) -> History | None:
    """How the run of a folder went; None without a row."""
    training = values(run / TRAINING)
    if not training:
        return None
    return History(run.resolve().name, training, values(run / EVALUATIONS))


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(
        path, f"not the metrics of a run: {problem}", "remove it, or begin anew with --restart"
    )
