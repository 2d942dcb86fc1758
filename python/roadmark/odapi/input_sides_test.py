"""Sides of the input that a pyramid cannot halve are refused by the config's field.

That the networks themselves agree is in `backbones/extractors_test.py`.
"""

from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.odapi import input_sides, pipeline_config

_CONFIGS = Path(__file__).resolve().parents[3] / "configs"
_FIXED = "model.ssd.image_resizer.fixed_shape_resizer"
_KEPT = "model.ssd.image_resizer.keep_aspect_ratio_resizer"


def _config(name: str, *overrides: str):
    return pipeline_config.override(
        pipeline_config.load(_CONFIGS / f"{name}.config"), [f"model.ssd.{one}" for one in overrides]
    )


def _resized(name: str, height: int, width: int, *overrides: str):
    size = f"{{fixed_shape_resizer {{height: {height} width: {width}}}}}"
    return _config(name, f"image_resizer={size}", *overrides)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(
            _config("effdet_d0", "image_resizer.keep_aspect_ratio_resizer.max_dimension=500"),
            f"{_KEPT}.max_dimension is 500, but the feature pyramid of "
            "ssd_efficientnet-b0_bifpn_keras halves it and doubles it again, and needs a multiple "
            f"of 128; set it to 384 or 512 (--set {_KEPT}.max_dimension=N)",
            id="padded to a side that a BiFPN cannot halve",
        ),
        pytest.param(
            _resized("effdet_d0", 512, 320),
            f"{_FIXED}.width is 320, ",
            id="EfficientDet, as wide as an FPN may be",
        ),
        pytest.param(
            _resized("effdet_d0", 128, 512),
            f"{_FIXED}.height is 128, but ssd_efficientnet-b0_bifpn_keras needs 129 at least; "
            f"make it larger (--set {_FIXED}.height=256)",
            id="too small for EfficientDet",
        ),
        pytest.param(
            _resized("ssd_efficientnet_v2_s_bifpn_512", 512, 500),
            "needs a multiple of 128; set it to 384 or 512",
            id="a backbone of our own with a BiFPN",
        ),
        pytest.param(
            _resized("ssd_mobilenet_v3_large_fpnlite_320", 320, 250),
            "needs a multiple of 32; set it to 224 or 256",
            id="a backbone of our own, which rounds down",
        ),
        pytest.param(
            _resized("ssd_mobilenet_v2_fpnlite_320", 300, 320),
            f"{_FIXED}.height is 300, but the feature pyramid of ssd_mobilenet_v2_fpn_keras "
            "halves it and doubles it again, and needs a multiple of 32; set it to 288 or 320 "
            f"(--set {_FIXED}.height=N)",
            id="MobileNet with an FPN",
        ),
        pytest.param(
            _resized("ssd_resnet50_fpn_640", 640, 600),
            "needs a multiple of 32; set it to 576 or 608",
            id="ResNet with an FPN",
        ),
        pytest.param(
            _resized("ssd_resnet50_fpn_640", 96, 640),
            "ssd_resnet50_v1_fpn_keras needs 129 at least; make it larger",
            id="too small for ResNet",
        ),
        pytest.param(
            _resized("quickstart", 32, 64), "needs 33 at least", id="too small for MobileNet"
        ),
    ],
)
def test_sides_that_the_pyramid_cannot_halve_are_refused_by_their_field(config, expected):
    with pytest.raises(UserError) as raised:
        input_sides.check(config, "my.config")
    assert str(raised.value).startswith("my.config: model.ssd.image_resizer.")
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(_resized("ssd_mobilenet_v2_fpnlite_320", 250, 320), id="halved upwards"),
        pytest.param(
            _resized("ssd_mobilenet_v2_fpnlite_320", 304, 304, "feature_extractor.fpn.max_level=4"),
            id="fewer levels",
        ),
        pytest.param(
            _resized("effdet_d0", 300, 300, "feature_extractor.pad_to_multiple=128"),
            id="padded by the extractor",
        ),
        pytest.param(
            _resized("quickstart", 300, 300, "feature_extractor.use_explicit_padding=true"),
            id="cut to fit",
        ),
        pytest.param(
            _resized("quickstart", 300, 300, "feature_extractor.type=ssd_mobilenet_v2_keras"),
            id="no pyramid",
        ),
        pytest.param(
            pipeline_config.load(_CONFIGS / "faster_rcnn_inception_resnet_v2_640.config"),
            id="two stages",
        ),
    ],
)
def test_sides_that_work_pass(config):
    input_sides.check(config, "my.config")
