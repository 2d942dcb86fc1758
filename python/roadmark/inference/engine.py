"""The interface of everything that runs an exported network.

`evaluate`, `infer`, calibration and `benchmark` know nothing else about how a model runs.
"""

import abc
import contextlib
import dataclasses
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from roadmark.errors import UserError
from roadmark.inference.tensorrt_stamp import BATCH
from roadmark.manifest import EngineStamp, InputSpec, Manifest

AUTO = "auto"
# The precision of the engine's file, in which `export` has compared it with the stock model.
EXPORTED = "exported"
# Where the raw SavedModel is in an exported folder.
RAW_FOLDER = "raw"
ONNXRUNTIME = "onnxruntime"
OPENVINO = "openvino"
TENSORFLOW = "tensorflow"
TENSORRT = "tensorrt"
ENGINES = (TENSORFLOW, ONNXRUNTIME, OPENVINO, TENSORRT)
DEVICES = ("cpu", "gpu")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
# Fastest first, as measured: docs/export.md. TensorFlow runs every export.
_ORDER_ON_CPU = (OPENVINO, ONNXRUNTIME, TENSORFLOW)
_ORDER_ON_GPU = (TENSORRT, ONNXRUNTIME, TENSORFLOW)
# What `--format` of `export` makes an engine's file.
_FORMATS = {
    ONNXRUNTIME: "onnx",
    OPENVINO: "openvino",
    TENSORFLOW: "saved_model",
    TENSORRT: "tensorrt",
}
_PACKAGES = {
    OPENVINO: "openvino",
    ONNXRUNTIME: "onnxruntime",
    TENSORFLOW: "tensorflow",
    TENSORRT: "tensorrt",
}


class Buffer(Protocol):
    """An array on some device, exchanged by DLPack (https://dmlc.github.io/dlpack/latest/)."""

    def __dlpack__(self, *, stream: Any = None) -> Any:
        """The DLPack capsule."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's device type and index."""


@dataclasses.dataclass(frozen=True)
class Spent:
    """Where the time of a batch went, in milliseconds.

    Attributes:
        to_device: From `submit` until the network had its inputs.
        network: The network alone, as its runtime has it.
        to_host: From the network's end until its outputs were the caller's.
    """

    to_device: float
    network: float
    to_host: float


class Engine(abc.ABC):
    """A loaded network.

    Attributes:
        name: As in `ENGINES`.
        device: Where inputs are taken and outputs are left, as in `DEVICES`.
        precision: As in `PRECISIONS`.
        batch_size: The only one that the network takes; None for any.
        has_nms: Whether it decodes and suppresses boxes itself; its outputs are then those of
            `engine_nms` and not the manifest's.
        why: What `auto` has chosen, and why; empty where nothing was left to choose.
        spent: Of the batch that `result` gave last; None before the first.
    """

    name: str
    device: str
    precision: str
    batch_size: int | None = None
    has_nms: bool = False
    why: str = ""
    spent: Spent | None = None

    @classmethod
    @abc.abstractmethod
    def load(
        cls,
        folder: str | Path,
        description: Manifest,
        device: str = AUTO,
        precision: str = EXPORTED,
        threads: int = 0,
    ) -> "Engine":
        """Loads the network of an exported folder.

        Args:
            folder: As `roadmark.export` writes it.
            description: What `manifest.load` gave for it, which verified its files.
            device: One of `DEVICES`, or `auto` for the best present.
            precision: One of `PRECISIONS`, `exported` for that of the engine's file, or `auto` for
                the fastest, which may be another one on another machine.
            threads: CPU threads to use, 0 for one per core.

        Raises:
            UserError: This machine lacks what was asked for.
        """

    @abc.abstractmethod
    def submit(self, inputs: Mapping[str, Buffer], stream: Any = None) -> Any:
        """Starts work on one batch and returns without waiting for it.

        Args:
            inputs: By the names in the manifest's `input`, of `batch_size` pictures where that is
                set. The buffers must stay untouched until `result` has returned.
            stream: The device stream on which the inputs become ready, or None on a CPU.

        Returns:
            A handle for `result`.
        """

    @abc.abstractmethod
    def result(self, handle: Any) -> Mapping[str, Buffer]:
        """Waits for a batch and returns its outputs, by the names in the manifest's `outputs`.

        (With `has_nms`, by those in `engine_nms`.)

        Every handle must be given to `result` once; handles may be waited for in any order.
        """

    def __str__(self) -> str:
        return f"{self.name}, {self.precision}, on the {self.device.upper()}"

    def explained(self) -> str:
        """Which engine it is, and why."""
        return f"{self}: {self.why}" if self.why else str(self)


def load(
    folder: str | Path,
    description: Manifest,
    engine: str = AUTO,
    device: str = AUTO,
    precision: str = EXPORTED,
    threads: int = 0,
) -> Engine:
    """Loads an exported folder into the engine of that name, or into the best one for `auto`.

    `auto` tries engines, the fastest first, until one loads and answers to a blank picture;
    `Engine.why` tells what it found.

    Raises:
        UserError: There is no such engine, device or precision, or as `Engine.load`.
    """
    _require_known("--engine", engine, ENGINES)
    _require_known("--device", device, DEVICES)
    _require_known("--precision", precision, (EXPORTED, *PRECISIONS))
    if engine == AUTO:
        return _load_fastest(folder, description, device, precision, threads)
    return _engine_class(engine).load(folder, description, device, precision, threads)


def stamp_of(description: Manifest, engine: str, precision: str) -> EngineStamp:
    """What the manifest says about an engine's file; the one in fp32 for `auto` and `exported`.

    Raises:
        UserError: The export holds no such file.
    """
    wanted = "fp32" if precision in (AUTO, EXPORTED) else precision
    for stamp in description.engines:
        if (stamp.engine, stamp.precision) == (engine, wanted):
            return stamp
    found = ", ".join(f"{stamp.engine} {stamp.precision}" for stamp in description.engines)
    problem = f"found {engine} in {wanted}, the export holds {found}"
    raise UserError("--engine", problem, _cure(description, engine, wanted))


def _cure(description: Manifest, engine: str, precision: str) -> str:
    has_other = any(stamp.engine == engine for stamp in description.engines)
    int8 = {OPENVINO: OPENVINO, ONNXRUNTIME: TENSORRT, TENSORRT: TENSORRT}
    if precision == "int8" and engine in int8:
        return (
            f"export again with --format={int8[engine]} --precision=int8, or choose another "
            "precision"
        )
    if has_other or precision != "fp32":
        return "choose another precision or engine"
    return f"export again with --format={_FORMATS[engine]}, or choose another engine"


def batch_size(stamp: EngineStamp) -> int | None:
    """The batch size that an engine's file is made for; None for any."""
    size = stamp.built_for.get(BATCH)
    return None if size is None else int(size)


@contextlib.contextmanager
def loading(
    engine: str, path: str | Path, cure: str, kind: type[Exception] = Exception
) -> Iterator[None]:
    """Says in one line why a runtime cannot load a file of an export.

    Args:
        engine: The runtime.
        path: The file.
        cure: What the user can do about it.
        kind: What it raises.

    Raises:
        UserError: In its place.
    """
    try:
        yield
    except kind as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(path, f"{engine} cannot run it: {lines[-1]}", cure) from None


def on_host(buffer: Buffer) -> np.ndarray:
    """A buffer in the host's memory as an array, without a copy."""
    return buffer if isinstance(buffer, np.ndarray) else np.from_dlpack(buffer)


def _load_fastest(
    folder: str | Path, description: Manifest, device: str, precision: str, threads: int
) -> Engine:
    candidates = _candidates(description, device)
    passed_over: list[str] = []
    first_error = None
    for name, place in candidates:
        try:
            found = _load_and_try(name, folder, description, place, precision, threads)
        except UserError as error:
            first_error = first_error or error
            passed_over.append(f"{name} on the {place.upper()} does not work ({error.problem})")
            continue
        order = " > ".join(dict.fromkeys(name for name, _ in candidates))
        found.why = "; ".join(filter(None, [f"first of {order}", *passed_over, found.why]))
        return found
    raise first_error


def _candidates(description: Manifest, device: str) -> list[tuple[str, str]]:
    """Engines of the export and the devices to try them on, the fastest first."""
    held = {stamp.engine for stamp in description.engines} | {TENSORFLOW}
    candidates = []
    if device == "gpu" or (device == AUTO and _has_nvidia_gpu()):
        candidates += [(name, "gpu") for name in _ORDER_ON_GPU]
    if device != "gpu":
        candidates += [(name, "cpu") for name in _ORDER_ON_CPU]
    return [(name, place) for name, place in candidates if name in held]


def _load_and_try(
    name: str,
    folder: str | Path,
    description: Manifest,
    device: str,
    precision: str,
    threads: int,
) -> Engine:
    if importlib.util.find_spec(_PACKAGES[name]) is None:
        raise UserError("--engine", f"{name} is not installed", "install it or use another")
    found = _engine_class(name).load(folder, description, device, precision, threads)
    try:
        found.result(found.submit(_blank_batch(description.input, found.batch_size or 1)))
    except Exception as error:  # Each engine has its own kinds.
        reason = str(error).strip().splitlines()[0]
        raise UserError("--engine", f"{name} fails: {reason}", "use another --engine") from None
    return found


def _blank_batch(spec: InputSpec, size: int) -> dict[str, np.ndarray]:
    batch = {spec.name: np.zeros((size, spec.height, spec.width, 3), spec.dtype)}
    if spec.true_shapes_name:
        shape = (spec.height, spec.width, 3)
        batch[spec.true_shapes_name] = np.tile(np.array(shape, np.int32), (size, 1))
    return batch


def _engine_class(name: str) -> type[Engine]:
    # Each imports a framework, which takes seconds.
    if name == OPENVINO:
        from roadmark.inference.openvino_engine import OpenVinoEngine

        return OpenVinoEngine
    if name == ONNXRUNTIME:
        from roadmark.inference.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine
    if name == TENSORRT:
        from roadmark.inference.tensorrt_engine import TensorRtEngine

        return TensorRtEngine
    from roadmark.inference.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine


def _has_nvidia_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


def _require_known(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value not in (AUTO, *known):
        choices = ", ".join((AUTO, *known))
        raise UserError(flag, f"found {value!r}, expected one of {choices}", "choose one of these")
