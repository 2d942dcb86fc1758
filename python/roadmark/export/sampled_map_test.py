import numpy as np
import pytest

from roadmark.data import example
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.export import sampled_map
from roadmark.odapi.label_map import LabelMap
from roadmark.testing import small_records

NAMES = LabelMap.of(small_records.NAMES)


@pytest.fixture(scope="module")
def selection(tmp_path_factory):
    folder = small_records.write(tmp_path_factory.mktemp("records"))
    return sampled_map.select(f"{folder}/train-*", is_asked_for=True)


def _perfect(selection, lost=0):
    """Finds what is marked, but for the last pictures."""
    images = [example.parse(record, where) for where, record in selection.records()]
    found = [
        Detections(
            boxes=image.boxes_in_pixels,
            scores=np.full(len(image), 0.9, np.float32),
            classes=image.class_ids.astype(np.int32),
        )
        for image in images
    ]
    found = iter(
        [*found[: len(found) - lost], *(one.select(one.scores > 1) for one in found[:lost])]
    )
    return lambda pictures: [next(found) for _ in pictures]


@pytest.mark.parametrize(("lost", "holds"), [(0, True), (2, False)], ids=["equal", "worse"])
def test_all_are_compared_with_the_stock_model(selection, lost, holds):
    detects = {"stock": _perfect(selection), "openvino": _perfect(selection, lost)}
    found = sampled_map.measure(selection, NAMES, detects)
    assert found.pictures == 6
    assert found.found["stock"] == pytest.approx(1)
    assert found.holds == holds
    assert (found.difference > 0.1) == (not holds)
    assert ": stock 1.0000, openvino " in str(found)


def test_pictures_of_records(selection):
    pictures = sampled_map.pictures(selection, 2)
    assert [one.shape for one in pictures] == [(64, 64, 3)] * 2


def test_records_that_are_not_there_are_missed_only_when_they_were_named():
    assert sampled_map.select("none/val-*", is_asked_for=False) is None
    with pytest.raises(UserError, match="no records match"):
        sampled_map.select("none/val-*", is_asked_for=True)
