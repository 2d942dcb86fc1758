"""Pictures made worse: by kind and severity, and what is measured on them."""

import dataclasses

import numpy as np
import pytest

from roadmark.data import example
from roadmark.errors import UserError
from roadmark.evaluation import corruption, records
from roadmark.evaluation.coco import CocoMetrics
from roadmark.evaluation.corruption import Corruption
from roadmark.testing import small_records


@pytest.fixture(scope="module")
def street():
    """A light sky over a dark road with sharp stripes, uint8; blur goes by the picture's height."""
    image = np.full((480, 320, 3), 60, np.uint8)
    image[:240] = (150, 180, 220)
    image[240:, ::8] = 250
    return image


@pytest.mark.parametrize("kind", corruption.KINDS)
def test_a_higher_severity_changes_more(street, kind):
    def distance(severity):
        worse = corruption.corrupt(street, Corruption(kind, severity), "a.jpg")
        assert (worse.shape, worse.dtype) == (street.shape, np.uint8)
        return np.abs(worse.astype(int) - street).mean()

    assert 0 < distance(1) < distance(5)


def test_the_picture_s_name_decides_where_drops_fall(street):
    rain = Corruption("rain", 3)
    once, again, other = (corruption.corrupt(street, rain, name) for name in ("a", "a", "b"))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


def test_records_keep_all_but_the_picture(tmp_path):
    small_records.write(tmp_path, 4, shards=1, masks=True)
    clean = records.select(str(tmp_path / "train-*"), 2)
    seen = []

    def evaluate(part):
        assert len(part) == 2
        seen.append([example.parse(data, where) for where, data in part.records()])
        value = 1 / len(seen)
        return CocoMetrics(2, 5, {"bbox": {"mAP": value, "AP50": value / 2}}, {})

    wanted = corruption.parse(["jpeg"], ["2", "5"])
    found = corruption.measure(wanted, clean, evaluate)
    assert [(one.corruption.severity, one.mAP, one.AP50) for one in found] == [
        (2, 1.0, 0.5),
        (5, 0.5, 0.25),
    ]
    before = [example.parse(data, where) for where, data in clean.records()]
    for mild, harsh, own in zip(*seen, before, strict=True):
        assert len(harsh.encoded) < len(mild.encoded)
        for name in ("filename", "source_id", "height", "width", "class_names", "masks"):
            assert getattr(mild, name) == getattr(own, name)
        np.testing.assert_array_equal(mild.boxes, own.boxes)
        assert mild.format == "jpeg"
        # Compressed once and not twice.
        pixels = records.picture(own, "")
        once = corruption.corrupt(pixels, Corruption("jpeg", 2), own.filename)
        np.testing.assert_array_equal(records.picture(mild, ""), once)


def test_weather_is_kept_without_loss(tmp_path):
    small_records.write(tmp_path, 1, shards=1)
    clean = records.select(str(tmp_path / "train-*"))
    fog = Corruption("fog", 4)
    fields = {field.name: getattr(clean, field.name) for field in dataclasses.fields(clean)}
    ((where, data),) = corruption.CorruptedSelection(**fields, corruption=fog).records()
    image = example.parse(data, where)
    pixels = records.picture(small_records.picture(0), "")
    np.testing.assert_array_equal(
        records.picture(image, where), corruption.corrupt(pixels, fog, image.filename)
    )


@pytest.mark.parametrize(
    ("kinds", "severities", "says"),
    [
        (["snow"], ["1"], "--corruptions: found 'snow'; give some of fog, rain, night, blur, jpeg"),
        (["fog", "fog"], ["1"], "--corruptions: found 'fog'; give some of .* each once"),
        (["fog"], ["6"], "--severities: found '6'; give some of 1, 2, 3, 4, 5"),
        (["fog"], ["1", "1"], "--severities: found '1'"),
    ],
)
def test_mistakes(kinds, severities, says):
    with pytest.raises(UserError, match=says):
        corruption.parse(kinds, severities)


def test_nothing_is_asked_for():
    assert corruption.parse([], ["1", "3", "5"]) == ()
