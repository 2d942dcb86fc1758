"""Conversion of a raw SavedModel to other formats, in a child process."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from roadmark.errors import UserError

_PROCESS = "roadmark.export.conversion_process"
_CURE = "leave its --format out, or report this config as a bug"


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What a conversion took and did.

    Attributes:
        peak_bytes: Largest resident memory of the child process.
        seconds: How long it ran.
        opset: Version of ONNX's operators.
        sites: How often each step of the surgery was applied, by its name.
        tensorrt: What TensorRT would refuse; see `tensorrt_check.problems`.
    """

    peak_bytes: int
    seconds: float
    opset: int
    sites: Mapping[str, int]
    tensorrt: Sequence[str]

    def __str__(self) -> str:
        changes = ", ".join(f"{name} {count}" for name, count in self.sites.items() if count)
        return (
            f"{self.seconds:.0f} s, at most {self.peak_bytes / 2**30:.1f} GiB of memory; "
            f"surgery: {changes or 'nothing to do'}"
        )


def convert(raw: Path, onnx: Path, openvino: Path | None, batch_size: int) -> Conversion:
    """Converts a raw SavedModel to ONNX and, from there, to OpenVINO's format.

    Args:
        raw: Its folder.
        onnx: File to write.
        openvino: The `.xml` to write, with a `.bin` beside it, or None.
        batch_size: The only one that the files take; 0 for any.

    Raises:
        UserError: A converter fails.
    """
    start = time.monotonic()
    command = [sys.executable, "-P", "-m", _PROCESS, str(raw), f"--onnx={onnx}"]
    command += [f"--batch_size={batch_size}"] + ([f"--openvino={openvino}"] if openvino else [])
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            code = process.wait()
        finally:
            process.kill()
        if code:
            raise UserError(raw, f"cannot be converted: {_reason(code, log)}", _CURE)
        output.seek(0)
        said = json.loads(output.read().splitlines()[-1])
    return Conversion(seconds=time.monotonic() - start, **said)


def _reason(code: int, log: object) -> str:
    if code < 0:
        return f"the converter was ended by signal {-code}, as for want of memory"
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line.strip()]
    return lines[-1] if lines else f"the converter ended with code {code}"
