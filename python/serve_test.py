"""What //python:serve answers to mistakes, before it serves anything."""

import socket
from pathlib import Path

import pytest

from roadmark.testing import app_process

EXPORT = Path("tests/models/quickstart/export").resolve()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "make one with: bazel run //python:demo"),
        (["--model=nowhere"], "nowhere/manifest.json: not found"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, says):
    answer = app_process.run("serve", tmp_path, "--port=0", *arguments)
    assert answer.returncode == 2
    assert says in answer.stderr
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = app_process.run("serve", tmp_path, f"--model={EXPORT}", f"--port={port}")
    assert answer.returncode == 2
    assert f"--port={port}" in answer.stderr
    assert "Address already in use" in answer.stderr
