"""Trackers: what they get, that a resumed run goes on there, and that none can hold up a run."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from mlflow.tracking import MlflowClient

from roadmark.training import tracking
from roadmark.training.tracking import MLFLOW, WANDB, TrackedRun, Tracker


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A busy machine is no server that is away.
    monkeypatch.setattr(tracking, "_PATIENCE_S", 120.0)
    monkeypatch.setattr(tracking, "_INIT_TIMEOUT_S", 120.0)
    # What W&B keeps of a user.
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    folder = tmp_path / "night"
    folder.mkdir()
    return TrackedRun(folder, {"steps": "20"})


def _track(kind, run, *rows):
    with tracking.tracked(kind, run) as write:
        for step, values in rows:
            write(step, values)


def test_mlflow_gets_parameters_and_metrics_and_a_resumed_run_goes_on(run, tmp_path, capsys):
    _track(MLFLOW, run, (10, {"total_loss": 0.5, "eval/mAP": 0.125}))
    _track(MLFLOW, run, (20, {"total_loss": 0.25}))
    assert capsys.readouterr().err == ""
    client = MlflowClient((tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("roadmark")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "night"
    assert found.info.status == "FINISHED"
    assert found.data.params == {"steps": "20"}
    history = client.get_metric_history(found.info.run_id, "total_loss")
    assert [(one.step, one.value) for one in history] == [(10, 0.5), (20, 0.25)]
    assert found.data.metrics["eval/mAP"] == 0.125


def test_wandb_keeps_a_run_offline(run, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "offline")
    _track(WANDB, run, (10, {"total_loss": 0.5, "eval/mAP": 0.015625}))
    assert capsys.readouterr().err == ""
    (written,) = run.folder.glob("wandb/offline-run-*/run-*.wandb")
    data = written.read_bytes()
    parts = (b"total_loss", b"eval/mAP", b"0.015625", b"night")
    assert not [part for part in parts if part not in data]
    known = json.loads((run.folder / "tracking.json").read_text())
    assert known == {WANDB: written.stem.removeprefix("run-")}


def test_no_tracker_writes_nothing(run, tmp_path):
    _track(None, run, (10, {"total_loss": 0.5}))
    assert set(tmp_path.rglob("*")) == {run.folder, tmp_path / "home"}


def test_a_server_that_refuses_is_one_warning(run, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    _track(MLFLOW, run, *((step, {"total_loss": 1.0}) for step in range(5)))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: --track=mlflow: ")
    assert "the run goes on without it" in line


def test_wandb_without_a_key_asks_for_none(run, monkeypatch, capsys):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    _track(WANDB, run, (1, {"total_loss": 1.0}))
    (line,) = capsys.readouterr().err.splitlines()
    assert "No API key configured" in line


def test_a_server_that_never_answers_holds_up_nothing(run, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        tracker = Tracker(MLFLOW, lambda: tracking._Mlflow(run), patience_s=0.2)
        begun = time.monotonic()
        with tracker:
            for step in range(3 * tracking._ROWS):
                tracker.write(step, {"total_loss": 1.0})
        # Of what the request itself would wait, 10 s and twice again.
        assert time.monotonic() - begun < 8
    (line,) = capsys.readouterr().err.splitlines()
    assert "no answer for 0.2 s at the end of the run" in line


class _Slow:
    """A tracker that takes a row only when it is let."""

    def __init__(self):
        self.rows, self.let = [], threading.Event()

    def write(self, step, values):
        self.let.wait()
        self.rows.append((step, values))

    def end(self):
        self.rows.append("end")


def test_a_slow_tracker_gets_what_fits_and_the_rest_is_counted(capsys):
    slow = _Slow()
    with Tracker("slow", lambda: slow, patience_s=120.0) as tracker:
        for step in range(tracking._ROWS + 50):
            tracker.write(step, {"loss": 1.0})
        slow.let.set()
    assert slow.rows[0] == (0, {"loss": 1.0})
    assert slow.rows[-1] == "end"
    # One more may have been on its way.
    left_out = tracking._ROWS + 50 - (len(slow.rows) - 1)
    assert 49 <= left_out <= 50
    assert f"{left_out} rows were left out" in capsys.readouterr().err


_OFF = """
import sys
from pathlib import Path
from roadmark.training import tracking
for kind in ("mlflow", "wandb"):
    with tracking.tracked(kind, tracking.TrackedRun(Path(sys.argv[1]), {})):
        pass
from mlflow.telemetry.utils import is_telemetry_disabled
from wandb import env
print(is_telemetry_disabled(), env.error_reporting_enabled())
"""


def test_the_libraries_report_nothing_of_their_users(run):
    """In a process of its own: MLflow does not report from under pytest anyway."""
    known = ("PYTEST_", "MLFLOW_", "WANDB_", "CI", "GITHUB_ACTIONS", "DO_NOT_TRACK")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(known)}
    done = subprocess.run(
        [sys.executable, "-c", _OFF, str(run.folder)],
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path), "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True False\n"
