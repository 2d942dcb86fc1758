import av
import numpy as np
import pytest

from roadmark.video import yuv_frame


def random_planes(height, width):
    half = (height + 1) // 2, (width + 1) // 2
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape).astype(np.uint8) for shape in ((height, width), half, half)]


def frame_of(samples, width, height):
    frame = av.VideoFrame(width, height, yuv_frame.FORMAT)
    yuv_frame.fill(frame, samples)
    return frame


@pytest.mark.parametrize("size", [(48, 64), (49, 85), (2, 2), (1, 1)])
def test_planes_are_the_memory_of_the_frame(size):
    height, width = size
    samples = random_planes(height, width)
    frame = frame_of(samples, width, height)
    for plane, wanted in zip(yuv_frame.planes(frame), samples, strict=True):
        np.testing.assert_array_equal(plane, wanted)
        plane[...] = 7
    for plane in yuv_frame.planes(frame):
        assert (plane == 7).all()


def test_larger_frame_repeats_the_last_row_and_column():
    samples = random_planes(49, 85)
    luma, blue, red = yuv_frame.planes(frame_of(samples, 86, 50))
    np.testing.assert_array_equal(luma, np.pad(samples[0], (0, 1), mode="edge"))
    np.testing.assert_array_equal(blue, samples[1])
    np.testing.assert_array_equal(red, samples[2])
