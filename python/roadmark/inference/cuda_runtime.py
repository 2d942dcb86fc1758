"""CUDA's memory, streams, events and graphs, through NVIDIA's cuda-python.

Written by NVIDIA's documentation (CUDA Runtime API; cuda-python's `cuda.bindings.runtime`) and
**not run yet**.
"""

import ctypes
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from roadmark.errors import UserError


@dataclasses.dataclass(frozen=True)
class DeviceArray:
    """Memory of the GPU, in C order; what `roadmark.ops.cuda` takes.

    Attributes:
        pointer: Its address.
        shape: Sizes.
        dtype: NumPy's.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def bytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3 of the interface (Numba's documentation, "CUDA Array Interface")."""
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": None,
            "version": 3,
        }

    def __getitem__(self, index: int) -> "DeviceArray":
        """A part along the first axis."""
        if not 0 <= index < self.shape[0]:
            raise IndexError(f"found {index}, expected 0 to {self.shape[0] - 1}")
        step = self.bytes // self.shape[0]
        return DeviceArray(self.pointer + index * step, self.shape[1:], self.dtype)


def nv12_planes(picture: DeviceArray) -> tuple[DeviceArray, DeviceArray]:
    """Luma `[H, W]` and chroma `[H / 2, W / 2, 2]` of an NV12 picture `[H * 3 / 2, W]`."""
    rows, width = picture.shape
    height = rows * 2 // 3
    chroma = (height // 2, width // 2, 2)
    return (
        DeviceArray(picture.pointer, (height, width), picture.dtype),
        DeviceArray(picture.pointer + height * width, chroma, picture.dtype),
    )


class Cuda:
    """The runtime. What it allocates lives as long as the process.

    Raises:
        UserError: cuda-python is not installed.
    """

    def __init__(self) -> None:
        self._api = _api()

    def array(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        """Uninitialised memory of the GPU."""
        dtype = np.dtype(dtype)
        size = max(1, math.prod(shape) * dtype.itemsize)
        return DeviceArray(int(self._call("cudaMalloc", size)), tuple(shape), dtype)

    def pinned(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Page-locked memory of the host, which copies need to run beside other work."""
        dtype = np.dtype(dtype)
        size = max(1, math.prod(shape) * dtype.itemsize)
        pointer = int(self._call("cudaHostAlloc", size, self._api.cudaHostAllocDefault))
        raw = (ctypes.c_byte * size).from_address(pointer)
        return np.frombuffer(raw, dtype, math.prod(shape)).reshape(shape)

    def stream(self) -> Any:
        """A stream that waits for no other."""
        return self._call("cudaStreamCreateWithFlags", self._api.cudaStreamNonBlocking)

    def copy_in(self, target: DeviceArray, source: np.ndarray, stream: Any) -> None:
        """From pinned memory to the GPU, on a stream."""
        self._copy(target.pointer, source.ctypes.data, target.bytes, "HostToDevice", stream)

    def copy_out(self, target: np.ndarray, source: DeviceArray, stream: Any) -> None:
        """From the GPU to pinned memory, on a stream."""
        self._copy(target.ctypes.data, source.pointer, source.bytes, "DeviceToHost", stream)

    def copy_rows(
        self, target: int, pitch: int, source: int, step: int, width: int, rows: int, stream: Any
    ) -> None:
        """From one place on the GPU to another: rows of `width` bytes, `step` and `pitch` apart."""
        way = self._api.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self._call("cudaMemcpy2DAsync", target, pitch, source, step, width, rows, way, stream)

    def context(self) -> int:
        """The handle of the context in which all this is: the first GPU's primary one."""
        from cuda.bindings import driver

        self._call("cudaSetDevice", 0)
        error, found = driver.cuCtxGetCurrent()
        if int(error):
            raise _failed("cuCtxGetCurrent", error)
        return int(found)

    def captured(self, work: Callable[[], None], stream: Any) -> Callable[[], None]:
        """What `work` puts on a stream, as a graph that is launched with one call.

        Args:
            work: Has been run before, so that nothing is left that is done only once.
            stream: Where it works, and where the graph is launched.
        """
        modes = self._api.cudaStreamCaptureMode
        self._call("cudaStreamBeginCapture", stream, modes.cudaStreamCaptureModeThreadLocal)
        try:
            work()
        finally:
            graph = self._call("cudaStreamEndCapture", stream)
        launched = self._call("cudaGraphInstantiate", graph, 0)
        return lambda: self._call("cudaGraphLaunch", launched, stream)

    def event(self) -> Any:
        """A moment on a stream."""
        return self._call("cudaEventCreate")

    def record(self, event: Any, stream: Any) -> None:
        """Has an event happen when the stream has come that far."""
        self._call("cudaEventRecord", event, stream)

    def wait(self, event: Any) -> None:
        """Returns when an event has happened."""
        self._call("cudaEventSynchronize", event)

    def milliseconds(self, begin: Any, end: Any) -> float:
        """Between two events that have happened."""
        return float(self._call("cudaEventElapsedTime", begin, end))

    def synchronise(self, stream: Any) -> None:
        """Returns when a stream has nothing left to do."""
        self._call("cudaStreamSynchronize", stream)

    def _copy(self, target: int, source: int, size: int, kind: str, stream: Any) -> None:
        kinds = self._api.cudaMemcpyKind
        way = getattr(kinds, f"cudaMemcpy{kind}")
        self._call("cudaMemcpyAsync", target, source, size, way, stream)

    def _call(self, name: str, *arguments: Any) -> Any:
        error, *values = getattr(self._api, name)(*arguments)
        if int(error):
            raise _failed(name, error)
        return values[0] if values else None


def _failed(name: str, error: Any) -> Exception:
    said = f"{name}: {getattr(error, 'name', error)}"
    if "MemoryAllocation" in said:
        return UserError(
            "--device",
            f"found too little memory on the GPU ({said})",
            "end other programs there, or lower --batch_size",
        )
    return RuntimeError(said)


def _api() -> Any:
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise UserError(
            "--engine",
            f"found no cuda-python ({error})",
            "install it with: pip install cuda-python",
        ) from None
    return runtime
