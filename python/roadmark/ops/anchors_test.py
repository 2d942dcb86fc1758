import numpy as np
import pytest

from roadmark.ops import anchors

GRID = {"min_level": 3, "anchor_scale": 4.0, "aspect_ratios": [1.0, 2.0], "scales_per_octave": 2}


def test_multiscale_grid_is_ordered_by_map_row_column_and_shape():
    found = anchors.multiscale_grid([(2, 3), (1, 2)], (16, 24), **GRID)
    assert found.dtype == np.float32
    assert found.shape == ((2 * 3 + 1 * 2) * 4, 4)
    pixels = found * [16, 24, 16, 24]
    centres, sizes = (pixels[:, :2] + pixels[:, 2:]) / 2, pixels[:, 2:] - pixels[:, :2]
    np.testing.assert_allclose(
        centres[::4],
        [(4, 4), (4, 12), (4, 20), (12, 4), (12, 12), (12, 20), (8, 0), (8, 16)],
        atol=1e-4,
    )
    root = np.sqrt(2)
    shapes = [(1, 1), (root, root), (1 / root, root), (1, 2)]
    np.testing.assert_allclose(sizes[:4], np.multiply(32, shapes), rtol=1e-5)
    np.testing.assert_allclose(sizes[-4:], np.multiply(64, shapes), rtol=1e-5)


def test_ssd_anchors_of_a_wide_image_are_square_in_pixels():
    found = anchors.ssd([(1, 1)], (100, 200), scales=[0.5], reduce_boxes_in_lowest_layer=False)
    assert found.shape == (6, 4)
    np.testing.assert_allclose(found[0], [0.25, 0.375, 0.75, 0.625], atol=1e-6)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: anchors.multiscale_grid([(2, -1)], (16, 16), **GRID),
            r"feature_maps: found \(2, -1\), expected sides of 0 to 32767",
        ),
        (
            lambda: anchors.multiscale_grid([(32767, 32767)] * 2, (16, 16), **GRID),
            "feature_maps: found .*fewer than 2\\*\\*31 anchors",
        ),
        (
            lambda: anchors.multiscale_grid([(2, 2)], (16, 0), **GRID),
            r"image_size: found \(16, 0\), expected sides above 0",
        ),
        (
            lambda: anchors.multiscale_grid([(2, 2)], (16, 16), **GRID | {"min_level": 31}),
            "min_level: found 31",
        ),
        (
            lambda: anchors.multiscale_grid([(2, 2)], (16, 16), **GRID | {"anchor_scale": -1}),
            "anchor_scale: found -1.0, expected above 0",
        ),
        (
            lambda: anchors.multiscale_grid([(2, 2)], (16, 16), **GRID | {"scales_per_octave": 0}),
            "scales_per_octave: found 0, expected 1 to 255",
        ),
        (
            lambda: anchors.multiscale_grid([(2, 2)], (16, 16), **GRID | {"aspect_ratios": [0]}),
            "aspect_ratios: found 0.0, expected ratios above 0",
        ),
        (
            lambda: anchors.ssd([(2, 2)], (16, 16), scales=[0.1, 0.2]),
            "scales: found 2, expected one per feature map, or none",
        ),
        (
            lambda: anchors.ssd([(2, 2)], (16, 16), scales=[float("nan")]),
            "scales: found nan, expected scales above 0",
        ),
        (lambda: anchors.ssd([(2, 2)], (16, 16), min_scale=0), "min_scale: found 0"),
        (lambda: anchors.ssd([(2, 2)], (16, 16), max_scale=-1), "max_scale: found -1"),
        (
            lambda: anchors.ssd([(2, 2)], (16, 16), base_anchor_size=(1, 0)),
            r"base_anchor_size: found \(1.0, 0.0\), expected sides above 0",
        ),
        (
            lambda: anchors.ssd([(2, 2)], (16, 16), interpolated_scale_aspect_ratio=-1),
            "interpolated_scale_aspect_ratio: found -1",
        ),
    ],
)
def test_what_is_out_of_range_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
