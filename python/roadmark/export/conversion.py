"""Conversion of a raw SavedModel to other formats, in a child process."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from roadmark.inference import child_process

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


def convert(
    raw: Path, onnx: Path, openvino: Path | None, batch_size: int, tflite: Path | None = None
) -> Conversion:
    """Converts a raw SavedModel to ONNX, from there to OpenVINO's format, and to TensorFlow Lite.

    Args:
        raw: Its folder.
        onnx: File to write.
        openvino: The `.xml` to write, with a `.bin` beside it, or None.
        batch_size: The only one that these files take; 0 for any.
        tflite: The file to write, whose batch is free, or None.

    Raises:
        UserError: A converter fails.
    """
    start = time.monotonic()
    arguments = [str(raw), f"--onnx={onnx}", f"--batch_size={batch_size}"]
    if openvino:
        arguments.append(f"--openvino={openvino}")
    if tflite:
        arguments.append(f"--tflite={tflite}")
    said = child_process.run(_PROCESS, arguments, raw, "cannot be converted", _CURE)
    return Conversion(seconds=time.monotonic() - start, **said)
