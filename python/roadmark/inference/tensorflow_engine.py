"""The raw SavedModel in TensorFlow, without the OD API."""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.errors import UserError
from roadmark.inference.engine import AUTO, EXPORTED, RAW_FOLDER, TENSORFLOW, Buffer, Engine, Spent
from roadmark.manifest import Manifest
from roadmark.odapi import door

# Imports TensorFlow quietly, and so that the OD API may still be used in the same process; the OD
# API itself is not imported.
door.open()

import tensorflow as tf  # noqa: E402


class TensorFlowEngine(Engine):
    """Runs one batch at a time in a thread of its own, so that `submit` does not wait."""

    name = TENSORFLOW
    precision = "fp32"

    def __init__(self, model: Any, outputs: tuple[str, ...], device: str) -> None:
        self._model = model
        self._function = model.signatures["serving_default"]
        self._outputs = outputs
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tensorflow-engine")
        self.device = device

    @classmethod
    def load(
        cls,
        folder: str | Path,
        description: Manifest,
        device: str = AUTO,
        precision: str = EXPORTED,
        threads: int = 0,
    ) -> "TensorFlowEngine":
        """See `Engine.load`."""
        if precision not in (AUTO, EXPORTED, cls.precision):
            raise UserError(
                "--precision", f"found {precision}, which {TENSORFLOW} has not", "use fp32"
            )
        _set_threads(threads)
        device = _choose_device(device)
        with tf.device(f"/{device}:0"):
            model = tf.saved_model.load(str(Path(folder) / RAW_FOLDER))
        return cls(model, tuple(output.name for output in description.outputs), device)

    def submit(self, inputs: Mapping[str, Buffer], stream: Any = None) -> Future:
        """See `Engine.submit`."""
        return self._worker.submit(self._run, dict(inputs), stream, time.perf_counter())

    def result(self, handle: Future) -> dict[str, Buffer]:
        """See `Engine.result`."""
        outputs, self.spent = handle.result()
        return outputs

    def _run(
        self, inputs: dict[str, Buffer], stream: Any, submitted: float
    ) -> tuple[dict[str, Buffer], Spent]:
        with tf.device(f"/{self.device}:0"):
            tensors = {name: _to_tensor(buffer, stream) for name, buffer in inputs.items()}
            begin = time.perf_counter()
            outputs = self._function(**tensors)
        end = time.perf_counter()
        # On a GPU the copy to the host, which the caller makes, waits for the network too.
        spent = Spent(1e3 * (begin - submitted), 1e3 * (end - begin), 0.0)
        return {name: outputs[name] for name in self._outputs}, spent


def _to_tensor(buffer: Buffer, stream: Any) -> tf.Tensor:
    # TensorFlow's DLPack import wants 64-byte alignment, which NumPy does not promise.
    if isinstance(buffer, np.ndarray):
        return tf.convert_to_tensor(buffer)
    return tf.experimental.dlpack.from_dlpack(buffer.__dlpack__(stream=stream))


def _choose_device(device: str) -> str:
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise UserError("--device", "found no GPU that TensorFlow can use", "use --device=cpu")
    if device == AUTO:
        return "gpu" if gpus else "cpu"
    return device


def _set_threads(threads: int) -> None:
    if not threads or tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        raise UserError(
            "--threads",
            "TensorFlow is already running in this process with another number of threads",
            "load the engine before any other TensorFlow work",
        ) from None
