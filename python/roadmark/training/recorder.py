"""What a run measures, averaged over the steps between two rows."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from roadmark.training.metrics import MetricsFile
from roadmark.training.run_folder import RunFolder

TOTAL_LOSS = "total_loss"
LEARNING_RATE = "learning_rate"
STEPS_PER_SECOND = "steps_per_second"
DATA_WAIT = "data_wait_seconds"

SummaryWriter = Callable[[int, Mapping[str, float]], None]


class NotFiniteError(Exception):
    """A step with a value that is not a finite number.

    Args:
        step: The step, counted from 1.
        bad: What is not finite, in words.
        values: Every value of the step.
        before: Those of the step before, where they are still known.

    Attributes:
        step: As given.
        problem: All of it in one line.
    """

    def __init__(
        self,
        step: int,
        bad: list[str],
        values: Mapping[str, float],
        before: Mapping[str, float],
    ):
        super().__init__(step)
        self.step = step
        rate = f"learning rate {values[LEARNING_RATE]:.4g}"
        earlier = ", ".join(
            f"{name} {value:.4g}" for name, value in before.items() if name != LEARNING_RATE
        )
        self.problem = f"{', '.join(bad)} ({rate}{f'; the step before: {earlier}' * bool(earlier)})"


class Recorder:
    """Collects the values of steps and writes rows; a context manager.

    The values of a step stay where they were computed until a row is due, so that a GPU need not
    wait for Python after every step.

    Args:
        folder: Where `metrics.csv` goes.
        write_summary: Writes a row for TensorBoard too.
        step: Steps already done.

    Attributes:
        last: The last row written.
    """

    def __init__(self, folder: RunFolder, write_summary: SummaryWriter, step: int):
        self.last: dict[str, float] = {}
        self._path = folder.metrics
        self._write_summary = write_summary
        self._first_step = self._written = step
        self._file: MetricsFile | None = None
        self._rows: list[tuple[float, float]] = []
        self.begin_window()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def begin_window(self) -> None:
        """Starts the clock of the next row, without the steps that were taken in before."""
        self._values: list[Mapping[str, Any]] = []
        self._waited = 0.0
        self._start = time.perf_counter()

    def add(self, values: Mapping[str, Any], waited: float) -> None:
        """Takes in one step.

        Args:
            values: Scalars by name.
            waited: Seconds that the step waited for its batch.
        """
        self._values.append(values)
        self._waited += waited

    def write(self, step: int) -> list[dict[str, float]]:
        """Writes a row for the steps since the last one.

        Args:
            step: Steps done.

        Returns:
            The values of each of these steps.

        Raises:
            NotFiniteError: A value is not finite.
        """
        steps = [{name: float(value) for name, value in one.items()} for one in self._values]
        _check_finite(steps, self._written + 1)
        count = len(steps)
        self.last = {name: sum(one[name] for one in steps) / count for name in steps[0]}
        self.last[LEARNING_RATE] = steps[-1][LEARNING_RATE]
        self.last[STEPS_PER_SECOND] = count / (time.perf_counter() - self._start)
        self.last[DATA_WAIT] = self._waited / count
        if self._file is None:
            self._file = MetricsFile(self._path, list(self.last), self._first_step)
        self._file.write(step, self.last)
        self._write_summary(step, self.last)
        self._written = step
        self._rows.append((self._waited, time.perf_counter() - self._start))
        self.begin_window()
        return steps

    def waiting(self) -> float | None:
        """The share of the time that steps waited for their batches; None after one row or none.

        Without the first row, in which the input starts.
        """
        rows = self._rows[1:]
        return sum(waited for waited, _ in rows) / sum(taken for _, taken in rows) if rows else None


def _check_finite(steps: list[dict[str, float]], first: int) -> None:
    for number, values in enumerate(steps):
        bad = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        if bad:
            before = steps[number - 1] if number else {}
            raise NotFiniteError(first + number, bad, values, before)
