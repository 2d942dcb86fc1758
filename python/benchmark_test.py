"""The command's mistakes; what it measures is tested in roadmark.benchmark."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import benchmark

_SUITES = "ops, video, evaluate, train, latency, serve, cluster"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), f"error: command line: found no command; give one of: {_SUITES}\n"),
        (("audio",), f"error: command line: found 'audio'; give one of: {_SUITES}\n"),
        (("ops", "--csv=a"), "error: --csv: belongs to latency alone; leave it out\n"),
        (("video", "--trust"), "error: --trust: belongs to latency alone; leave it out\n"),
        (("video", "--model=a,b"), "error: --model: found several, which latency alone takes"),
        (("latency", "--batch_sizes=1,x"), "error: --batch_sizes: found 'x'; give numbers of 1"),
        (("latency", "--resolutions=big"), "error: --resolutions: found 'big'; give sides as 320"),
        (("latency", "--against=nowhere"), "error: nowhere: cannot be read (No such file"),
        (("ops", "--threads=0"), "error: --threads: found '0'; give numbers of 1 or more, as 1,2"),
        (
            ("ops", "--peers_python=nowhere/python"),
            "error: nowhere/python: the environment of the benchmark's peers is not here; run it "
            "by: ./bazelw run //python:benchmark, which fetches it\n",
        ),
    ],
    ids=[
        "no suite",
        "unknown suite",
        "flag of another suite",
        "trust in another suite",
        "two models",
        "batch",
        "resolution",
        "no other run",
        "threads",
        "no peers",
    ],
)
def test_a_mistake_is_one_line(arguments, says):
    done = subprocess.run(
        [sys.executable, "-P", Path(benchmark.__file__), *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1
