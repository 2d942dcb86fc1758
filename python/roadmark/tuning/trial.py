"""A trial of a search: a `train` run in a process of its own, watched by a Ray worker."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune

from roadmark.training import metrics, placing
from roadmark.training.metrics import STEP
from roadmark.tuning import space

RUNS = "runs"
LOG = "train.log"
EVALUATIONS = "evaluations.csv"

_WAIT_S = 0.5
# A run writes a checkpoint when it is asked to stop.
_STOPPING_S = 120


class Trial(tune.Trainable):
    """One run; every step of Ray's is an evaluation of it.

    The run's folder is all its state: a trial that is restored repeats its command, which resumes
    the run, and reports the evaluations that are in the folder again.
    """

    def setup(self, config: Mapping[str, Any]) -> None:
        """Starts training.

        Args:
            config: `fields`, the value of each searched field; `command`, of `train` without
                these and without the run folder; `folder`, to run it in; `out`, of the search;
                `last`, the last step; `metric`.
        """
        self._last, self._metric = config["last"], config["metric"]
        self._seen, self._values = 0, {STEP: 0, self._metric: math.nan}
        self._run = folder(config["out"], name_of(self))
        self._run.mkdir(parents=True, exist_ok=True)
        self._log = open(self._run / LOG, "ab")  # noqa: SIM115 - cleanup closes it
        fields = [f"--set={space.assigned(*pair)}" for pair in sorted(config["fields"].items())]
        self._process = subprocess.Popen(
            [sys.executable, *config["command"], *fields, f"--model_dir={self._run}"],
            cwd=config["folder"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
            # Else it would train on, beside the one that takes its place.
            preexec_fn=placing.end_with_parent,
        )

    def step(self) -> dict[str, Any]:
        """Waits for the next evaluation.

        Raises:
            RuntimeError: The run failed; its own words.
        """
        while True:
            ended = self._process.poll() is not None
            rows = metrics.read(self._run / EVALUATIONS)
            if len(rows) > self._seen:
                row = rows[self._seen]
                self._seen += 1
                self._values = {
                    STEP: int(row[STEP]),
                    self._metric: float(row.get(self._metric) or math.nan),
                }
                return {**self._values, "done": self._values[STEP] >= self._last}
            if ended and self._process.returncode:
                raise RuntimeError(_last_line(self._run / LOG))
            if ended:
                return {**self._values, "done": True}
            time.sleep(_WAIT_S)

    def cleanup(self) -> None:
        """Ends the run, with a checkpoint, when it is no longer wanted."""
        if self._values[STEP] < self._last:
            self._process.terminate()
        try:
            self._process.wait(_STOPPING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, int]:
        """Nothing that the run's folder does not hold."""
        del checkpoint_dir
        return {STEP: self._values[STEP]}

    def load_checkpoint(self, checkpoint: Any) -> None:
        """See `save_checkpoint`."""


def name_of(trial: Any) -> str:
    """The number of a trial in its search, which Ray's `trial_id` ends with."""
    return trial.trial_id.split("_")[-1]


def folder(out: str, name: str) -> Path:
    """The run folder of a trial."""
    return Path(out) / RUNS / name


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
