"""Runs a module of ours in a process of its own and takes what it says.

What converts models holds several copies of them, gives memory back to nobody, and may be ended by
the system; in a child none of this reaches the command itself.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from roadmark.errors import UserError


def run(module: str, arguments: Sequence[str], where: Path, what: str, cure: str) -> dict[str, Any]:
    """Runs `python -m module arguments` and waits for it.

    Args:
        module: Its last line on stdout is a JSON object.
        arguments: Of its command line.
        where: What it works on, for messages.
        what: What it did not do when it fails, such as `cannot be converted`.
        cure: What the user can do about it.

    Returns:
        The JSON object.

    Raises:
        UserError: It fails, or the object has a `mistake`: the three parts of a `UserError`.
    """
    path = os.pathsep.join(filter(None, sys.path))
    # Converters name and order what they make as sets happen to lie: equal models, equal files.
    environment = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-P", "-m", module, *arguments]
    return run_command(command, environment, where, what, cure)


def run_command(
    command: Sequence[str], environment: Mapping[str, str], where: str | Path, what: str, cure: str
) -> dict[str, Any]:
    """Likewise, of any command in an environment of its own; see `run`."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
            env=environment,
        )
        try:
            code = process.wait()
        finally:
            process.kill()
        if code:
            raise UserError(where, f"{what}: {_reason(code, log)}", cure)
        said = json.loads(_lines(output)[-1])
    if "mistake" in said:
        raise UserError(*said["mistake"])
    return said


def _reason(code: int, log: TextIO) -> str:
    if code < 0:
        return f"the process was ended by signal {-code}, as for want of memory"
    lines = _lines(log)
    return lines[-1] if lines else f"the process ended with code {code}"


def _lines(file: TextIO) -> list[str]:
    file.seek(0)
    return [line for line in file.read().splitlines() if line.strip()]
