"""Training from records to checkpoints, at a tiny size: resumption, signals, restoring."""

import contextlib
import dataclasses
import functools
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from roadmark.data import tfrecord
from roadmark.errors import UserError
from roadmark.odapi import checkpoints, pipeline_config, target_assignment
from roadmark.ops import tensorflow_ops
from roadmark.testing import small_records, tiny_runs
from roadmark.training import loop, metrics, recipe
from roadmark.training.options import TrainOptions

ROOT = Path(__file__).resolve().parents[3]
STEPS = 20


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> TrainOptions:
    return tiny_runs.options(
        tmp_path_factory.mktemp("runs") / "whole", tmp_path_factory.mktemp("records"), steps=STEPS
    )


@pytest.fixture(scope="module")
def whole(options):
    return loop.train(options)


def _command(options: TrainOptions) -> list[str]:
    flags = [
        f"--{name}={getattr(options, name)}"
        for name in ("config", "train_records", "label_map", "model_dir", "steps", "batch_size")
    ]
    flags += [f"--set={override}" for override in options.overrides]
    return [sys.executable, "-P", str(ROOT / "python" / "train.py"), "--log_every=1", *flags]


def _wait_for_rows(run: Path, count: int) -> None:
    deadline = time.monotonic() + 300
    while len(metrics.read(run / "metrics.csv")) < count:
        assert time.monotonic() < deadline, "no metrics appeared"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def stopped(options, whole) -> tuple[TrainOptions, subprocess.CompletedProcess]:
    """A run that SIGTERM stopped, and its process."""
    part = dataclasses.replace(options, model_dir=whole.run.parent / "parts")
    process = subprocess.Popen(
        _command(part),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for_rows(part.model_dir, 3)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=300)
    return part, subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def test_a_run_leaves_what_the_other_commands_need(options, whole):
    assert (whole.step, whole.exit_code) == (STEPS, 0)
    assert [prefix.name for prefix in checkpoints.complete(whole.run)] == ["ckpt-10", "ckpt-20"]
    found = {path.name for path in whole.run.iterdir()}
    assert found == {
        "checkpoints",
        "label_map.pbtxt",
        "metrics.csv",
        "pipeline.config",
        "recipe.yaml",
        "tensorboard",
        "versions.json",
    }
    assert (whole.run / "label_map.pbtxt").read_text() == small_records.LABEL_MAP
    rows = metrics.read(whole.run / "metrics.csv")
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert {"localization_loss", "classification_loss", "regularization_loss"} < rows[0].keys()
    assert {"learning_rate", "gradient_norm", "steps_per_second"} < rows[0].keys()


def test_the_stock_tools_find_and_read_the_checkpoint(whole):
    import tensorflow as tf

    latest = tf.train.latest_checkpoint(str(checkpoints.folder(whole.run)))
    assert latest == str(whole.checkpoint)
    reader = tf.train.load_checkpoint(latest)
    names = reader.get_variable_to_shape_map()
    assert any(name.startswith("model/_feature_extractor/") for name in names)
    assert int(reader.get_tensor("step/.ATTRIBUTES/VARIABLE_VALUE")) == STEPS


def test_batch_norm_statistics_are_learnt(whole):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(whole.checkpoint))
    names = [
        name
        for name in reader.get_variable_to_shape_map()
        if "moving_mean" in name and name.startswith("model/")
    ]
    assert len(names) >= 30
    assert all(np.abs(reader.get_tensor(name)).max() > 0 for name in names)


def test_tensorboard_gets_every_value(whole):
    import tensorflow as tf

    (events,) = (whole.run / "tensorboard").iterdir()
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    assert tags == metrics.read(whole.run / "metrics.csv")[0].keys() - {"step"}


def test_sigterm_leaves_a_checkpoint_and_says_how_to_resume(stopped):
    options, process = stopped
    assert process.returncode == 143, process.stderr
    latest = checkpoints.latest(options.model_dir)
    assert f"stopped by SIGTERM after step {checkpoints.step_of(latest)}" in process.stdout
    assert f"{latest} is complete; repeat the command" in process.stdout
    assert "Traceback" not in process.stderr


def test_resumed_it_goes_on_like_an_uninterrupted_run(stopped, whole, capsys):
    options, _ = stopped
    stopped_at = checkpoints.latest(options.model_dir)
    resumed = loop.train(options)
    assert (resumed.step, resumed.exit_code) == (STEPS, 0)
    assert f"resuming {stopped_at}" in capsys.readouterr().out
    ours, theirs = (
        [float(row["total_loss"]) for row in metrics.read(run / "metrics.csv")]
        for run in (resumed.run, whole.run)
    )
    # Float sums depend on the threads' order, so the losses drift apart slowly.
    np.testing.assert_allclose(ours, theirs, rtol=0.01)


def test_the_same_seed_gives_the_same_weights(stopped, whole):
    # Of the first step: all losses are nearly the same before anything is learnt.
    ours, theirs = (
        float(metrics.read(run / "metrics.csv")[0]["gradient_norm"])
        for run in (stopped[0].model_dir, whole.run)
    )
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_finished_run_is_left_alone(options, whole, capsys):
    again = loop.train(options)
    assert (again.step, again.checkpoint, again.metrics) == (STEPS, whole.checkpoint, {})
    assert "give more --steps, or --restart" in capsys.readouterr().out


@pytest.fixture(scope="module")
def changed(options, whole) -> tuple[Path, str]:
    """Two steps of a run with much that is not as in the whole one, and what was said."""
    other = dataclasses.replace(
        options,
        model_dir=whole.run.parent / "changed",
        steps=2,
        checkpoint_every=1,
        fine_tune_checkpoint=str(whole.run),
        native_target_assignment=False,
        show_inputs=2,
        overrides=(
            *tiny_runs.OVERRIDES,
            "model.ssd.num_classes=5",
            "train_config.fine_tune_checkpoint_type=full",
            "train_config.freeze_variables=['WeightShared']",
            "recipe.weather.fog=1",
        ),
    )
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
        patch.setattr(target_assignment, "use_native_op", lambda model: pytest.fail("asked for"))
        assert loop.train(other).step == 2
    return other.model_dir, said.getvalue()


def test_fine_tuning_tells_what_fitted(changed, whole):
    _, told = changed
    assert f"{whole.checkpoint}: restored" in told
    (mismatch,) = [line for line in told.splitlines() if "another shape: " in line]
    assert "ClassHead (2 variables, such as (" in mismatch


_BY_GRAPH = "targets are assigned by the OD API's graph"
_ASSIGNED = ("localization", "classification")


def test_with_the_op_turned_off_nothing_is_said(changed):
    _, told = changed
    assert _BY_GRAPH not in told, "it was asked for"


def test_without_the_op_a_line_says_so_and_the_graph_gives_the_same_losses(
    options, whole, monkeypatch, capsys, tmp_path
):
    absent = functools.partial(tensorflow_ops.load.__wrapped__, tmp_path / "absent.so")
    monkeypatch.setattr(tensorflow_ops, "load", absent)
    run = loop.train(dataclasses.replace(options, model_dir=tmp_path / "run", steps=1)).run
    by_graph, by_op = (
        [float(metrics.read(folder / "metrics.csv")[0][f"{kind}_loss"]) for kind in _ASSIGNED]
        for folder in (run, whole.run)
    )
    np.testing.assert_allclose(by_graph, by_op, rtol=1e-5)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if _BY_GRAPH in line]
    assert line.startswith(f"{_BY_GRAPH}: {tmp_path}/absent.so: the ops cannot be read")
    assert line.endswith("bazel build //python/roadmark/ops:tensorflow_ops")


def _untrained(run: Path, *overrides: str):
    from roadmark.odapi import models, train_step

    config = pipeline_config.override(pipeline_config.load(run / "pipeline.config"), overrides)
    model = models.build(config, is_training=False)
    train_step.build_variables(model)
    return model


def test_weights_are_restored_for_inference(whole):
    import tensorflow as tf

    model = _untrained(whole.run)
    assert checkpoints.restore_for_inference(model, whole.run) == whole.checkpoint
    reader = tf.train.load_checkpoint(str(whole.checkpoint))
    stored = {
        reader.get_tensor(name).tobytes()
        for name in reader.get_variable_to_shape_map()
        if name.startswith("model/")
    }
    assert all(weight.numpy().tobytes() in stored for weight in model.trainable_variables)


def _is_backbone_alone(found: checkpoints.Restored, model: Any) -> None:
    backbone = model._feature_extractor.classification_backbone
    assert len(found.matched) == found.total == len(backbone.variables) > 30
    assert not any("WeightShared" in name or "FeatureMaps" in name for name in found.matched)


def test_a_checkpoint_of_another_model_is_refused_but_for_its_backbone(whole):
    wider = _untrained(whole.run, "model.ssd.feature_extractor.depth_multiplier=0.5")
    with pytest.raises(UserError, match="a checkpoint of another model") as raised:
        checkpoints.fine_tune(wider, whole.run, "detection")
    assert str(raised.value).startswith(str(whole.checkpoint))
    more_classes = _untrained(whole.run, "model.ssd.num_classes=5")
    _is_backbone_alone(
        checkpoints.fine_tune(more_classes, whole.run, "classification"), more_classes
    )
    with pytest.raises(UserError, match=r"a checkpoint of another model.* 2 have another shape"):
        checkpoints.restore_for_inference(more_classes, whole.run)


def test_a_full_disk_leaves_the_earlier_checkpoints(options, whole, tmp_path):
    import tensorflow as tf

    checkpoint = tf.train.Checkpoint(weights=tf.Variable(tf.zeros([1000])))
    kept = checkpoints.save(checkpoint, tmp_path, step=1, keep=3)
    # What a full disk does, without needing one: writing past 2 kB fails.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with pytest.raises(UserError, match="step 2 could not be written"):
            checkpoints.save(checkpoint, tmp_path, step=2, keep=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert checkpoints.complete(tmp_path) == [kept]
    assert {path.name for path in kept.parent.iterdir()} == {
        "checkpoint",
        "ckpt-1.data-00000-of-00001",
        "ckpt-1.index",
        "ckpt-1.sha256",
    }


def test_frozen_variables_stay_as_they_are(changed):
    import tensorflow as tf

    run, told = changed
    (line,) = [line for line in told.splitlines() if "stay as they" in line]
    names = [name for name, _ in tf.train.list_variables(str(checkpoints.latest(run)))]
    first, second = (tf.train.load_checkpoint(str(one)) for one in checkpoints.complete(run))
    kernels = [name for name in names if "kernel" in name and ".OPTIMIZER_SLOT" not in name]
    moved = [name for name in kernels if (first.get_tensor(name) != second.get_tensor(name)).any()]
    assert 0 < len(kernels) - len(moved) <= int(line.split()[0])


def test_weather_and_the_sheet_of_inputs(changed):
    run, told = changed
    assert f"what the network sees: {run}/inputs.jpg" in told
    assert (run / "inputs.jpg").stat().st_size > 1000
    assert recipe.load(run / "recipe.yaml").weather.fog == 1


def test_a_loss_that_is_not_finite_names_and_keeps_its_records(options, tmp_path):
    wild = dataclasses.replace(
        options,
        model_dir=tmp_path,
        overrides=(
            *options.overrides,
            f"{tiny_runs.RATE}.learning_rate_base=1e30",
            f"{tiny_runs.RATE}.warmup_learning_rate=1e30",
        ),
        check_learning_rate=False,
        log_every=5,
    )
    with pytest.raises(UserError, match=r"^training step \d+: .* is (nan|inf)") as error:
        loop.train(wild)
    message = str(error.value)
    assert "(learning rate 9." in message or "(learning rate 1e+30" in message
    assert message.count(": record ") == options.batch_size
    (kept,) = (tmp_path / "not_finite").iterdir()
    assert str(kept) in message
    assert len(list(tfrecord.scan(kept))) == options.batch_size


def test_a_damaged_checkpoint_is_passed_over(options, whole, tmp_path, capsys):
    shutil.copytree(whole.run, tmp_path / "run")
    (data,) = (tmp_path / "run" / "checkpoints").glob("ckpt-20.data-*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    again = loop.train(dataclasses.replace(options, model_dir=tmp_path / "run"))
    assert again.step == STEPS
    said = capsys.readouterr().out
    assert f"{data}: not as it was written; this checkpoint is passed over" in said
    assert f"resuming {tmp_path}/run/checkpoints/ckpt-10" in said
    assert checkpoints.newest_intact(tmp_path / "run") == (again.checkpoint, [])


def test_an_image_that_cannot_be_decoded_is_named(options, tmp_path):
    def cut(image):
        return dataclasses.replace(image, encoded=image.encoded[:40])

    records = small_records.write(tmp_path / "records", change=cut)
    damaged = dataclasses.replace(
        options, train_records=f"{records}/train-*", model_dir=tmp_path / "run"
    )
    with pytest.raises(UserError, match="cannot be decoded") as raised:
        loop.train(damaged)
    assert ".tfrecord: record" in str(raised.value)


def _check_tracked(result, place):
    client = MlflowClient(place)
    known = json.loads((result.run / "tracking.json").read_text())["mlflow"]
    for name, file in (("total_loss", "metrics.csv"), ("eval/total_loss", "evaluations.csv")):
        found = {one.step: one.value for one in client.get_metric_history(known, name)}
        rows = {int(row["step"]): row["total_loss"] for row in metrics.read(result.run / file)}
        assert {step: metrics.text(value) for step, value in found.items()} == rows
    assert client.get_run(known).data.params["batch_size"] == "2"


def test_it_evaluates_as_it_goes(options, whole, capsys, monkeypatch):
    """Every 8 steps and at the end; the weights that are trained do not notice, a tracker does.

    A profile is written meanwhile.
    """
    place = (whole.run.parent / "mlruns").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    validated = dataclasses.replace(
        options,
        model_dir=whole.run.parent / "validated",
        eval_records=options.train_records,
        eval_every=8,
        eval_subset=2,
        best_by="total_loss",
        track="mlflow",
        profile=True,
    )
    result = loop.train(validated)
    (trace,) = (result.run / "tensorboard").glob("plugins/profile/*/*.xplane.pb")
    assert trace.stat().st_size > 1000
    _check_tracked(result, place)
    rows = metrics.read(result.run / "evaluations.csv")
    assert [int(row["step"]) for row in rows] == [8, 16, STEPS]
    losses = {int(row["step"]): float(row["total_loss"]) for row in rows}
    best = min(losses, key=losses.get)
    assert result.best == result.run / "best" / f"ckpt-{best}"
    said = capsys.readouterr().out
    assert f"step {STEPS}: total_loss {losses[STEPS]:.4f}" in said
    assert re.search(r"^steps waited for data \d+\.\d% of their time$", said, re.MULTILINE)
    assert f"profile of steps 11 to {STEPS}: tensorboard --logdir={result.run}" in said
    ours, theirs = (
        [float(row["total_loss"]) for row in metrics.read(run / "metrics.csv")]
        for run in (result.run, whole.run)
    )
    np.testing.assert_allclose(ours, theirs, rtol=0.01)

    (result.run / "evaluations.csv").unlink()
    again = loop.train(validated)
    assert (again.step, again.metrics) == (STEPS, {})
    (row,) = metrics.read(result.run / "evaluations.csv")
    assert float(row["total_loss"]) == pytest.approx(losses[STEPS], rel=1e-4)


def test_it_stops_early(options, whole, capsys):
    impatient = dataclasses.replace(
        options,
        model_dir=whole.run.parent / "impatient",
        eval_records=options.train_records,
        eval_every=1,
        eval_subset=1,
        # An untrained model finds nothing, so nothing gets better.
        best_by="AP75",
        patience=2,
    )
    stopped = loop.train(impatient)
    assert stopped.stopped_early
    assert 2 <= stopped.step < STEPS
    again = loop.train(dataclasses.replace(impatient, steps=STEPS))
    assert (again.step, again.stopped_early) == (stopped.step, True)
    assert "stopped early" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"best_by": "map"}, "--best_by: found 'map'; choose one of mAP"),
        ({"overrides": ("recipe.accumulate=3",)}, "2 images cannot be shared out evenly among 3"),
        (
            {
                "overrides": (
                    *tiny_runs.OVERRIDES,
                    "recipe.ema=0.9",
                    "train_config.optimizer.use_moving_average=true",
                )
            },
            "recipe.ema: found 0.9, but the config has optimizer.use_moving_average",
        ),
        (
            {"overrides": ("recipe.mosaic=1", "train_input_reader.load_instance_masks=true")},
            "recipe.mosaic: it mixes pictures and boxes, but train_input_reader has load_instance",
        ),
        (
            {"overrides": ("recipe.pruning.sparsity=0.5", "recipe.pruning.end=0.1")},
            "recipe.pruning.end: found 0.1, which is not after begin, 0.25",
        ),
        ({"patience": 3}, "--patience: found 3, but nothing is evaluated in this run"),
        ({"eval_every": 5, "eval_records": "no/val-*"}, "no/val-*"),
    ],
    ids=[
        "metric",
        "parts of a batch",
        "two averages",
        "masks in a mosaic",
        "pruning that ends before it begins",
        "patience without evaluations",
        "no evaluation records",
    ],
)
def test_what_cannot_be_done_is_refused(options, tmp_path, changes, message):
    refused = dataclasses.replace(options, model_dir=tmp_path / "run", **changes)
    with pytest.raises(UserError) as error:
        loop.train(refused)
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()
