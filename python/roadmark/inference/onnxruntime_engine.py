"""The exported ONNX model in ONNX Runtime; TensorFlow is not imported."""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort

from roadmark.errors import UserError
from roadmark.inference.engine import (
    AUTO,
    EXPORTED,
    ONNXRUNTIME,
    Buffer,
    Engine,
    Spent,
    batch_size,
    loading,
    on_host,
    stamp_of,
)
from roadmark.manifest import EngineStamp, Manifest

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_ERRORS_ONLY = 3


class OnnxRuntimeEngine(Engine):
    """Runs one batch at a time in a thread of its own, so that `submit` does not wait."""

    name = ONNXRUNTIME

    def __init__(self, session: ort.InferenceSession, stamp: EngineStamp, device: str) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="onnxruntime-engine")
        self.precision = stamp.precision
        self.batch_size = batch_size(stamp)
        self.device = device

    @classmethod
    def load(
        cls,
        folder: str | Path,
        description: Manifest,
        device: str = AUTO,
        precision: str = EXPORTED,
        threads: int = 0,
    ) -> "OnnxRuntimeEngine":
        """See `Engine.load`; the precision is that of the file: fp32 for `auto` too."""
        stamp = stamp_of(description, ONNXRUNTIME, precision)
        device = _choose_device(device)
        # A broken file is told by an exception; the log would tell it twice.
        ort.set_default_logger_severity(_ERRORS_ONLY + 1)
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = threads
        # Threads that spin while they wait take the processor from decoding and drawing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = Path(folder) / stamp.path
        providers = [_CUDA, _CPU] if device == "gpu" else [_CPU]
        cure = "export the model again with --format=onnx, or use another --engine"
        with loading(ONNXRUNTIME, path, cure):  # Its errors have no base class of their own.
            session = ort.InferenceSession(str(path), options, providers=providers)
        if device == "gpu" and _CUDA not in session.get_providers():
            raise _no_cuda()
        return cls(session, stamp, device)

    def submit(self, inputs: Mapping[str, Buffer], stream: object = None) -> Future:
        """See `Engine.submit`."""
        del stream  # There are only CPU buffers here.
        return self._worker.submit(self._run, dict(inputs), time.perf_counter())

    def result(self, handle: Future) -> dict[str, Buffer]:
        """See `Engine.result`."""
        outputs, self.spent = handle.result()
        return outputs

    def _run(self, inputs: dict[str, Buffer], submitted: float) -> tuple[dict[str, Buffer], Spent]:
        arrays = {name: np.ascontiguousarray(on_host(buffer)) for name, buffer in inputs.items()}
        begin = time.perf_counter()
        outputs = self._session.run(self._outputs, arrays)
        end = time.perf_counter()
        # Its outputs are the caller's at once.
        spent = Spent(1e3 * (begin - submitted), 1e3 * (end - begin), 0.0)
        return dict(zip(self._outputs, outputs, strict=True)), spent


def _choose_device(device: str) -> str:
    has_cuda = _CUDA in ort.get_available_providers()
    if device == "gpu" and not has_cuda:
        raise _no_cuda()
    if device == AUTO:
        return "gpu" if has_cuda else "cpu"
    return device


def _no_cuda() -> UserError:
    return UserError(
        "--device",
        "found gpu, which the installed onnxruntime cannot use",
        "install onnxruntime-gpu and a driver, or use --device=cpu",
    )
