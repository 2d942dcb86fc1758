"""Which boxes a config's anchors cannot reach."""

from pathlib import Path

import numpy as np
import pytest

from roadmark.odapi import pipeline_config
from roadmark.training import anchor_fit
from roadmark.training.record_index import Contents

_CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def _config(name: str, *overrides: str):
    return pipeline_config.override(
        pipeline_config.load(_CONFIGS / f"{name}.config"), overrides
    )  # fmt: skip


def _contents(sizes, image=(1000, 1000)) -> Contents:
    """Boxes of these heights and widths in pixels, in one image."""
    shares = np.array(sizes, np.float32).reshape(-1, 2) / image
    picture = np.broadcast_to(image, shares.shape)
    return Contents(box_sizes=[np.concatenate([shares, picture], axis=1).astype(np.float32)])


def test_anchors_are_those_of_the_grid():
    # EfficientDet: levels 3 to 7, scale 4, three octaves, ratios 1, 2 and 0.5.
    sizes = anchor_fit.anchor_sizes(_config("effdet_d0"))
    assert sizes.shape == (45, 2)
    assert sizes.min() == pytest.approx(32 / np.sqrt(2))
    np.testing.assert_allclose(sizes[:3], [[32, 32], [22.63, 45.25], [45.25, 22.63]], rtol=1e-3)


@pytest.mark.parametrize("name", ["faster_rcnn_inception_resnet_v2_640"])
def test_two_stages_are_left_alone(name):
    config = _config(name)
    assert anchor_fit.anchor_sizes(config) is None
    assert anchor_fit.notices(config, _contents([(5, 5)])) == []


@pytest.mark.parametrize(
    ("overrides", "image", "expected"),
    [
        ((), (1000, 2000), (51.2, 25.6)),
        (
            ("model.ssd.image_resizer.keep_aspect_ratio_resizer="
             "{min_dimension: 512 max_dimension: 512}",),
            (1000, 2000),
            (25.6, 25.6),
        ),
    ],
    ids=["to a fixed shape", "with its aspect kept"],
)  # fmt: skip
def test_boxes_are_resized_with_their_picture(overrides, image, expected):
    config = _config("ssd_resnet50_fpn_640", *overrides)
    if not overrides:
        config.model.ssd.image_resizer.fixed_shape_resizer.height = 512
        config.model.ssd.image_resizer.fixed_shape_resizer.width = 512
    sizes = anchor_fit.network_sizes(config, *_contents([(100, 100)], image).sizes())
    np.testing.assert_allclose(sizes, [expected], rtol=1e-5)


@pytest.mark.parametrize(
    ("box", "anchor", "expected"),
    [
        ((10, 10), (10, 10), 1.0),
        ((10, 20), (10, 10), 0.5),
        ((5, 5), (10, 10), 0.25),
        ((20, 5), (5, 20), 25 / 175),
        ((0, 0), (10, 10), 0.0),
    ],
)
def test_overlap_about_one_centre(box, anchor, expected):
    boxes, anchors = np.array([box], np.float32), np.array([(1, 1), anchor], np.float32)
    assert anchor_fit.best_overlaps(boxes, anchors)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ([(80, 80)] * 10, None),
        ([(80, 80)] * 19 + [(4, 4)], None),
        ([(80, 80)] * 6 + [(8, 8)] * 4, "4 of 10 boxes (40%) overlap no anchor by 0.5"),
        ([(8, 8)] * 3, "3 smaller than the smallest anchor, "),
        ([(8, 8)] * 3, "a larger input or a lower anchor_scale"),
        ([(500, 20)] * 2, "2 of other shapes"),
        ([(500, 20)] * 2, "other aspect_ratios"),
        ([], None),
    ],
    ids=["all fit", "few do not", "many too small", "why", "what helps", "shapes",
         "what helps them", "no boxes"],
)  # fmt: skip
def test_what_is_told(sizes, says):
    lines = anchor_fit.notices(_config("effdet_d0"), _contents(sizes))
    assert len(lines) == (says is not None)
    assert says is None or says in lines[0]
