"""What of the CUDA extension runs without a GPU; tools/gpu_check runs the rest."""

import numpy as np
import pytest

from roadmark.ops import cuda

LIMITS = {"max_per_class": 100, "max_total": 100}


def test_hard_suppression_of_few_boxes_needs_a_bit_per_pair():
    needed = cuda.nms_workspace_bytes(10_000, **LIMITS)
    assert 10_000**2 / 8 <= needed <= 10_000**2 / 8 + 10_000 * 64


def test_more_boxes_are_not_compared_all_with_all():
    assert cuda.nms_workspace_bytes(1_000_000, **LIMITS) < 10_000_000


def test_soft_suppression_needs_no_matrix_either():
    assert cuda.nms_workspace_bytes(10_000, soft_nms_sigma=0.5, **LIMITS) < 200_000


def test_workspace_grows_with_images_and_classes():
    one = cuda.multiclass_nms_workspace_bytes(1, 1000, 1, **LIMITS)
    many = cuda.multiclass_nms_workspace_bytes(4, 1000, 20, **LIMITS)
    assert 60 * one < many < 80 * one


@pytest.mark.parametrize(
    ("argument", "value"), [("max_total", -1), ("max_per_class", -1), ("soft_nms_sigma", -1.0)]
)
def test_options_out_of_range_are_named(argument, value):
    with pytest.raises(ValueError, match=f"{argument}: found -1"):
        cuda.nms_workspace_bytes(10, **LIMITS | {argument: value})


@pytest.mark.parametrize(
    ("array", "says"),
    [
        pytest.param(np.zeros((3, 4), np.float32), "anchors: .*in host memory", id="NumPy"),
        pytest.param([[0.0, 0.0, 1.0, 1.0]], "anchors: found list", id="no array"),
    ],
)
def test_what_is_not_on_a_gpu_is_refused(array, says):
    with pytest.raises(ValueError, match=says):
        cuda.encode(array, array, (10.0, 10.0, 5.0, 5.0), out=array, stream=0)


def test_what_is_no_stream_is_refused():
    array = np.zeros((3, 4), np.float32)
    with pytest.raises(ValueError, match="stream: found default"):
        cuda.encode(array, array, (10.0, 10.0, 5.0, 5.0), out=array, stream="default")
