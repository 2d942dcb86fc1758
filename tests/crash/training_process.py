"""A tiny training run that notes a hash of every batch: RUN RECORDS HASHES STEPS [TRUNCATE_AT].

HASHES gets a line `step,hash` before each step. TRUNCATE_AT is a step before which the last file of
the records is cut in the middle.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

from roadmark import app
from roadmark.testing import tiny_runs
from roadmark.training import loop

EVERY = 5


def main(arguments: list[str]) -> int:
    """Trains as the arguments say."""
    run, records, hashes = map(Path, arguments[:3])
    steps, *truncate_at = map(int, arguments[3:])
    from roadmark.odapi import train_step

    take = train_step.TrainStep.__call__
    with open(hashes, "a", buffering=1) as stream:

        def noting(self: Any, features: Any, labels: Any) -> Any:
            step = int(self._step.numpy()) + 1
            stream.write(f"{step},{_hash(features, labels)}\n")
            if step in truncate_at:
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


if __name__ == "__main__":
    # absl takes flags alone.
    given, sys.argv[1:] = sys.argv[1:], []
    app.run(lambda: main(given))
