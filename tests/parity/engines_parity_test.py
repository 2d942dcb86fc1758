"""Every engine finds in an exported folder what the stock SavedModel in it finds."""

import statistics
from pathlib import Path

import openvino
import pytest

from roadmark.data import synthetic
from roadmark.errors import UserError
from roadmark.export import agreement
from roadmark.inference.detector import Detector

EXPORT = Path("tests/models/quickstart/export")
HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(scope="module")
def scenes():
    return [synthetic.render_scene(2, index).image for index in range(30)]


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_fp32(scenes, engine):
    found = agreement.measure(EXPORT, scenes, engine)
    assert found.boxes >= 50
    assert found.holds, str(found)


@pytest.mark.skipif(not HAS_BF16, reason="this processor does not compute bfloat16")
def test_bf16_is_close(scenes):
    # Eight bits of precision. Where two boxes score alike, another one of them survives, which
    # may be anywhere between them: so the bounds are on the typical picture, not the worst.
    fast, exact = (
        Detector.load(EXPORT, engine="openvino", precision=precision).detect(scenes)
        for precision in ("bf16", "fp32")
    )
    compared = [agreement.match(*pair) for pair in zip(fast, exact, strict=True)]
    boxes = sum(one.boxes for one in compared)
    assert boxes >= 50
    assert sum(one.unmatched for one in compared) <= boxes / 10
    assert statistics.median(one.score for one in compared) <= 0.02
    assert statistics.median(one.corner for one in compared) <= 1


@pytest.mark.skipif(HAS_BF16, reason="this processor computes bfloat16")
def test_bf16_is_refused_where_there_is_none():
    with pytest.raises(UserError, match="found bf16, which this processor does not compute"):
        Detector.load(EXPORT, engine="openvino", precision="bf16")


def test_auto_takes_openvino_on_a_cpu():
    detector = Detector.load(EXPORT, device="cpu", threads=1)
    assert str(detector.engine) == "openvino, fp32, on the CPU"


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"engine": "openvino", "device": "gpu"}, "--device: found gpu, which openvino has not"),
        (
            {"engine": "tensorflow", "precision": "bf16"},
            "--precision: found bf16, which tensorflow has not",
        ),
    ],
    ids=["device", "precision"],
)
def test_what_an_engine_has_not_is_refused(choice, says):
    with pytest.raises(UserError, match=says):
        Detector.load(EXPORT, **choice)
