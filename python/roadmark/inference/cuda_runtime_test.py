"""What of the CUDA runtime's wrapper runs without a GPU."""

import enum
import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from roadmark.errors import UserError
from roadmark.inference.cuda_runtime import Cuda, DeviceArray

_BATCH = DeviceArray(4096, (2, 3, 5), np.dtype(np.float32))


def test_an_array_describes_itself():
    assert _BATCH.bytes == 2 * 3 * 5 * 4
    assert _BATCH.__cuda_array_interface__ == {
        "shape": (2, 3, 5),
        "typestr": "<f4",
        "data": (4096, False),
        "strides": None,
        "version": 3,
    }


def test_a_part_lies_behind_those_before_it():
    assert _BATCH[1] == DeviceArray(4096 + 3 * 5 * 4, (3, 5), np.dtype(np.float32))
    with pytest.raises(IndexError, match="found 2, expected 0 to 1"):
        _BATCH[2]


@pytest.mark.skipif(importlib.util.find_spec("cuda") is not None, reason="cuda-python is here")
def test_without_cuda_python_it_says_what_to_install():
    with pytest.raises(UserError, match=r"found no cuda-python .*; install it with: pip install"):
        Cuda()


# As cuda-python's.
_Error = enum.IntEnum("cudaError_t", ["cudaErrorInvalidValue", "cudaErrorMemoryAllocation"])


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (
            _Error.cudaErrorMemoryAllocation,
            UserError,
            r"--device: found too little memory on the GPU \(cudaMalloc: .*\); end other programs",
        ),
        (_Error.cudaErrorInvalidValue, RuntimeError, "^cudaMalloc: cudaErrorInvalidValue$"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_call_that_fails_is_named_and_too_little_memory_has_a_cure(error, kind, says):
    cuda = Cuda.__new__(Cuda)
    cuda._api = SimpleNamespace(cudaMalloc=lambda size: (error, None))
    with pytest.raises(kind, match=says):
        cuda.array((1 << 40,), np.float32)
