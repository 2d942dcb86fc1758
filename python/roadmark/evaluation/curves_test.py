import math

import pytest

from roadmark.evaluation import curves, matching
from roadmark.testing.marked_and_found import BOX, FAR, NAMES, picture


def matches(marked, found, crowd=None):
    return matching.match([picture(marked, found, crowd)], NAMES)


@pytest.mark.parametrize(
    ("found", "best"),
    [
        pytest.param([(1, 0.7, BOX), (1, 0.4, FAR)], (0.4, 1, 1, 1), id="both right"),
        pytest.param(
            [(1, 0.7, BOX), (1, 0.4, [0, 0, 50, 50])],
            (0.7, 1, 0.5, 2 / 3),
            id="leave out the wrong",
        ),
        pytest.param(
            [(1, 0.7, BOX), (1, 0.7, [0, 0, 50, 50])],
            (0.7, 0.5, 0.5, 0.5),
            id="equal scores are not parted",
        ),
        pytest.param([(1, 0.7, [0, 0, 50, 50])], (math.nan, math.nan, 0, 0), id="nothing right"),
        pytest.param([], (math.nan, math.nan, 0, 0), id="nothing found"),
    ],
)
def test_the_best_threshold(found, best):
    point = curves.curve(matches([(1, BOX), (1, FAR)], found), 1).best
    values = (point.threshold, point.precision, point.recall, point.f1)
    assert values == pytest.approx(best, nan_ok=True)


def test_rates_at_each_threshold():
    curve = curves.curve(
        matches([(1, BOX), (1, FAR)], [(1, 0.7, BOX), (1, 0.4, [0, 0, 50, 50])]), 1
    )
    at = [0, 40, 41, 70, 71]
    assert [curve.precision[i] for i in at] == pytest.approx(
        [0.5, 0.5, 1, 1, math.nan], nan_ok=True
    )
    assert [curve.recall[i] for i in at] == pytest.approx([0.5, 0.5, 0.5, 0.5, 0])
    assert [curve.f1[i] for i in at] == pytest.approx([0.5, 0.5, 2 / 3, 2 / 3, 0])


def test_a_class_without_objects_has_no_recall():
    curve = curves.curve(matches([], [(1, 0.7, BOX)]), 1)
    assert math.isnan(curve.recall[0])
    assert curve.precision[0] == 0
    assert math.isnan(curve.best.threshold)


def test_what_lies_in_a_crowd_does_not_count():
    curve = curves.curve(matches([(1, BOX)], [(1, 0.7, BOX)], crowd=[True]), 1)
    assert math.isnan(curve.precision[0])


def test_calibration():
    corner = [0, 0, 50, 50]
    found = [(1, 0.95, BOX), (1, 0.91, corner), (1, 0.25, FAR), (1, 1.0, corner)]
    result = curves.calibration(matches([(1, BOX), (1, FAR)], found), [1])
    assert [part.count for part in result.bins] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 3]
    assert result.bins[9].precision == pytest.approx(1 / 3)
    assert result.bins[9].score == pytest.approx(2.86 / 3)
    # |0.25 - 1| once and |2.86/3 - 1/3| three times, over four detections.
    assert result.expected_error == pytest.approx((0.75 + 1.86) / 4)


def test_calibration_without_detections():
    assert math.isnan(curves.calibration(matches([(1, BOX)], []), [1]).expected_error)
