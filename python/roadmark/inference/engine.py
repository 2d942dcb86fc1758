"""The interface of everything that runs an exported network.

`evaluate`, `infer`, calibration and `benchmark` know nothing else about how a model runs.
"""

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from roadmark.errors import UserError
from roadmark.manifest import Manifest

AUTO = "auto"
# Where the raw SavedModel is in an exported folder.
RAW_FOLDER = "raw"
OPENVINO = "openvino"
TENSORFLOW = "tensorflow"
ENGINES = (OPENVINO, TENSORFLOW)
DEVICES = ("cpu", "gpu")
PRECISIONS = ("fp32", "bf16")


class Buffer(Protocol):
    """An array on some device, exchanged by DLPack (https://dmlc.github.io/dlpack/latest/)."""

    def __dlpack__(self, *, stream: Any = None) -> Any:
        """The DLPack capsule."""

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's device type and index."""


class Engine(abc.ABC):
    """A loaded network.

    Attributes:
        name: As in `ENGINES`.
        device: Where inputs are taken and outputs are left, as in `DEVICES`.
        precision: As in `PRECISIONS`.
    """

    name: str
    device: str
    precision: str

    @classmethod
    @abc.abstractmethod
    def load(
        cls,
        folder: str | Path,
        description: Manifest,
        device: str = AUTO,
        precision: str = AUTO,
        threads: int = 0,
    ) -> "Engine":
        """Loads the network of an exported folder.

        Args:
            folder: As `roadmark.export` writes it.
            description: What `manifest.load` gave for it, which verified its files.
            device: One of `DEVICES`, or `auto` for the best present.
            precision: One of `PRECISIONS`, or `auto`.
            threads: CPU threads to use, 0 for one per core.

        Raises:
            UserError: This machine lacks what was asked for.
        """

    @abc.abstractmethod
    def submit(self, inputs: Mapping[str, Buffer], stream: Any = None) -> Any:
        """Starts work on one batch and returns without waiting for it.

        Args:
            inputs: By the names in the manifest's `input`. The buffers must stay untouched until
                `result` has returned.
            stream: The device stream on which the inputs become ready, or None on a CPU.

        Returns:
            A handle for `result`.
        """

    @abc.abstractmethod
    def result(self, handle: Any) -> Mapping[str, Buffer]:
        """Waits for a batch and returns its outputs, by the names in the manifest's `outputs`.

        Every handle must be given to `result` once; handles may be waited for in any order.
        """

    def __str__(self) -> str:
        return f"{self.name}, {self.precision}, on the {self.device.upper()}"


def load(
    folder: str | Path,
    description: Manifest,
    engine: str = AUTO,
    device: str = AUTO,
    precision: str = AUTO,
    threads: int = 0,
) -> Engine:
    """Loads an exported folder into the engine of that name, or into the best one for `auto`.

    Raises:
        UserError: There is no such engine, device or precision, or as `Engine.load`.
    """
    _require_known("--engine", engine, ENGINES)
    _require_known("--device", device, DEVICES)
    _require_known("--precision", precision, PRECISIONS)
    if engine == AUTO:
        return _load_by_device(folder, description, device, precision, threads)
    return _engine_class(engine).load(folder, description, device, precision, threads)


def _load_by_device(
    folder: str | Path, description: Manifest, device: str, precision: str, threads: int
) -> Engine:
    """TensorFlow for a GPU; on a CPU OpenVINO, where the export found that it agrees."""
    on_gpu = device == "gpu" or (device == AUTO and _has_nvidia_gpu())
    agrees = any(stamp.engine == OPENVINO for stamp in description.engines)
    name = OPENVINO if agrees and not on_gpu else TENSORFLOW
    return _engine_class(name).load(folder, description, device, precision, threads)


def _engine_class(name: str) -> type[Engine]:
    # Each imports a framework, which takes seconds.
    if name == OPENVINO:
        from roadmark.inference.openvino_engine import OpenVinoEngine

        return OpenVinoEngine
    from roadmark.inference.tensorflow_engine import TensorFlowEngine

    return TensorFlowEngine


def _has_nvidia_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


def _require_known(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value not in (AUTO, *known):
        choices = ", ".join((AUTO, *known))
        raise UserError(flag, f"found {value!r}, expected one of {choices}", "choose one of these")
