"""Runs an app of `python/` as a program in a folder, without Bazel's launcher around it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_APPS = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 120


def run(
    app: str,
    folder: Path,
    *arguments: str,
    python: Sequence[str] = (),
    timeout_s: float = _TIMEOUT_S,
) -> subprocess.CompletedProcess:
    """Runs `python/<app>.py`.

    Args:
        app: Its name.
        folder: Where the user is.
        arguments: What the user types after `--`.
        python: Options of the interpreter.
        timeout_s: When to give up.

    Returns:
        The ended process, with its output as text.
    """
    return subprocess.run(
        [sys.executable, "-P", *python, str(_APPS / f"{app}.py"), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
