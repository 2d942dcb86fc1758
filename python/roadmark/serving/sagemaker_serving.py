"""An endpoint in a SageMaker container: the model that SageMaker unpacked, served as it expects.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

import os
import sys
from pathlib import Path

from roadmark import locations
from roadmark.errors import UserError

PORT = "SAGEMAKER_BIND_TO_PORT"
_DEFAULT_PORT = "8080"
_SERVE = Path(__file__).resolve().parents[2] / "serve.py"


def command(root: Path) -> list[str]:
    """The `serve` command for a container.

    Args:
        root: The container's `/opt/ml`.

    Raises:
        UserError: There is no exported model, or several, or the port is none.
    """
    model, port = _export(root / "model"), os.environ.get(PORT, _DEFAULT_PORT)
    if not port.isdecimal():
        raise UserError(PORT, f"found {port!r}, expected a port", "leave it out")
    flags = (f"--model={model}", "--host=0.0.0.0", f"--port={port}")
    return [sys.executable, "-P", str(_SERVE), *flags]


def run(root: Path) -> None:
    """Puts `serve` in the place of this process, so that SIGTERM reaches it.

    Raises:
        UserError: As `command`.
    """
    program = command(root)
    sys.stdout.flush()
    os.execve(program[0], program, os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})


def _export(folder: Path) -> Path:
    found = sorted(path.parent for path in folder.rglob(locations.MANIFEST))
    if len(found) != 1:
        raise UserError(
            folder,
            f"found {len(found)} exported models, expected one ({locations.MANIFEST} tells them)",
            "pack what bazel run //python:export wrote, alone, into model.tar.gz",
        )
    return found[0]
