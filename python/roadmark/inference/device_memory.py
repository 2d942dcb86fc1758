"""Memory and streams of a GPU, and arrays in it that others take by DLPack or CUDA's interface.

Of CUDA's runtime as NVIDIA's package `cuda-bindings` has it, which is imported when it is needed.
"""

import ctypes
import itertools
import math
import weakref
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

CPU, CUDA = 1, 2  # kDLCPU and kDLCUDA in dlpack.h.
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_NAME = b"dltensor"
# kDLInt, kDLUInt, kDLFloat, kDLBfloat and kDLBool in dlpack.h, by NumPy's kind.
_TYPE_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_BFLOAT_CODE = 4


class DeviceError(Exception):
    """CUDA has refused; the message has its name for why."""


class _DlTensor(ctypes.Structure):
    """`DLManagedTensor` of https://dmlc.github.io/dlpack/latest/c_api.html."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("manager", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = (ctypes.py_object, ctypes.c_char_p)
# For a capsule that is being destroyed, which must not become a Python object again.
_is_unused = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_pointer_in = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

# What others use, by the address of its description, until they are done with it.
_exported: dict[int, tuple[Any, ...]] = {}


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _delete(address: int) -> None:
    _exported.pop(address, None)


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
def _destroy_capsule(capsule: int) -> None:
    if _is_unused(capsule, _NAME):
        _exported.pop(_pointer_in(capsule, _NAME), None)


class Array:
    """A dense array at an address.

    Attributes:
        shape: Of the array.
        dtype: NumPy's, or ml_dtypes' bfloat16.
        pointer: The address of its first element.
        device: DLPack's device type and index.

    Args:
        shape: Of the array.
        dtype: Of the array.
        pointer: Where it is.
        owner: What keeps the memory.
        device: DLPack's device type and index.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: Any,
        pointer: int,
        owner: Any,
        device: tuple[int, int] = (CUDA, 0),
    ) -> None:
        self.shape = tuple(int(side) for side in shape)
        self.dtype = np.dtype(dtype)
        self.pointer = pointer
        self.device = device
        self._owner = owner

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> "Array":
        """The part at `index` of the first axis, from 0."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = self.shape[1:]
        step = math.prod(part) * self.dtype.itemsize
        return Array(part, self.dtype, self.pointer + index * step, self, self.device)

    @property
    def nbytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * self.dtype.itemsize

    def reshaped(self, *shape: int) -> "Array":
        """The same elements as an array of another shape."""
        return Array(shape, self.dtype, self.pointer, self, self.device)

    def __dlpack_device__(self) -> tuple[int, int]:
        """See `Buffer`."""
        return self.device

    def __dlpack__(self, *, stream: Any = None) -> Any:
        """See `Buffer`; who has written it must have waited for that."""
        del stream
        is_bfloat = self.dtype == _BFLOAT16
        sides = (ctypes.c_int64 * len(self.shape))(*self.shape)
        tensor = _DlTensor(
            self.pointer,
            *self.device,
            len(self.shape),
            _BFLOAT_CODE if is_bfloat else _TYPE_CODES[self.dtype.kind],
            8 * self.dtype.itemsize,
            1,
            sides,
            _dense_strides(self.shape),
            0,
            None,
            ctypes.cast(_delete, ctypes.c_void_p),
        )
        address = ctypes.addressof(tensor)
        _exported[address] = (tensor, self)
        return _new_capsule(address, _NAME, ctypes.cast(_destroy_capsule, ctypes.c_void_p))


def imported(buffer: Any) -> Array:
    """The array that a `Buffer` is; it must be dense, and nobody may be writing it still."""
    capsule = buffer.__dlpack__()
    tensor = _DlTensor.from_address(_pointer_of(capsule, _NAME))
    kinds = {code: kind for kind, code in _TYPE_CODES.items()}
    is_bfloat = tensor.code == _BFLOAT_CODE
    dtype = _BFLOAT16 if is_bfloat else np.dtype(f"{kinds[tensor.code]}{tensor.bits // 8}")
    shape = tensor.shape[: tensor.ndim]
    pointer = (tensor.data or 0) + tensor.byte_offset
    return Array(shape, dtype, pointer, capsule, (tensor.device_type, tensor.device_id))


def allocate(shape: Sequence[int], dtype: Any) -> Array:
    """An array of that shape on the first GPU, with any content; raises DeviceError."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    pointer = int(_call("cudaMalloc", max(size, 1)))
    memory = _Memory()
    weakref.finalize(memory, _call, "cudaFree", pointer).atexit = False
    return Array(shape, dtype, pointer, memory)


class Stream:
    """A stream of the first GPU, which waits for no other.

    Attributes:
        handle: CUDA's.
    """

    def __init__(self) -> None:
        _call("cudaSetDevice", 0)
        non_blocking = _runtime().cudaStreamNonBlocking
        self.handle = int(_call("cudaStreamCreateWithFlags", non_blocking))

    def wait(self) -> None:
        """Returns when everything on the stream is done."""
        _call("cudaStreamSynchronize", self.handle)

    def upload(self, source: np.ndarray, target: Array) -> None:
        """Copies a dense array from the host to the beginning of another."""
        if source.nbytes:
            self._copy(target.pointer, source.ctypes.data, source.nbytes, "HostToDevice")

    def download(self, source: Array) -> np.ndarray:
        """A copy of an array on the host, which is there after `wait`."""
        target = np.empty(source.shape, source.dtype)
        self._copy(target.ctypes.data, source.pointer, source.nbytes, "DeviceToHost")
        return target

    def copy_rows(
        self, target: int, target_pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        """Copies rows of `width` bytes that lie `pitch` bytes apart, on the device."""
        kind = _runtime().cudaMemcpyKind.cudaMemcpyDeviceToDevice
        sizes = (target, target_pitch, source, source_pitch, width, rows)
        _call("cudaMemcpy2DAsync", *sizes, kind, self.handle)

    def _copy(self, target: int, source: int, size: int, direction: str) -> None:
        kind = getattr(_runtime().cudaMemcpyKind, f"cudaMemcpy{direction}")
        _call("cudaMemcpyAsync", target, source, size, kind, self.handle)


def wait_for_all() -> None:
    """Returns when everything on the first GPU is done, whoever began it."""
    _call("cudaSetDevice", 0)
    _call("cudaDeviceSynchronize")


def context() -> int:
    """The handle of the context that all of this is in: the first GPU's primary one."""
    from cuda.bindings import driver

    _call("cudaSetDevice", 0)
    error, found = driver.cuCtxGetCurrent()
    if error != driver.CUresult.CUDA_SUCCESS:
        raise DeviceError(f"cuCtxGetCurrent: {error.name}")
    return int(found)


class _Memory:
    """Lives as long as an allocation is used."""


def _dense_strides(shape: tuple[int, ...]) -> ctypes.Array:
    steps = itertools.accumulate(reversed(shape[1:]), lambda step, side: step * side, initial=1)
    return (ctypes.c_int64 * len(shape))(*reversed(list(steps)))


def _runtime() -> Any:
    from cuda.bindings import runtime

    return runtime


def _call(name: str, *arguments: Any) -> Any:
    error, *results = getattr(_runtime(), name)(*arguments)
    if error != _runtime().cudaError_t.cudaSuccess:
        raise DeviceError(f"{name}: {error.name}")
    return results[0] if results else None
