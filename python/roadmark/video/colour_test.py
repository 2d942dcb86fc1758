import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from roadmark.video.colour import Colour
from roadmark.video.frame_pool import FramePool

# Luma coefficients (red, blue) of H.273: BT.709, BT.601, BT.2020.
_LUMA = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def flat(yuv, size=(64, 48), matrix=2, full=False):
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(frame.planes, yuv, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.colorspace = matrix
    frame.color_range = ColorRange.JPEG if full else ColorRange.MPEG
    return frame


def by_the_formula(yuv, matrix, full):
    y, u, v = (float(value) for value in yuv)
    scale_y, scale_c, black = (255, 255, 0) if full else (219, 224, 16)
    y, u, v = (y - black) / scale_y, (u - 128) / scale_c, (v - 128) / scale_c
    red_share, blue_share = _LUMA[matrix]
    red, blue = y + 2 * (1 - red_share) * v, y + 2 * (1 - blue_share) * u
    green = (y - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
    return np.array([red, green, blue]) * 255


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", sorted(_LUMA))
def test_conversion_follows_the_matrix_and_range_of_the_frame(matrix, full):
    yuv = (120, 105, 150)
    frame = flat(yuv, matrix=matrix, full=full)
    image = Colour.of(frame).to_rgb(frame)
    np.testing.assert_allclose(image[10, 10], by_the_formula(yuv, matrix, full), atol=1.5)


@pytest.mark.parametrize(
    ("size", "matrix"), [((1280, 720), 1), ((640, 360), 6)], ids=["HD: BT.709", "SD: BT.601"]
)
def test_untagged_video_is_read_as_players_read_it(size, matrix):
    yuv = (120, 105, 150)
    frame = flat(yuv, size=size)
    image = Colour.of(frame).to_rgb(frame)
    np.testing.assert_allclose(image[10, 10], by_the_formula(yuv, matrix, False), atol=1.5)


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 2, 6, 9])
def test_what_is_not_drawn_on_keeps_its_colour_and_its_tags(matrix, full):
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(60, 190, (6, 8)), np.ones((16, 16)))
    frame = flat((120, 118, 138), size=(128, 96), matrix=matrix, full=full)
    frame.planes[0].update(smooth.astype(np.uint8).tobytes())
    colour = Colour.of(frame)
    back = colour.to_yuv420p(frame, FramePool())
    np.testing.assert_array_equal(back.to_ndarray(), frame.to_ndarray())
    assert (back.colorspace, back.color_range) == (frame.colorspace, frame.color_range)


def test_rgb_sources_become_bt709_in_limited_range():
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), (200, 40, 90), np.uint8), "rgb24")
    colour = Colour.of(frame)
    yuv = colour.to_yuv420p(frame, FramePool())
    assert (yuv.colorspace, yuv.color_range) == (1, ColorRange.MPEG)
    found = [plane[0] for plane in map(bytes, yuv.planes)]
    np.testing.assert_allclose(by_the_formula(found, 1, False), (200, 40, 90), atol=3)
