"""What a training run survives: being killed at any moment, a full disk, a damaged record.

KILLS says how often the run is killed, TRUNCATED at which step a record is cut short; 20 times and
step 500 are `//tests/crash:crash_long_test`, whose last result is `docs/results/crash.md`.
"""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roadmark.odapi import checkpoints
from roadmark.testing import small_records
from roadmark.training import metrics

HERE = Path(__file__).resolve().parent
KILLS = int(os.environ.get("KILLS", "3"))
TRUNCATED = int(os.environ.get("TRUNCATED", "7"))
EVERY = 5
# Compared after each resumption, and so the least distance between two kills.
FOLLOWED = 20
STEPS = (FOLLOWED + 2 * EVERY) * (KILLS + 1)


class Trainers:
    """Starts processes that train, one at a time."""

    def __init__(self):
        self._server = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "training_process.py")],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, **asked: object) -> int:
        """The process id."""
        return self._ask(json.dumps(asked))

    def wait(self) -> int:
        """The exit code of the one that was started last, negative for a signal."""
        return self._ask("")

    def _ask(self, line: str) -> int:
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def end(self) -> None:
        self._server.stdin.close()
        self._server.wait()


@pytest.fixture(scope="module")
def trainers():
    found = Trainers()
    yield found
    found.end()


class Run:
    """A run folder, and the processes that train into it one after the other."""

    def __init__(self, trainers: Trainers, folder: Path, steps: int):
        self.folder, self.run, self.records = folder, folder / "run", folder / "records"
        self._trainers, self._steps = trainers, steps
        small_records.write(self.records, count=7)

    def start(self, life: int, **further: int) -> int:
        return self._trainers.start(
            folder=str(self.folder),
            life=life,
            steps=self._steps,
            errors=str(self._errors(life)),
            **further,
        )

    def wait(self, life: int) -> tuple[int, str]:
        return self._trainers.wait(), self._errors(life).read_text()

    def finish(self, life: int, **further: int) -> tuple[int, str]:
        self.start(life, **further)
        return self.wait(life)

    def _errors(self, life: int) -> Path:
        return self.folder / f"errors-{life}.txt"

    def hashes(self, life: int) -> Path:
        return self.folder / f"hashes-{life}.csv"

    def batches(self, life: int) -> dict[int, str]:
        with open(self.hashes(life), newline="") as stream:
            # The last line may be cut short by the kill.
            return {int(row[0]): row[1] for row in csv.reader(stream) if len(row) == 2}

    def losses(self) -> dict[int, float]:
        rows = metrics.read(self.run / "metrics.csv")
        return {int(row["step"]): float(row["total_loss"]) for row in rows}


@pytest.fixture(scope="module")
def whole(trainers, tmp_path_factory) -> Run:
    """An uninterrupted run."""
    run = Run(trainers, tmp_path_factory.mktemp("whole"), STEPS)
    code, errors = run.finish(0)
    assert code == 0, errors
    return run


def _kill(process: int, run: Run, life: int, step: int, delay: float) -> int:
    """Kills a process some time after it began a step; gives the last step that it began."""
    while True:
        begun = max(run.batches(life), default=0) if run.hashes(life).exists() else 0
        if begun >= step:
            break
        assert Path(f"/proc/{process}/exe").exists(), run.wait(life)
        time.sleep(0.01)
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)
    assert run.wait(life)[0] == -signal.SIGKILL
    return max(run.batches(life))


def test_killed_at_any_moment_it_goes_on_like_an_uninterrupted_run(whole, trainers, tmp_path):
    moments = random.Random(5)
    run, table, resumed = Run(trainers, tmp_path, STEPS), [], 0
    for life in range(KILLS + 1):
        process = run.start(life)
        if life < KILLS:
            wanted = resumed + FOLLOWED + moments.randrange(1, 2 * EVERY)
            begun = _kill(process, run, life, wanted, moments.random() * 0.1)
        else:
            code, errors = run.wait(life)
            assert code == 0, errors
            begun = STEPS
        # Every batch of this life is the one of the uninterrupted run.
        batches, expected = run.batches(life), whole.batches(0)
        assert min(batches) == resumed + 1
        assert batches == {step: expected[step] for step in batches}
        losses, others = run.losses(), whole.losses()
        followed = [step for step in range(resumed + 1, resumed + FOLLOWED + 1) if step in losses]
        assert len(followed) >= FOLLOWED - 1
        apart = max(abs(losses[step] - others[step]) / others[step] for step in followed)
        assert apart < 1e-3
        if life < KILLS:
            found, damaged = checkpoints.newest_intact(run.run)
            # Those of the steps that were done, but for the one that may have been under way.
            due = (begun - 1) // EVERY * EVERY
            assert checkpoints.step_of(found) >= due - EVERY, "a checkpoint was lost"
            assert not damaged
            table.append((life + 1, begun, checkpoints.step_of(found), len(batches), apart))
            resumed = checkpoints.step_of(found)
        else:
            table.append(("-", begun, STEPS, len(batches), apart))
    _report(table)


def _report(table: list[tuple]) -> None:
    folder = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if folder is None:
        return
    lines = [
        "| kill | in step | resumed from | batches equal | losses apart |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {k} | {b} | {r} | {n} of {n} | {a:.1e} |" for k, b, r, n, a in table]
    Path(folder, "crash.md").write_text("\n".join(lines) + "\n")


def test_a_full_disk_during_a_checkpoint_costs_that_one_alone(trainers, tmp_path):
    run = Run(trainers, tmp_path, 2 * EVERY)
    # The small files fit, the checkpoint does not.
    code, errors = run.finish(0, most_bytes=100_000)
    assert code == 2, errors
    assert f"the checkpoint of step {EVERY} could not be written" in errors
    assert "Traceback" not in errors
    assert checkpoints.complete(run.run) == []
    code, errors = run.finish(1)
    assert code == 0, errors
    assert run.batches(0) == {step: run.batches(1)[step] for step in range(1, EVERY + 1)}


def test_a_record_that_is_cut_short_during_the_run_is_named(trainers, tmp_path):
    run = Run(trainers, tmp_path, TRUNCATED + 53)
    code, errors = run.finish(0, truncate_at=TRUNCATED)
    assert code == 2, errors
    last = sorted(run.records.glob("train-*"))[-1]
    assert f"error: {last}: record" in errors
    assert "Traceback" not in errors
    assert checkpoints.step_of(checkpoints.latest(run.run)) >= (TRUNCATED - 1) // EVERY * EVERY
