"""Tiny training runs that note a hash of every batch, each in a process that can be killed.

A process that has imported TensorFlow, and run nothing, is forked for each: importing costs more
than a short run. It reads a line of JSON for each run: `folder`, `life`, `steps`, `errors` (a file
for stderr), and if they are to be, `truncate_at` (a step before which the last file of the records
is cut in the middle) and `most_bytes` (that a file may have). It answers with the process id, and
to an empty line with the exit code.

FOLDER/hashes-LIFE.csv gets a line `step,hash` before each step.
"""

import hashlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from roadmark import app
from roadmark.testing import tiny_runs
from roadmark.training import loop

EVERY = 5


def train(
    folder: str, life: int, steps: int, truncate_at: int | None = None, most_bytes: int = 0
) -> int:
    """Trains in the way that a line describes; gives the exit code."""
    from roadmark.odapi import train_step

    run, records = Path(folder, "run"), Path(folder, "records")
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    take = train_step.TrainStep.__call__
    with open(Path(folder, f"hashes-{life}.csv"), "a", buffering=1) as stream:

        def noting(self: Any, features: Any, labels: Any) -> Any:
            step = int(self._step.numpy()) + 1
            stream.write(f"{step},{_hash(features, labels)}\n")
            if step == truncate_at:
                last = sorted(records.glob("train-*"))[-1]
                with open(last, "r+b") as file:
                    file.truncate(last.stat().st_size // 2)
            return take(self, features, labels)

        train_step.TrainStep.__call__ = noting
        result = loop.train(
            tiny_runs.options(run, records, steps, checkpoint_every=EVERY, keep_checkpoints=3)
        )
    return result.exit_code


def _hash(*batch: Any) -> str:
    import tensorflow as tf

    digest = hashlib.sha256()
    for tensor in tf.nest.flatten(batch):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _be(errors: str, **asked: Any) -> None:
    """Becomes the process of one run."""
    for path, stream in (("/dev/null", sys.stdin), ("/dev/null", sys.stdout), (errors, sys.stderr)):
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(file, stream.fileno())
        os.close(file)
    app.run(lambda: train(**asked))


def serve() -> None:
    """Forks for each line of stdin."""
    import roadmark.training.session  # noqa: F401 - what takes long

    process = 0
    for line in sys.stdin:
        if not line.strip():
            _, status = os.waitpid(process, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        process = os.fork()
        if process == 0:
            _be(**json.loads(line))
        print(process, flush=True)


if __name__ == "__main__":
    serve()
