"""The train command as typed, as far as it comes without TensorFlow."""

from pathlib import Path

import pytest

from roadmark.testing import app_process, small_records

PYTHON = Path(__file__).resolve().parent
CONFIG = f"--config={PYTHON.parent / 'configs' / 'quickstart.config'}"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param([], "--config", id="no config"),
        pytest.param(["--config=absent.config"], "absent.config", id="a config that is missing"),
        pytest.param([CONFIG, "--steps=0"], "--steps", id="no steps"),
        pytest.param([CONFIG, "--batch_size=two"], "--batch_size", id="a word for a number"),
        pytest.param([CONFIG, "--set=train_config.speed=2"], "speed", id="no such field"),
        pytest.param(
            [CONFIG, "--model_dir=data/records/label_map.pbtxt"],
            "label_map.pbtxt: ",
            id="a file for the model folder",
        ),
        pytest.param([CONFIG, "--model_dir=/sys/roadmark"], "/sys", id="a read-only model folder"),
    ],
)
def test_mistakes_are_answered_by_one_line(tmp_path, flags, expected):
    small_records.write(tmp_path / "data" / "records")
    done = app_process.run("train", tmp_path, *flags)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert not (tmp_path / "runs").exists()


def test_without_records_it_names_the_commands_that_make_them(tmp_path):
    done = app_process.run("train", tmp_path, CONFIG)
    assert done.returncode == 2
    assert done.stderr.startswith("error: data/records/train-*: no training records yet;")
    assert "bazel run //python:prepare" in done.stderr
    assert "bazel run //python:demo" in done.stderr
    assert list(tmp_path.iterdir()) == []
