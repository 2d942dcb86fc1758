"""Searches over a program that leaves what `train` leaves: stopping, resuming, ranking, failures.

The real thing, `train` itself, is //python:tune_test.
"""

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.tuning import searching, space
from roadmark.tuning.searching import Options

_STEPS = (10, 20, 30, 40)
# Takes train's flags; mAP is `goal` in the end, and it goes on where its folder says.
_PROGRAM = """
import os, pathlib, sys, time
flags = dict(part.lstrip("-").split("=", 1) for part in sys.argv[1:])
name, value = flags["set"].rsplit("=", 1)
run = pathlib.Path(flags["model_dir"])
if value == "bad":
    sys.exit("error: the loss is not finite")
file = run / "evaluations.csv"
done = len(file.read_text().splitlines()) - 1 if file.exists() else 0
with open(run / "starts", "a") as starts:
    starts.write(f"{done} {os.getpid()}\\n")
(run / "pipeline.config").write_text(f"# {value}")
(run / "recipe.yaml").write_text("accumulate: 1")
with open(file, "a") as rows:
    if not done:
        rows.write("step,mAP\\n")
    for step in (10, 20, 30, 40)[done:]:
        time.sleep(float(flags["pause"]))
        while step > 10 and pathlib.Path("wait").exists():
            time.sleep(0.05)
        rows.write(f"{step},{float(value) * step / 40}\\n")
        rows.flush()
"""


def options(folder, *choices, trials, pause=0.05, **changes):
    program = folder / "program.py"
    program.write_text(_PROGRAM)
    (field,) = space.parse([f"goal=choice({','.join(choices)})"])
    given = {
        "searches": (field,),
        "command": (str(program), f"--pause={pause}"),
        "metric": "mAP",
        "last": _STEPS[-1],
        "eval_every": _STEPS[0],
        "trials": trials,
        "parallel": 1,
        "seed": 0,
        "cluster": None,
        "out": folder / "search",
    }
    return Options(**given | changes)


def test_ranks_stops_the_worse_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = options(tmp_path, "0.1", "0.4", "0.8", "bad", trials=4)
    ranked = searching.search(asked)
    assert len(ranked) == 4
    values = [one.value for one in ranked if not one.failure]
    assert values == sorted(values, reverse=True)
    assert ranked[0].fields == {"goal": "0.8"}
    assert (ranked[0].value, ranked[0].step, ranked[0].reached) == (0.8, 40, 40)
    failed = [one for one in ranked if one.failure]
    assert failed
    assert all("the loss is not finite" in one.failure for one in failed)
    assert (tmp_path / "search" / "best.config").read_text() == "# 0.8"
    assert (tmp_path / "search" / "best_recipe.yaml").read_text() == "accumulate: 1"
    written = json.loads((tmp_path / "search" / "results.json").read_text())
    assert written[0]["value"] == 0.8
    starts = {path: path.read_text() for path in Path("search/runs").glob("*/starts")}

    # The same command again finds everything done.
    again = searching.search(asked)
    assert [one.value for one in again if not one.failure] == values
    assert {path: path.read_text() for path in Path("search/runs").glob("*/starts")} == starts

    with pytest.raises(UserError, match="began with other seed"):
        searching.search(options(tmp_path, "0.1", "0.4", "0.8", "bad", trials=4, seed=1))


_SEARCH = """
import pickle, sys
from roadmark.tuning import searching
searching.search(pickle.load(sys.stdin.buffer))
"""


def _starts(run):
    lines = (run / "starts").read_text().splitlines()
    return [tuple(map(int, line.split())) for line in lines]


def _until(done, what):
    end = time.monotonic() + 250
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_killed_it_leaves_no_trial_behind_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = options(tmp_path, "0.4", trials=1)
    wait = tmp_path / "wait"  # for the kill, with the second evaluation
    wait.touch()
    run = asked.out / "runs" / "00000"
    killed = subprocess.Popen(
        [sys.executable, "-c", _SEARCH],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    killed.stdin.write(pickle.dumps(asked))
    killed.stdin.close()
    file = run / "evaluations.csv"
    try:
        _until(lambda: file.exists() and file.read_text().count("\n") > 1, "no evaluation")
    finally:
        killed.kill()
        killed.wait()
    ((_, process),) = _starts(run)
    _until(lambda: not Path(f"/proc/{process}/exe").exists(), "the trial went on by itself")
    wait.unlink()
    (found,) = searching.search(asked)
    assert (found.value, found.reached) == (0.4, 40)
    assert [first for first, _ in _starts(run)] == [0, 1]


def test_no_trial_that_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no trial came to an evaluation: .*not finite"):
        searching.search(options(tmp_path, "bad", trials=1))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        pytest.param("127.0.0.1:1", "refused", id="nobody listens"),
        pytest.param("127.0.0.1", "HOST:PORT", id="no port"),
    ],
)
def test_no_cluster(tmp_path, monkeypatch, address, why):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"--cluster={address}: cannot be reached: .*{why}"):
        searching.search(options(tmp_path, "0.1", trials=1, cluster=address))
