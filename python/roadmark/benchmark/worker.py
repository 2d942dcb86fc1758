"""A contender's process: holds its inputs, and runs or times one call at a time.

    python -m roadmark.benchmark.worker

Reads requests from standard input and answers them on standard output, one JSON object per line:
`contender.py` is the other end. What libraries print goes to standard error. It runs in the peers'
environment too, so it needs NumPy and the standard library alone.
"""

import importlib
import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.benchmark import timing


class _Contest:
    """The function that is timed at the moment."""

    def prepare(self, function: str, arrays: str, options: dict[str, Any], threads: int) -> None:
        module, name = function.split(":")
        inputs = {path.stem: np.load(path) for path in sorted(Path(arrays).glob("*.npy"))}
        make = getattr(importlib.import_module(module), name)
        self._call, self._read = make(inputs, options, threads)

    def result(self, folder: str) -> None:
        for name, array in self._read(self._call()).items():
            np.save(Path(folder, name), array)

    def seconds(self, calls: int) -> float:
        return timing.seconds(self._call, calls)

    def versions(self, packages: list[str]) -> dict[str, str]:
        return {package: importlib.metadata.version(package) for package in packages}


def main() -> None:
    """Answers requests until standard input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    contest = _Contest()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"value": getattr(contest, request.pop("do"))(**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
    # At once: an interpreter that is taken apart hangs on an input pipeline that still runs.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
