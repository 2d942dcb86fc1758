"""What a SageMaker container runs, on a folder tree as SageMaker lays it out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.odapi import checkpoints
from roadmark.serving import sagemaker_serving, sagemaker_training
from roadmark.testing import app_process, small_records, tiny_runs

_APP = Path(__file__).with_name("sagemaker.py")
_CONFIGS = tiny_runs.ROOT / "configs"


def _lay_out(root: Path, channels=("records",), **parameters) -> Path:
    config = root / "input/config/hyperparameters.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps(parameters))
    for name in channels:
        (root / "input/data" / name).mkdir(parents=True)
    return root


def test_folders_and_parameters_become_flags(tmp_path):
    root = _lay_out(
        tmp_path,
        ("records", "config", "checkpoint"),
        steps="200",
        sagemaker_program='"x.py"',
        set='["a.b=1", "c.d=[x y]"]',
        best_by='"AP50"',
    )
    data = root / "input/data"
    (data / "records/val-0").touch()
    (data / "config/mine.config").touch()
    (data / "config/mine.yaml").touch()
    assert sagemaker_training.read(root, _CONFIGS).flags == (
        f"--config={data}/config/mine.config",
        f"--train_records={data}/records/train-*",
        f"--label_map={data}/records/label_map.pbtxt",
        f"--model_dir={root}/checkpoints",
        f"--eval_records={data}/records/val-*",
        f"--recipe={data}/config/mine.yaml",
        f"--fine_tune_checkpoint={data}/checkpoint",
        "--best_by=AP50",
        "--set=a.b=1",
        "--set=c.d=[x y]",
        "--steps=200",
    )


@pytest.mark.parametrize(
    ("channels", "parameters", "says"),
    [
        (["train"], {"config": "quickstart"}, "channel 'records': missing, found train; expected"),
        ([], {"config": "quickstart"}, "channel 'records': missing, found no channel; expected"),
        (["records"], {}, "hyper-parameter 'config': found 0 in channel 'config' and none named"),
        (["records"], {"config": "fast"}, "hyper-parameter 'config': found 'fast'; choose one of"),
        (["records"], {"config": "quickstart", "model_dir": "x"}, "'model_dir': comes from the"),
        (["records"], {"config": "quickstart", "set": "[a"}, "'set': found '[a', no JSON"),
    ],
)
def test_a_mistake_is_one_line_and_the_failure_file_has_it(tmp_path, channels, parameters, says):
    root = _lay_out(tmp_path, channels, **parameters)
    with pytest.raises(UserError) as error:
        sagemaker_training.run(root, _CONFIGS)
    assert says in str(error.value)
    assert (root / "output/failure").read_text() == str(error.value)


def test_broken_parameters_are_one_line(tmp_path):
    root = _lay_out(tmp_path)
    (root / "input/config/hyperparameters.json").write_text("[1]")
    with pytest.raises(UserError, match=r"hyperparameters.json: no JSON object"):
        sagemaker_training.read(root, _CONFIGS)


def test_what_train_refuses_is_the_failure(tmp_path):
    """The command as SageMaker gives it: exit code and failure file are those of train."""
    root = _lay_out(tmp_path, config="quickstart", stepz="1")
    done = app_process.run("sagemaker", tmp_path, "train", f"--root={root}")
    assert done.returncode == 2
    assert "stepz" in (root / "output/failure").read_text()
    assert not (root / "model").exists()


def test_a_job_that_is_interrupted_goes_on_and_leaves_a_model(tmp_path):
    """As on a spot machine: SIGTERM, then the same container on another machine."""
    root = _lay_out(
        tmp_path,
        config="quickstart",
        steps="400",
        batch_size="2",
        checkpoint_every="1",
        eval_every="0",
        set=json.dumps(tiny_runs.OVERRIDES),
    )
    small_records.write(root / "input/data/records", count=7)
    first = subprocess.Popen(
        [sys.executable, "-P", str(_APP), "train", f"--root={root}"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while checkpoints.latest(root / "checkpoints") is None:
        assert first.poll() is None, first.stderr.read()
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    _, errors = first.communicate()
    assert first.returncode == 143, errors
    assert not (root / "output/failure").exists()
    done = checkpoints.step_of(checkpoints.latest(root / "checkpoints"))
    parameters = root / "input/config/hyperparameters.json"
    # So that the second machine need not train 400 steps.
    parameters.write_text(parameters.read_text().replace('"400"', f'"{done + 1}"'))
    second = app_process.run("sagemaker", tmp_path, "train", f"--root={root}", timeout_s=600)
    assert second.returncode == 0, second.stderr
    assert f"ckpt-{done}" in second.stdout
    assert checkpoints.step_of(checkpoints.latest(root / "checkpoints")) == done + 1
    assert (root / "model/export/manifest.json").exists()
    assert sagemaker_serving.command(root)[3] == f"--model={root}/model/export"


@pytest.mark.parametrize("models", [0, 2])
def test_a_model_folder_without_one_model_is_one_line(tmp_path, models):
    for number in range(models):
        (tmp_path / f"model/{number}").mkdir(parents=True)
        (tmp_path / f"model/{number}/manifest.json").touch()
    done = app_process.run("sagemaker", tmp_path, "serve", f"--root={tmp_path}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/model: found {models} exported models")


def test_the_port_is_sagemakers(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/manifest.json").touch()
    monkeypatch.setenv(sagemaker_serving.PORT, "9000")
    assert "--port=9000" in sagemaker_serving.command(tmp_path)
    monkeypatch.setenv(sagemaker_serving.PORT, "http")
    with pytest.raises(UserError, match="found 'http', expected a port"):
        sagemaker_serving.command(tmp_path)
