import math

import pytest

from roadmark.evaluation import confusion
from roadmark.testing.marked_and_found import BOX, FAR, SHIFTED, WIDER, picture

NAMES = {4: "cyclist", 1: "vehicle"}  # as a label map may have it: not in order


@pytest.mark.parametrize(
    ("marked", "found", "crowd", "counts"),
    [
        pytest.param([(1, BOX)], [(1, 0.9, BOX)], None, {("vehicle", "vehicle"): 1}, id="right"),
        pytest.param([(1, BOX)], [(4, 0.9, BOX)], None, {("vehicle", "cyclist"): 1}, id="wrong"),
        pytest.param([(4, BOX)], [], None, {("cyclist", "background"): 1}, id="missed"),
        pytest.param(
            [(4, BOX)], [(4, 0.4, BOX)], None, {("cyclist", "background"): 1}, id="unsure"
        ),
        pytest.param([], [(1, 0.9, BOX)], None, {("background", "vehicle"): 1}, id="nothing there"),
        pytest.param(
            [(1, BOX)],
            [(4, 0.9, BOX), (1, 0.6, SHIFTED)],
            None,
            {("vehicle", "vehicle"): 1, ("background", "cyclist"): 1},
            id="the same class goes before a better fit",
        ),
        pytest.param(
            [(1, BOX), (1, WIDER)],
            [(1, 0.9, WIDER)],
            None,
            {("vehicle", "vehicle"): 1, ("vehicle", "background"): 1},
            id="one detection stands for one object",
        ),
        pytest.param(
            [(1, FAR)],
            [(1, 0.9, FAR), (4, 0.9, FAR)],
            [True],
            {("background", "cyclist"): 1},
            id="a crowd takes its own class and is not missed",
        ),
    ],
)
def test_pairs(marked, found, crowd, counts):
    result = confusion.confusion([picture(marked, found, crowd)], NAMES, {1: 0.5, 4: 0.5})
    assert result.classes == ["cyclist", "vehicle", "background"]
    assert {
        (result.classes[row], result.classes[column]): value
        for row, values in enumerate(result.counts)
        for column, value in enumerate(values)
        if value
    } == counts


def test_a_class_without_a_threshold_is_never_found():
    given = picture([(1, BOX)], [(1, 0.9, BOX)])
    result = confusion.confusion([given], NAMES, {1: math.nan, 4: 0.5})
    assert result.counts == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
