"""What a TensorRT engine was built for, what this machine has, and whether they fit.

An engine holds for one version of TensorRT and one kind of GPU, unless it was built to be portable.
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from roadmark.errors import UserError
from roadmark.inference import child_process, nvidia_driver
from roadmark.manifest import EngineStamp, Manifest

PROCESS = Path(__file__).with_name("tensorrt_process.py")
BATCH_MIN, BATCH_MAX = "batch_min", "batch_max"
VERSION_COMPATIBLE, HARDWARE_COMPATIBLE = "version_compatible", "hardware_compatible"
YES = "yes"
# The only batch size that it takes, where there is but one; and the plugin that is inside it.
BATCH, NMS = "batch", "nms"
# From which compute capability on a hardware-compatible engine runs: Ampere.
_AMPERE = (8, 0)


@dataclasses.dataclass(frozen=True)
class Here:
    """What this machine has.

    Attributes:
        tensorrt: Version.
        gpu: Name of the first GPU.
        compute_capability: Of it, such as `9.0`.
    """

    tensorrt: str
    gpu: str
    compute_capability: str


def probe(python: str | None = None) -> Here:
    """Asks driver and TensorRT, in child processes.

    Args:
        python: The interpreter that has TensorRT; None for this one.

    Raises:
        UserError: There is no driver that works, no TensorRT, or it ends the process.
    """
    missing = nvidia_driver.what_is_missing()
    if missing:
        raise UserError(
            "--engine",
            f"found tensorrt, but this machine has {missing}",
            "run it on a machine with an NVIDIA GPU, or use --engine=auto",
        )
    return Here(**run_process(["probe"], "tensorrt", "cannot be used", python))


def run_process(
    arguments: Sequence[str], where: str | Path, what: str, python: str | None
) -> dict[str, str]:
    """Runs `tensorrt_process.py` under an interpreter; see `child_process.run`."""
    environment = dict(os.environ)
    if python is None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    else:
        # Our packages are of another version of Python.
        environment.pop("PYTHONPATH", None)
    command = [python or sys.executable, str(PROCESS), *arguments]
    cure = "reinstall the driver and TensorRT, or use another --engine"
    try:
        return child_process.run_command(command, environment, where, what, cure)
    except OSError as error:
        raise UserError(
            "--tensorrt_python", f"{python} cannot be run ({error.strerror})", "name another"
        ) from None


def rebuild_command(folder: str | Path, stamp: EngineStamp) -> str:
    """What builds an engine again, for the machine where it is run.

    Args:
        folder: The exported model.
        stamp: What its manifest says about the engine.
    """
    built = stamp.built_for
    flags = [f"--engines_of={folder}", "--format=tensorrt", f"--precision={stamp.precision}"]
    if BATCH_MAX in built and BATCH not in built:
        flags.append(f"--max_batch={built[BATCH_MAX]}")
    flags += ["--portable=version"] * (built.get(VERSION_COMPATIBLE) == YES)
    flags += ["--portable=hardware"] * (built.get(HARDWARE_COMPATIBLE) == YES)
    flags += ["--nms_in_engine"] * (NMS in built)
    return f"bazel run //python:export -- {' '.join(flags)}"


def refuse_mismatch(
    path: Path, stamp: EngineStamp, description: Manifest, here: Here, rebuild: str
) -> None:
    """Raises UserError where an engine was built for something else, with all that differs.

    Args:
        path: The engine.
        stamp: What its manifest says about it.
        description: The manifest.
        here: This machine.
        rebuild: The command that builds it here.
    """
    found = mismatches(stamp, description, here)
    if found:
        raise UserError(path, "; ".join(found), f"build it here with: {rebuild}")


def mismatches(stamp: EngineStamp, description: Manifest, here: Here) -> list[str]:
    """What an engine was built for and this machine or model is not."""
    built, found = stamp.built_for, []
    if not _version_fits(built, here.tensorrt):
        found.append(f"built by TensorRT {built.get('tensorrt')}, here is {here.tensorrt}")
    if built.get(HARDWARE_COMPATIBLE) == YES:
        if _numbers(here.compute_capability) < _AMPERE:
            found.append(f"built for Ampere or later, here is a {here.gpu}")
    elif (built.get("gpu"), built.get("compute_capability")) != (here.gpu, here.compute_capability):
        found.append(
            f"built for {built.get('gpu')} (compute capability "
            f"{built.get('compute_capability')}), here is {here.gpu} ({here.compute_capability})"
        )
    for name in ("weights_sha256", "config_sha256"):
        if built.get(name) != getattr(description, name):
            found.append(f"built from another model ({name} differs)")
    return found


def _version_fits(built: dict[str, str], here: str) -> bool:
    """A version-compatible engine runs under its own version and later ones."""
    version = built.get("tensorrt", "")
    if built.get(VERSION_COMPATIBLE) == YES:
        return _numbers(here) >= _numbers(version)
    return here == version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
