"""Batches that are shared out, among processes, devices or in parts, have whole ones' gradients.

And a process that is lost is told by the other.
"""

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from roadmark.errors import UserError
from roadmark.odapi import checkpoints
from roadmark.testing import tiny_runs
from roadmark.training import cluster, loop, metrics
from roadmark.training.cluster import Cluster
from roadmark.training.options import TrainOptions

ROOT = Path(__file__).resolve().parents[3]
# Followed; when the worker is killed; in all.
COMPARED, KILLED, STEPS = 20, 22, 25
BATCH = 4
_OPTIMIZER = "train_config.optimizer.momentum_optimizer"
# Where nothing depends on which other pictures a worker has.
HALVED = (
    "model.ssd.loss.classification_weight=0.5",
    "model.ssd.loss.localization_weight=0.5",
)
ALIKE = (
    "train_config.data_augmentation_options=[]",
    "model.ssd.freeze_batchnorm=true",
    "model.ssd.feature_extractor.conv_hyperparams.batch_norm.train=false",
    "model.ssd.normalize_loss_by_num_matches=false",
    f"{_OPTIMIZER}.learning_rate.constant_learning_rate.learning_rate=1e-6",
)


def _options(folder: Path, name: str, *overrides: str) -> TrainOptions:
    return tiny_runs.options(
        folder / name,
        folder / "records",
        STEPS,
        batch_size=BATCH,
        checkpoint_every=10,
        keep_checkpoints=STEPS,
        check_learning_rate=False,
        overrides=(*ALIKE, *overrides),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def devices() -> list[str]:
    """Two that stand for GPUs; made before TensorFlow computes anything in this process."""
    from roadmark.training import session  # noqa: F401 - the door before TensorFlow
    import tensorflow as tf  # isort: skip

    (processor,) = tf.config.list_physical_devices("CPU")
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(processor, [half, half])
    return [device.name for device in tf.config.list_logical_devices("CPU")]


@pytest.fixture(scope="module")
def alone(folder, devices) -> Path:
    """One process with the whole batch; the losses are sums, which workers average."""
    del devices
    options = _options(folder, "alone", *HALVED)
    loop.train(dataclasses.replace(options, steps=1))
    return loop.train(options).run


def _start(options: TrainOptions) -> list[subprocess.Popen]:
    sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
    addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    names = (
        "config",
        "train_records",
        "eval_records",
        "label_map",
        "model_dir",
        "steps",
        "batch_size",
        "checkpoint_every",
        "keep_checkpoints",
        "log_every",
        "eval_every",
        "eval_subset",
        "best_by",
        "check_learning_rate",
    )
    given = {name: getattr(options, name) for name in names}
    flags = [f"--{name}={value}" for name, value in given.items() if value is not None]
    flags += [f"--set={override}" for override in options.overrides]
    return [
        subprocess.Popen(
            [sys.executable, "-P", str(ROOT / "python" / "train.py"), *flags],
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(sys.path),
                "TF_CONFIG": json.dumps(
                    {
                        "cluster": {"worker": addresses},
                        "task": {"type": "worker", "index": index},
                    }
                ),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


@pytest.fixture(scope="module")
def together(folder) -> tuple[Path, int, str]:
    """Two workers: a step and an evaluation, then more until one is killed.

    Gives their run, and how the other one ended: its code and what it said.
    """
    options = _options(folder, "together")
    validated = dataclasses.replace(
        options,
        steps=1,
        eval_records=options.train_records,
        eval_every=1,
        eval_subset=1,
        best_by="total_loss",
    )
    for process in _start(validated):
        _, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors
    chief, other = _start(dataclasses.replace(options, steps=10_000))
    while len(metrics.read(options.model_dir / "metrics.csv")) < KILLED:
        assert chief.poll() is None, chief.stderr.read()
        time.sleep(0.01)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    _, errors = chief.communicate(timeout=500)
    return options.model_dir, chief.returncode, errors


def test_the_other_one_ends_with_a_line(together):
    _, code, errors = together
    assert code == 2, errors
    (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: worker 1 of 2: another worker cannot be reached")
    assert line.endswith("repeat the command on every worker to resume")
    assert "Traceback" not in errors


def test_the_first_step_has_the_gradients_of_one_process(alone, together):
    import tensorflow as tf

    found = []
    for run in (alone, together[0]):
        reader = tf.train.load_checkpoint(str(checkpoints.folder(run) / "ckpt-1"))
        slots = [name for name in reader.get_variable_to_shape_map() if "/momentum/" in name]
        # After one step each is the gradient times the learning rate.
        found.append(np.concatenate([reader.get_tensor(name).ravel() for name in sorted(slots)]))
    ours, theirs = found
    assert len(ours) > 10_000
    assert np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) < 1e-5


def _columns(run: Path, first: int, last: int) -> list[list[float]]:
    rows = [row for row in metrics.read(run / "metrics.csv") if first <= int(row["step"]) <= last]
    assert len(rows) == last - first + 1
    return [[float(row[name]) for name in ("total_loss", "gradient_norm")] for row in rows]


def test_the_losses_of_twenty_steps_are_those_of_one_process(alone, together):
    ours, theirs = (_columns(run, 1, COMPARED) for run in (together[0], alone))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_the_chief_alone_writes(together):
    run = together[0]
    events = list((run / "tensorboard").glob("events*"))
    assert len(events) == 2, "one for each time it was started"
    steps = {checkpoints.step_of(prefix) for prefix in checkpoints.complete(run)}
    assert steps >= {1, 10, 20}
    assert not list(run.rglob("*writing*"))
    (row,) = metrics.read(run / "evaluations.csv")
    assert row["step"] == "1"
    assert [path.name for path in (run / "best").glob("*.index")] == ["ckpt-1.index"]


def test_what_is_left_is_gone_on_with_by_one_process(folder, alone, together, tmp_path):
    run = shutil.copytree(together[0], tmp_path / "run")
    checkpoint, damaged = checkpoints.newest_intact(run)
    assert not damaged
    done = checkpoints.step_of(checkpoint)
    resumed = loop.train(
        dataclasses.replace(
            _options(folder, "together", *HALVED), model_dir=run, steps=max(STEPS, done + 1)
        )
    )
    assert resumed.step > done
    ours, theirs = (_columns(one, COMPARED + 1, STEPS) for one in (run, alone))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_a_batch_in_parts_has_the_gradients_of_a_whole_one(folder, alone):
    """The parts' losses are averaged as the workers' are."""
    options = dataclasses.replace(_options(folder, "parts", "recipe.accumulate=2"), steps=1)
    ours, theirs = (_columns(run, 1, 1) for run in (loop.train(options).run, alone))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_devices_of_one_process_have_the_gradients_of_one_device(
    folder, alone, devices, monkeypatch
):
    import tensorflow as tf

    from roadmark.training import session

    assert len(devices) == 2
    mirrored = tf.distribute.MirroredStrategy(devices)
    monkeypatch.setattr(session, "_strategy", lambda *_: mirrored)
    options = dataclasses.replace(_options(folder, "mirrored"), steps=1, show_inputs=2)
    run = loop.train(options).run
    np.testing.assert_allclose(_columns(run, 1, 1), _columns(alone, 1, 1), rtol=1e-4)
    assert (run / "inputs.jpg").stat().st_size > 1000
    assert [checkpoints.step_of(one) for one in checkpoints.complete(run)] == [1]


@pytest.mark.parametrize(
    ("config", "changes", "says"),
    [
        ("{", {}, "TF_CONFIG: found '{', no cluster of chief and workers"),
        (("ps", 0), {}, "no cluster of chief and workers with a task in it"),
        (("worker", 2), {}, "no cluster of chief and workers with a task in it"),
        (("worker", 0), {"restart": True}, "--restart: not with 3 workers"),
        (("worker", 0), {"patience": 1}, "--patience: not with 3 workers"),
        (("worker", 0), {}, "4 images cannot be shared out evenly among 3 workers"),
    ],
    ids=["no JSON", "a parameter server", "no such task", "restart", "patience", "batch size"],
)
def test_what_workers_cannot_do_is_refused(folder, tmp_path, monkeypatch, config, changes, says):
    if isinstance(config, tuple):
        members = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
        config = json.dumps({"cluster": members, "task": {"type": config[0], "index": config[1]}})
    monkeypatch.setenv("TF_CONFIG", config)
    options = dataclasses.replace(_options(folder, "refused"), **changes)
    with pytest.raises(UserError) as error:
        loop.train(options)
    assert says in str(error.value)


def test_the_chief_is_the_first_of_all(monkeypatch):
    members = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps({"cluster": members, "task": {"type": "worker", "index": 1}})
    )
    assert cluster.here() == Cluster(workers=3, index=2)
    monkeypatch.delenv("TF_CONFIG")
    assert cluster.here() == Cluster(workers=1, index=0)
