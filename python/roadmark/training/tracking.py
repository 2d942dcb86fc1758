"""What a run measures, sent to a tracker of experiments: MLflow or Weights & Biases.

Off unless asked for. Rows go into a queue that a thread of its own empties, so that a server which
is slow or away neither slows nor stops a run: when the queue is full, rows are left out, and what
goes wrong is one warning. `metrics.csv` and TensorBoard have everything anyway.

Where to, and as whom, say the libraries' own variables: `MLFLOW_TRACKING_URI` (`mlruns` in the
current folder by default) and `MLFLOW_EXPERIMENT_NAME`; `WANDB_MODE`, `WANDB_PROJECT` and their
like. What the libraries report of their users is switched off.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from roadmark import atomic

MLFLOW, WANDB = "mlflow", "wandb"
STATE = "tracking.json"
"""The file in a run folder that says which run of the tracker it is."""
_PROJECT = "roadmark"
_ROWS = 1000
_PATIENCE_S = 15.0
_INIT_TIMEOUT_S = 30.0
# No reports of the user's doings; and no request of an hour, as MLflow's are by themselves.
_SETTINGS = {
    MLFLOW: {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_ALLOW_FILE_STORE": "true",
    },
    # Silent, it does not ask for a key on the terminal either.
    WANDB: {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"},
}


@dataclasses.dataclass(frozen=True)
class TrackedRun:
    """The run as a tracker shows it.

    Attributes:
        folder: The run folder, whose name the run gets; it keeps the tracker's id of the run, so
            that a resumed run goes on in the same place.
        parameters: What it was trained with.
    """

    folder: Path
    parameters: Mapping[str, str]

    def known_id(self, kind: str) -> str | None:
        """The tracker's id of a run that is resumed."""
        try:
            return json.loads((self.folder / STATE).read_text(encoding="utf-8")).get(kind)
        except (OSError, ValueError, AttributeError):
            return None

    def keep_id(self, kind: str, found: str) -> None:
        """Notes the tracker's id of the run."""
        atomic.write_text(self.folder / STATE, json.dumps({kind: found}) + "\n")


class Writer(Protocol):
    """A tracker that is reached; its calls may take long and fail."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Sends the values of a step."""

    def end(self) -> None:
        """Sends what is left, and that the run has ended."""


class Tracker:
    """Hands rows to a writer, beside the run; a context manager.

    Args:
        name: Of the tracker, for the warning.
        begin: Reaches the tracker.
        patience_s: How long the end of the run waits for it.
    """

    def __init__(self, name: str, begin: Callable[[], Writer], patience_s: float):
        self._name, self._begin, self._patience_s = name, begin, patience_s
        self._rows: queue.Queue[tuple[int, dict[str, float]] | None] = queue.Queue(_ROWS)
        self._left_out, self._has_failed = 0, threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *exception: object) -> None:
        deadline = time.monotonic() + self._patience_s
        with contextlib.suppress(queue.Full):
            self._rows.put(None, timeout=self._patience_s)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._has_failed.is_set():
            return
        if self._thread.is_alive():
            self._has_failed.set()
            self._warn(f"no answer for {self._patience_s:g} s at the end of the run")
        elif self._left_out:
            self._warn(f"slower than the run: {self._left_out} rows were left out")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Takes a row; waits for nothing and raises nothing.

        Args:
            step: Steps done.
            values: Scalars by name.
        """
        if self._has_failed.is_set():
            return
        try:
            self._rows.put_nowait((step, dict(values)))
        except queue.Full:
            self._left_out += 1

    def _run(self) -> None:
        try:
            writer = self._begin()
            while (row := self._rows.get()) is not None:
                writer.write(*row)
            writer.end()
        except Exception as error:  # Whatever the library or its server does.
            if self._has_failed.is_set():
                return
            self._has_failed.set()
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            self._warn(reason[:200])

    def _warn(self, reason: str) -> None:
        print(
            f"warning: --track={self._name}: {reason}; the run goes on without it, metrics.csv "
            "and TensorBoard have all of it",
            file=sys.stderr,
            flush=True,
        )


def tracked(
    kind: str | None, run: TrackedRun
) -> contextlib.AbstractContextManager[Callable[[int, Mapping[str, float]], None]]:
    """Tracks a run.

    Args:
        kind: `MLFLOW`, `WANDB`, or None for no tracker.
        run: The run.

    Returns:
        A context manager that gives a function of steps done and scalars by name.
    """
    return contextlib.nullcontext(_drop) if kind is None else _tracking(kind, run)


def _drop(step: int, values: Mapping[str, float]) -> None:
    del step, values


@contextlib.contextmanager
def _tracking(kind: str, run: TrackedRun) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    for name, value in _SETTINGS[kind].items():
        os.environ.setdefault(name, value)
    # Seconds of work, which are not to count as a server's.
    importlib.import_module(kind)
    with Tracker(kind, lambda: _WRITERS[kind](run), _PATIENCE_S) as tracker:
        yield tracker.write


class _Mlflow:
    """A run in MLflow, by its client, which has no state of its own."""

    def __init__(self, run: TrackedRun):
        from mlflow import entities
        from mlflow.tracking import MlflowClient

        self._metric = entities.Metric
        place = os.environ.get("MLFLOW_TRACKING_URI") or Path("mlruns").absolute().as_uri()
        self._client = MlflowClient(place)
        self._id = run.known_id(MLFLOW) or self._new(run)

    def _new(self, run: TrackedRun) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _PROJECT
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        begun = self._client.create_run(experiment, run_name=run.folder.name).info.run_id
        for key, value in run.parameters.items():
            self._client.log_param(begun, key, value)
        run.keep_id(MLFLOW, begun)
        return begun

    def write(self, step: int, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def end(self) -> None:
        self._client.set_terminated(self._id)


class _Wandb:
    """A run in Weights & Biases."""

    def __init__(self, run: TrackedRun):
        import wandb

        self._teardown = wandb.teardown
        known = run.known_id(WANDB)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or _PROJECT,
            name=run.folder.name,
            dir=str(run.folder),
            id=known,
            resume="allow" if known else None,
            config=dict(run.parameters),
            settings=wandb.Settings(
                console="off",
                disable_git=True,
                disable_code=True,
                init_timeout=_INIT_TIMEOUT_S,
            ),
        )
        run.keep_id(WANDB, self._run.id)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def end(self) -> None:
        self._run.finish()
        # Its process beside ours has written all when it has ended, and not before.
        self._teardown()


_WRITERS: dict[str, Callable[[TrackedRun], Writer]] = {MLFLOW: _Mlflow, WANDB: _Wandb}
