import doctest
import re

import numpy as np
import pytest

from roadmark import detections
from roadmark.detections import Detections


def _two(**changes):
    fields = {
        "boxes": np.array([[0, 0, 10, 20], [5, 5, 6, 6]], np.float32),
        "scores": np.array([0.9, 0.1], np.float32),
        "classes": np.array([1, 2], np.int32),
    }
    return Detections(**(fields | changes))


def test_docstring_examples_run():
    assert doctest.testmod(detections).failed == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # A shape with the wrong last axis names both shapes.
        (
            {"boxes": np.zeros((2, 5), np.float32)},
            r"boxes: found float32 \(2, 5\), expected .*N, 4",
        ),
        # A list is not silently converted.
        ({"boxes": [[0, 0, 1, 1]]}, "boxes: found list, expected a NumPy float32"),
        # float64 would double every later copy.
        ({"scores": np.array([0.9, 0.1])}, "scores: found float64"),
        ({"scores": np.array([0.9], np.float32)}, r"scores: found float32 \(1,\), .*\(2\)"),
        ({"scores": np.array([0.9, 1.5], np.float32)}, r"scores\[1\]: found 1.5"),
        # NaN compares false with everything, so it must not pass as "not outside".
        ({"scores": np.array([np.nan, 0.5], np.float32)}, r"scores\[0\]: found nan"),
        (
            {"classes": np.array([1, 0], np.int32)},
            r"classes\[1\]: found 0, expected a label map id",
        ),
        ({"masks": np.zeros((2, 4, 4), np.uint8)}, "masks: found uint8"),
        ({"track_ids": np.zeros(3, np.int32)}, r"track_ids: found int32 \(3,\)"),
        ({"attributes": {"model": np.array(["a"])}}, r"attributes\['model'\]: found 1 values"),
        (
            {"boxes": np.array([[0, 0, 1, 1], [3, 0, 1, 1]], np.float32)},
            r"boxes\[1\]: found \[3.0, 0.0, 1.0, 1.0\], expected ymin <= ymax",
        ),
        (
            {"boxes": np.array([[0, 0, np.inf, 1], [0, 0, 1, 1]], np.float32)},
            r"boxes\[0\]: .*expected finite corners",
        ),
    ],
)
def test_bad_values_are_named(changes, message):
    with pytest.raises(ValueError, match=re.compile(message)):
        _two(**changes)


def test_select_keeps_every_field_together():
    found = _two(
        masks=np.array([np.zeros((3, 3)), np.ones((3, 3))], bool),
        track_ids=np.array([7, 8], np.int32),
        attributes={"model": np.array(["van", "bus"])},
    )
    second = found.select(np.array([1]))
    assert second.classes.tolist() == [2]
    assert second.track_ids.tolist() == [8]
    assert second.masks.all()
    assert second.attributes["model"].tolist() == ["bus"]


def test_empty_has_no_objects():
    assert len(Detections.empty()) == 0
