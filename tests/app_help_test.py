"""Every command explains itself, quickly, and answers a wrong flag in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PYTHON = Path("WORKSPACE").resolve().parent / "python"
_APPS = sorted(path for path in _PYTHON.glob("*.py") if not path.name.endswith("_test.py"))


def _run(app, *arguments):
    return subprocess.run(
        [sys.executable, "-P", "-X", "importtime", str(app), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(_PYTHON), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_there_are_apps():
    assert "infer" in [app.stem for app in _APPS]


@pytest.mark.parametrize("app", _APPS, ids=lambda app: app.stem)
def test_help_teaches_by_example_without_loading_tensorflow(app):
    answer = _run(app, "--help")
    assert answer.returncode == 0
    assert f" run //python:{app.stem}" in answer.stdout
    assert "flags:" in answer.stdout
    assert " roadmark.app\n" in answer.stderr
    assert " tensorflow\n" not in answer.stderr, "--help imports TensorFlow"


@pytest.mark.parametrize("app", _APPS, ids=lambda app: app.stem)
def test_unknown_flag_is_one_line(app):
    answer = _run(app, "--no_such_flag")
    said = [line for line in answer.stderr.splitlines() if not line.startswith("import time:")]
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert len(said) == 1
    assert said[0].startswith("error: command line: ")
    assert "--help" in said[0]
