"""//python:train on a cluster of two workers, one of which is killed: the run comes to its end."""

import json
import threading
import time
from pathlib import Path

import psutil
import pytest
import ray.cluster_utils

from roadmark.odapi import checkpoints
from roadmark.testing import app_process, tiny_runs
from roadmark.training import metrics

_STEPS, _KILLED_AFTER = 60, 12
_WAIT_S = 800


@pytest.fixture
def address():
    cluster = ray.cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    yield cluster.address
    cluster.shutdown()


def _second_worker(run: Path) -> psutil.Process | None:
    """The process that trains as worker 2, or None as long as there is none."""
    for process in psutil.process_iter():
        try:
            config = process.environ().get("TF_CONFIG")
            is_of_run = f"--model_dir={run}" in process.cmdline()
        except psutil.Error:
            continue
        if is_of_run and config and json.loads(config)["task"]["index"] == 1:
            return process
    return None


def _kill_second_worker(run: Path, killed: list[int]) -> None:
    """Waits until a second worker has trained for some steps, and kills it."""
    end, process = time.monotonic() + _WAIT_S, None
    while time.monotonic() < end:
        time.sleep(0.01)
        process = process or _second_worker(run)
        if process and len(metrics.read(run / "metrics.csv")) >= _KILLED_AFTER:
            process.kill()
            killed.append(process.pid)
            return


def test_a_run_survives_the_loss_of_a_worker(tmp_path, address):
    run, killed = tmp_path / "run", []
    options = tiny_runs.options(run, tmp_path / "records", _STEPS)
    killer = threading.Thread(target=_kill_second_worker, args=(run, killed), daemon=True)
    killer.start()
    answer = app_process.run(
        "train",
        tmp_path,
        f"--cluster={address}",
        "--workers=2",
        "--cpus_per_worker=1",
        f"--config={options.config}",
        f"--train_records={options.train_records}",
        f"--label_map={options.label_map}",
        f"--model_dir={run}",
        f"--steps={_STEPS}",
        "--batch_size=4",
        "--checkpoint_every=5",
        "--log_every=1",
        "--eval_every=0",
        "--nocheck_learning_rate",
        *(f"--set={one}" for one in options.overrides),
        timeout_s=_WAIT_S,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert killed
    assert "worker 2 of 2 ended with signal 9" in answer.stdout
    assert "going on from the last checkpoint (begun 1 of 3)" in answer.stdout
    assert checkpoints.step_of(checkpoints.latest(run)) == _STEPS
    # No step is missing, and what was done again is there once.
    steps = [int(row["step"]) for row in metrics.read(run / "metrics.csv")]
    assert steps == list(range(1, _STEPS + 1))
