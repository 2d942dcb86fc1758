"""Contenders: each runs in a process of its own, under the interpreter that has its libraries."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.errors import UserError

_WORKER = "roadmark.benchmark.worker"
# Where `import roadmark` is found.
_IMPORT_ROOT = Path(__file__).parents[2]
_LAST_LINES = 5
# Which processor threads a library takes before it is asked.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


class Contender:
    """One process with the inputs and the function of one side.

    Args:
        interpreter: The Python to run; None for this one and its packages.
        threads: How many threads it may use; it is bound to as many processors.
        sees_gpus: Whether it may use GPUs.
    """

    def __init__(self, interpreter: Path | None, threads: int, sees_gpus: bool = False):
        allowed = sorted(os.sched_getaffinity(0))
        if threads > len(allowed):
            raise UserError(
                "--threads", f"found {threads}, and {len(allowed)} processors", "give fewer"
            )
        self._threads = threads
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - close() does
        self._process = subprocess.Popen(
            [str(interpreter or sys.executable), "-P", "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(interpreter, threads, sees_gpus),
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed[:threads]),
        )

    def prepare(self, function: str, arrays: Path, options: Mapping[str, Any]) -> None:
        """Loads inputs and sets up what is timed next.

        Args:
            function: `module:function`, as `roadmark.benchmark.contenders` describes it.
            arrays: A folder with an .npy file for each input.
            options: Further arguments, of types that JSON knows.

        Raises:
            RuntimeError: The function failed; its own words.
        """
        self._ask(
            "prepare",
            function=function,
            arrays=str(arrays),
            options=dict(options),
            threads=self._threads,
        )

    def result(self) -> dict[str, np.ndarray]:
        """Makes one call and gives what it returned."""
        with tempfile.TemporaryDirectory() as folder:
            self._ask("result", folder=folder)
            return {path.stem: np.load(path) for path in Path(folder).glob("*.npy")}

    def seconds(self, calls: int) -> float:
        """The time that `calls` calls take there."""
        return self._ask("seconds", calls=calls)

    def versions(self, packages: list[str]) -> dict[str, str]:
        """Versions of distributions in its environment."""
        return self._ask("versions", packages=packages)

    @property
    def has_ended(self) -> bool:
        """Whether the process has died."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _ask(self, do: str, **arguments: Any) -> Any:
        try:
            print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"the process ended: {self._said()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def _said(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return " | ".join(lines[-_LAST_LINES:]) or f"code {self._process.returncode}"


class Contenders:
    """The processes of a run: one for each module and number of threads, started when asked for.

    Args:
        peers_python: The interpreter of the peers' environment.
    """

    def __init__(self, peers_python: Path):
        self._peers_python = peers_python
        self._running: dict[tuple[str, bool, int], Contender] = {}

    def get(self, function: str, is_foreign: bool, threads: int) -> Contender:
        """The process for a function; a new one where the last has died.

        Args:
            function: `module:function`.
            is_foreign: Whether it needs the peers' environment.
            threads: How many it may use.
        """
        key = (function.split(":")[0], is_foreign, threads)
        if key in self._running and self._running[key].has_ended:
            self._running.pop(key).close()
        if key not in self._running:
            interpreter = self._peers_python if is_foreign else None
            self._running[key] = Contender(interpreter, threads)
        return self._running[key]

    def close(self) -> None:
        """Ends all processes."""
        for contender in self._running.values():
            contender.close()
        self._running.clear()


@contextlib.contextmanager
def contenders(peers_python: Path) -> Iterator[Contenders]:
    """Processes that end with the block.

    Args:
        peers_python: The interpreter of the peers' environment.

    Raises:
        UserError: It is not there.
    """
    if not peers_python.is_file():
        raise UserError(
            peers_python,
            "the environment of the benchmark's peers is not here",
            "run it by: ./bazelw run //python:benchmark, which fetches it",
        )
    running = Contenders(peers_python)
    try:
        yield running
    finally:
        running.close()


def _environment(interpreter: Path | None, threads: int, sees_gpus: bool) -> dict[str, str]:
    own = str(_IMPORT_ROOT)
    path = own if interpreter else os.pathsep.join([own, *(entry for entry in sys.path if entry)])
    return {
        **os.environ,
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        **({} if sees_gpus else {"CUDA_VISIBLE_DEVICES": "-1"}),
        "PYTHONPATH": path,
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
