"""An exported model in OpenVINO, which reads the raw SavedModel too; TensorFlow is not imported."""

import dataclasses
import time
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from roadmark.errors import UserError
from roadmark.inference import compiled_models, fastest_precision
from roadmark.inference.engine import (
    AUTO,
    EXPORTED,
    OPENVINO,
    RAW_FOLDER,
    Buffer,
    Engine,
    Spent,
    batch_size,
    loading,
    on_host,
    stamp_of,
)
from roadmark.manifest import EngineStamp, Manifest

# Of what is not quantised, for int8.
_PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoEngine(Engine):
    """Runs batches on the CPU; each one submitted has an infer request of its own."""

    name = OPENVINO
    device = "cpu"

    def __init__(self, model: ov.CompiledModel, precision: str, batch: int | None) -> None:
        self._model = model
        self._outputs = tuple(output.get_any_name() for output in model.outputs)
        self._idle: list[ov.InferRequest] = []
        self.precision = precision
        self.batch_size = batch

    @classmethod
    def load(
        cls,
        folder: str | Path,
        description: Manifest,
        device: str = AUTO,
        precision: str = EXPORTED,
        threads: int = 0,
    ) -> "OpenVinoEngine":
        """See `Engine.load`; `fastest_precision` says what `auto` precision is."""
        if device == "gpu":
            raise UserError("--device", "found gpu, which openvino has not", "use --device=cpu")
        core = ov.Core()
        precision, why = _choose(core, description, precision)
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        }
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        stamp = _stamp(description, precision)
        path = Path(folder) / (stamp.path if stamp else RAW_FOLDER)
        with loading(OPENVINO, path, "use --engine=tensorflow", RuntimeError):
            model = compiled_models.load(
                core,
                Path(folder),
                options,
                lambda: core.compile_model(core.read_model(path), "CPU", options),
            )
        loaded = cls(model, precision, batch_size(stamp) if stamp else None)
        loaded.why = why
        return loaded

    def submit(self, inputs: Mapping[str, Buffer], stream: Any = None) -> "_Running":
        """See `Engine.submit`."""
        del stream  # There are only CPU buffers here.
        begin = time.perf_counter()
        # OpenVINO takes no read-only memory, though it only reads.
        arrays = {
            name: np.require(on_host(buffer), requirements="CW") for name, buffer in inputs.items()
        }
        request = self._idle.pop() if self._idle else self._model.create_infer_request()
        for name, array in arrays.items():
            request.set_tensor(name, ov.Tensor(array, shared_memory=True))
        to_device = time.perf_counter() - begin
        request.start_async()
        return _Running(request, arrays, to_device)

    def result(self, handle: "_Running") -> dict[str, Buffer]:
        """See `Engine.result`."""
        request = handle.request
        request.wait()
        end = time.perf_counter()
        outputs = {name: request.get_tensor(name).data for name in self._outputs}
        _Lease(request, self._idle, outputs.values())
        to_host = time.perf_counter() - end
        self.spent = Spent(1e3 * handle.to_device_s, request.latency, 1e3 * to_host)
        return outputs


class _Lease:
    """Keeps a request, whose memory its outputs are in, from use until nobody has them any more.

    What is made of an output without a copy (a slice, another array by DLPack) keeps it alive.

    Args:
        request: It is done.
        idle: Where it is put then.
        outputs: Arrays in its memory, to which nothing else refers yet.
    """

    def __init__(
        self, request: ov.InferRequest, idle: list[ov.InferRequest], outputs: Iterable[np.ndarray]
    ) -> None:
        self._request, self._idle, self._left = request, idle, 0
        for output in outputs:
            self._left += 1
            weakref.finalize(output, self._release).atexit = False

    def _release(self) -> None:
        self._left -= 1
        if not self._left:
            self._idle.append(self._request)


@dataclasses.dataclass(frozen=True)
class _Running:
    """A submitted batch. OpenVINO reads the arrays where they are, and does not keep them alive."""

    request: ov.InferRequest
    arrays: dict[str, np.ndarray]
    to_device_s: float


def _stamp(description: Manifest, precision: str) -> EngineStamp | None:
    """What to run: the file of that precision, or None for the raw SavedModel."""
    if precision == "int8":
        return stamp_of(description, OPENVINO, precision)
    listed = [one for one in description.engines if one.engine == OPENVINO]
    return next((one for one in listed if one.precision == "fp32"), None)


def _choose(core: ov.Core, description: Manifest, precision: str) -> tuple[str, str]:
    """The precision to compute in, and why `auto` takes it."""
    has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == AUTO:
        architecture = description.postprocess.architecture
        return fastest_precision.choose(architecture, fastest_precision.cpuinfo(), has_bf16)
    if precision == EXPORTED:
        return "fp32", ""
    if precision not in _PRECISIONS:
        known = ", ".join(_PRECISIONS)
        raise UserError(
            "--precision", f"found {precision}, which {OPENVINO} has not", f"use {known}"
        )
    if precision == "bf16" and not has_bf16:
        raise UserError(
            "--precision", "found bf16, which this processor does not compute", "use fp32"
        )
    return precision, ""
