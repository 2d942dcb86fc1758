"""An engine that TensorRT has built, on a GPU.

Written by NVIDIA's documentation (TensorRT 10 and 11, named tensors) and **not run yet**:
docs/tensorrt.md says what is known.
"""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.errors import UserError
from roadmark.inference import engine_nms, tensorrt_stamp
from roadmark.inference.cuda_runtime import Cuda, DeviceArray
from roadmark.inference.engine import (
    AUTO,
    EXPORTED,
    TENSORRT,
    Buffer,
    Engine,
    Spent,
    batch_size,
    on_host,
    stamp_of,
)
from roadmark.inference.tensorrt_stamp import BATCH_MAX, BATCH_MIN, VERSION_COMPATIBLE, YES
from roadmark.manifest import TRUSTED, EngineStamp, Manifest

# Below this everything runs on the bindings that TensorRT 10 has done away with.
_FIRST_MAJOR = 10


class Network:
    """An execution context with memory of its own for one batch size.

    Attributes:
        inputs: By name.
        outputs: By name.
    """

    def __init__(self, trt: Any, engine: Any, cuda: Cuda, batch: int) -> None:
        self._context = engine.create_execution_context()
        if self._context is None:
            raise UserError(
                "--device",
                "found too little memory on the GPU for the engine",
                "end other programs there, or build with a smaller --max_batch",
            )
        self.inputs: dict[str, DeviceArray] = {}
        self.outputs: dict[str, DeviceArray] = {}
        names = _tensors(engine)
        is_input = {name: engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        # Sizes of outputs are known when those of all inputs are.
        for name in sorted(names, key=lambda one: not is_input[one]):
            if is_input[name]:
                shape = (batch, *tuple(engine.get_tensor_shape(name))[1:])
                if not self._context.set_input_shape(name, shape):
                    raise UserError(
                        "--batch_size",
                        f"found {shape} for {name}, which the engine was not built for",
                        "use another, or build it again with --max_batch",
                    )
            shape = tuple(self._context.get_tensor_shape(name))
            array = cuda.array(shape, trt.nptype(engine.get_tensor_dtype(name)))
            (self.inputs if is_input[name] else self.outputs)[name] = array
            self._context.set_tensor_address(name, array.pointer)

    def enqueue(self, stream: Any) -> None:
        """Puts the network on a stream."""
        if not self._context.execute_async_v3(int(stream)):
            raise RuntimeError("TensorRT: execute_async_v3 failed")


@dataclasses.dataclass(frozen=True)
class _Slot:
    """What one batch at a time needs: memory on both sides, a stream, and the network's graph."""

    network: Network
    stream: Any
    launch: Any
    sent: Mapping[str, np.ndarray]
    received: Mapping[str, np.ndarray]
    events: tuple[Any, ...]


class TensorRtEngine(Engine):
    """Each batch submitted has a slot of its own, so that copies and networks overlap."""

    name = TENSORRT
    device = "gpu"

    def __init__(self, engine: Any, stamp: EngineStamp) -> None:
        self._engine, self._stamp = engine, stamp
        self._cuda = Cuda()
        self._idle: dict[int, list[_Slot]] = {}
        self.precision = stamp.precision
        self.batch_size = batch_size(stamp)
        self.has_nms = engine_nms.NUM_DETECTIONS in _tensors(engine)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        description: Manifest,
        device: str = AUTO,
        precision: str = EXPORTED,
        threads: int = 0,
    ) -> "TensorRtEngine":
        """See `Engine.load`; `auto` and `exported` take the first engine in the manifest.

        The engine is code: it is loaded only through a manifest, which has its checksum or was told
        to trust it.
        """
        del threads
        if device == "cpu":
            raise UserError("--device", "found cpu, which tensorrt has not", "use --device=gpu")
        here = tensorrt_stamp.probe()
        stamp = _stamp(description, precision)
        path = Path(folder) / stamp.path
        rebuild = tensorrt_stamp.rebuild_command(folder, stamp)
        is_trusted = TRUSTED in stamp.built_for
        if not is_trusted:
            tensorrt_stamp.refuse_mismatch(path, stamp, description, here, rebuild)
        if int(here.tensorrt.split(".")[0]) < _FIRST_MAJOR:
            raise UserError(
                path, f"TensorRT {here.tensorrt} builds it, but does not run here", "use 10 or 11"
            )
        engine = deserialised(path, stamp, rebuild)
        if is_trusted:
            refuse_another_network(path, _tensors(engine), description)
        return cls(engine, stamp)

    def network(self, batch: int) -> Network:
        """A context with memory of its own, for who does the rest on the GPU too."""
        import tensorrt as trt

        require_batch(batch, self._stamp)
        return Network(trt, self._engine, self._cuda, batch)

    def submit(self, inputs: Mapping[str, Buffer], stream: Any = None) -> _Slot:
        """See `Engine.submit`; takes arrays of the host, and copies them at once."""
        del stream
        arrays = {name: on_host(buffer) for name, buffer in inputs.items()}
        batch = len(next(iter(arrays.values())))
        idle = self._idle.setdefault(batch, [])
        slot = idle.pop() if idle else self._new_slot(batch)
        cuda, network = self._cuda, slot.network
        begin, ready, done, end = slot.events
        for name, array in arrays.items():
            np.copyto(slot.sent[name], array)
        cuda.record(begin, slot.stream)
        for name, target in network.inputs.items():
            cuda.copy_in(target, slot.sent[name], slot.stream)
        cuda.record(ready, slot.stream)
        slot.launch()
        cuda.record(done, slot.stream)
        for name, source in network.outputs.items():
            cuda.copy_out(slot.received[name], source, slot.stream)
        cuda.record(end, slot.stream)
        return slot

    def result(self, handle: _Slot) -> dict[str, Buffer]:
        """See `Engine.result`; the outputs are on the host."""
        cuda = self._cuda
        begin, ready, done, end = handle.events
        cuda.wait(end)
        # Copies: the pinned memory is used again.
        outputs = {name: array.copy() for name, array in handle.received.items()}
        self.spent = Spent(
            cuda.milliseconds(begin, ready),
            cuda.milliseconds(ready, done),
            cuda.milliseconds(done, end),
        )
        self._idle[len(next(iter(outputs.values())))].append(handle)
        return outputs

    def _new_slot(self, batch: int) -> _Slot:
        cuda, network, stream = self._cuda, self.network(batch), self._cuda.stream()
        # The first time a context works out what is done once for these sizes.
        network.enqueue(stream)
        cuda.synchronise(stream)
        return _Slot(
            network,
            stream,
            cuda.captured(lambda: network.enqueue(stream), stream),
            {name: cuda.pinned(one.shape, one.dtype) for name, one in network.inputs.items()},
            {name: cuda.pinned(one.shape, one.dtype) for name, one in network.outputs.items()},
            tuple(cuda.event() for _ in range(4)),
        )


def require_batch(count: int, stamp: EngineStamp) -> None:
    """Raises UserError for a batch that an engine was not built for."""
    if TRUSTED in stamp.built_for:
        return  # TensorRT itself knows.
    least, most = int(stamp.built_for[BATCH_MIN]), int(stamp.built_for[BATCH_MAX])
    if not least <= count <= most:
        raise UserError(
            "--batch_size",
            f"found a batch of {count}, the engine was built for {least} to {most}",
            f"use smaller batches, or build it again with --max_batch={count}",
        )


def refuse_another_network(path: Path, tensors: Collection[str], description: Manifest) -> None:
    """Raises UserError for a trusted engine whose inputs or outputs are not the model's.

    Args:
        path: The engine.
        tensors: Names of its inputs and outputs.
        description: The model's manifest.
    """
    spec = description.input
    inputs = {spec.name, spec.true_shapes_name} - {""}
    raw = {one.name for one in description.outputs}
    if set(tensors) - inputs not in (raw, set(engine_nms.OUTPUTS)) or not inputs <= set(tensors):
        expected = ", ".join(sorted(inputs | raw))
        problem = f"found inputs and outputs {', '.join(sorted(tensors))}, expected {expected}"
        raise UserError(path, problem, "build the engine from the model's own ONNX")


def _tensors(engine: Any) -> list[str]:
    return [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]


def _stamp(description: Manifest, precision: str) -> EngineStamp:
    built = [one for one in description.engines if one.engine == TENSORRT]
    if precision in (AUTO, EXPORTED) and built:
        return built[0]
    return stamp_of(description, TENSORRT, precision)


def deserialised(path: Path, stamp: EngineStamp, rebuild: str) -> Any:
    """TensorRT's own object of an engine; UserError with the command that rebuilds it instead."""
    import tensorrt as trt

    log = trt.Logger(trt.Logger.ERROR)
    runtime = trt.Runtime(log)
    if stamp.built_for.get(VERSION_COMPATIBLE) == YES:
        # Such an engine brings its own runtime, as code; its checksum was in the manifest.
        runtime.engine_host_code_allowed = True
    if engine_nms.is_in(stamp) or TRUSTED in stamp.built_for:
        trt.init_libnvinfer_plugins(log, "")
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise UserError(path, "TensorRT cannot load it", f"build it here with: {rebuild}")
    return engine
