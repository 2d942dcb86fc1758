"""Every command explains itself, quickly, and answers a wrong flag in one line."""

from pathlib import Path

import pytest

from roadmark.testing import app_process

_CHECKOUT = Path("WORKSPACE").resolve().parent / "python"
_APPS = sorted(path.stem for path in Path("python").glob("*.py"))


def _run(app: str, *arguments: str):
    return app_process.run(app, Path.cwd(), *arguments, python=["-X", "importtime"])


def test_no_app_is_left_out():
    names = {path.stem for path in _CHECKOUT.glob("*.py") if not path.stem.endswith("_test")}
    assert set(_APPS) == names


@pytest.mark.parametrize("app", _APPS)
def test_help_teaches_by_example_without_loading_tensorflow(app):
    answer = _run(app, "--help")
    assert answer.returncode == 0
    assert f" run //python:{app}" in answer.stdout
    assert "flags:" in answer.stdout
    assert " roadmark.app\n" in answer.stderr
    assert " tensorflow\n" not in answer.stderr, "--help imports TensorFlow"


@pytest.mark.parametrize("app", _APPS)
def test_unknown_flag_is_one_line(app):
    answer = _run(app, "--no_such_flag")
    said = [line for line in answer.stderr.splitlines() if not line.startswith("import time:")]
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert len(said) == 1
    assert said[0].startswith("error: command line: ")
    assert "--help" in said[0]
