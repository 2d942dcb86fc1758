"""What of device memory is the same on the host; the video path's test has the rest."""

import gc

import ml_dtypes
import numpy as np
import pytest

from roadmark.inference import device_memory

HOST = (device_memory.CPU, 0)


def array_of(values):
    return device_memory.Array(values.shape, values.dtype, values.ctypes.data, values, HOST)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, np.bool_])
def test_an_array_goes_out_by_dlpack_where_it_is(dtype):
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    taken = np.from_dlpack(array_of(values))
    np.testing.assert_array_equal(taken, values)
    assert np.shares_memory(taken, values)


def test_and_comes_in_again():
    values = np.arange(6, dtype=ml_dtypes.bfloat16).reshape(2, 3)
    taken = device_memory.imported(array_of(values))
    assert (taken.shape, taken.dtype, taken.device) == ((2, 3), values.dtype, HOST)
    assert taken.pointer == values.ctypes.data
    assert taken[1].pointer == values[1].ctypes.data
    assert taken.reshaped(3, 2).shape == (3, 2)


@pytest.mark.parametrize("is_used", [False, True])
def test_memory_is_kept_until_nobody_uses_it(is_used):
    values = np.ones(3, np.float32)
    array = array_of(values)
    taken = np.from_dlpack(array) if is_used else array.__dlpack__()
    assert len(device_memory._exported) == 1
    del taken
    gc.collect()
    assert not device_memory._exported
