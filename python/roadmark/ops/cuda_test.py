"""What of the CUDA extension runs without a GPU; tools/gpu_check runs the rest."""

import numpy as np
import pytest

from roadmark.ops import cuda
from roadmark.ops.drawing_style import style_of

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


def test_drawing_needs_room_for_each_object_and_character():
    few, many = cuda.annotate_workspace_bytes(20, 16), cuda.annotate_workspace_bytes(200, 16)
    assert 9 * few < many < 11 * few
    assert cuda.annotate_workspace_bytes(20, 64) > few
    assert cuda.annotate_workspace_bytes(0, 0) == 0


@pytest.mark.parametrize(
    ("capacity", "length", "says"),
    [(-1, 9, "capacity: found -1"), (1 << 20, 9, "capacity"), (9, 5000, "label_length: found 50")],
)
def test_workspaces_of_drawing_are_bounded(capacity, length, says):
    with pytest.raises(ValueError, match=says):
        cuda.annotate_workspace_bytes(capacity, length)


PLANE = np.zeros((8, 8), np.uint8)
BT709 = (0.2126, 0.0722)


@pytest.mark.parametrize(
    ("planes", "luma_weights", "says"),
    [
        pytest.param([PLANE], BT709, "planes: found 1, expected 2 planes", id="RGB"),
        pytest.param([PLANE] * 3, BT709, "planes: found 3, expected 2 planes", id="I420"),
        pytest.param([PLANE] * 2, BT709, r"planes\[0\]: .*in host memory", id="NumPy"),
        pytest.param([PLANE] * 2, (0.9, 0.2), "luma_weights: found", id="no such encoding"),
    ],
)
def test_pictures_that_cannot_be_drawn_on_are_refused(planes, luma_weights, says):
    with pytest.raises(ValueError, match=says):
        cuda.annotate(
            planes,
            luma_weights=luma_weights,
            boxes=PLANE,
            colours=PLANE,
            text_colours=PLANE,
            labels=PLANE,
            glyphs=PLANE,
            coverage=PLANE,
            line_height=9,
            style=style_of(8, 8),
            workspace=PLANE,
            stream=0,
        )
