import math

import numpy as np
import pytest

from roadmark.evaluation import average_precision, bootstrap, matching
from roadmark.evaluation.average_precision import Ranking
from roadmark.testing.marked_and_found import BOX, FAR, NAMES, picture, random_pictures


def confidence(pictures, groups, seed=0):
    rankings = [Ranking(matching.match(pictures, NAMES), class_id) for class_id in NAMES]
    return bootstrap.confidence(rankings, np.array(groups), "drives", seed, resamples=200)


def test_equal_drives_leave_no_doubt():
    right = picture([(1, BOX)], [(1, 0.9, BOX)])
    found = confidence([right] * 6, [0, 0, 1, 1, 2, 2])
    assert (found.unit, found.units) == ("drives", 3)
    assert found.intervals["mAP"].low == found.intervals["mAP"].high == pytest.approx(1)


def test_drives_are_drawn_whole():
    """Two drives, all right and all missed: one quarter of the samples has only one of them."""
    right, missed = picture([(1, BOX)], [(1, 0.9, BOX)]), picture([(1, FAR)], [])
    found = confidence([right] * 20 + [missed] * 20, [0] * 20 + [1] * 20)
    assert (found.intervals["mAP"].low, found.intervals["mAP"].high) == pytest.approx((0, 1))
    single = confidence([right] * 20 + [missed] * 20, range(40))
    assert 0.2 < single.intervals["mAP"].low < 0.4 < 0.6 < single.intervals["mAP"].high < 0.8


def test_the_seed_decides_and_the_metric_lies_inside():
    pictures = random_pictures(5)
    first, again, other = (confidence(pictures, range(40), seed) for seed in (1, 1, 2))
    assert first == again
    assert first.intervals != other.intervals
    rankings = [Ranking(matching.match(pictures, NAMES), class_id) for class_id in NAMES]
    value = average_precision.mean(rankings, np.ones(40)).mean()
    assert first.intervals["mAP"].low < value < first.intervals["mAP"].high


def test_one_drive_alone_gives_no_interval():
    found = confidence([picture([(1, BOX)], [])], [0])
    assert found.units == 1
    assert math.isnan(found.intervals["mAP"].low)


def ranked(pictures):
    return [Ranking(matching.match(pictures, NAMES), class_id) for class_id in NAMES]


def compared(first, second, groups=range(40)):
    """The difference of mAP between two evaluations."""
    pairs, own = bootstrap.differences([ranked(first), ranked(second)], np.array(groups), 0, 200)
    assert [(one.first, one.second, one.metric) for one in pairs] == [(0, 1, "mAP"), (0, 1, "AP50")]
    return pairs[0], [intervals["mAP"] for intervals in own]


def test_an_evaluation_is_no_better_than_itself():
    pair, (first, second) = compared(random_pictures(5), random_pictures(5))
    assert (pair.value, pair.interval.low, pair.interval.high) == (0, 0, 0)
    assert not pair.is_real
    assert first == second


def test_a_small_gain_everywhere_is_real_though_the_intervals_overlap():
    """Half of the drives are hard for both; the second puts one wrong box less into each."""
    easy, hard = [(1, 0.9, BOX)], [(1, 0.5, BOX), (1, 0.9, FAR), (1, 0.8, [0, 0, 9, 9])]
    first = [picture([(1, BOX)], found) for found in (easy, hard) * 20]
    second = [picture([(1, BOX)], found) for found in (easy, hard[:2]) * 20]
    pair, (one, other) = compared(first, second)
    assert pair.value > 0
    assert pair.is_real
    assert one.high > other.low


def test_luck_is_not_real():
    """Each is right in every other picture, and one of them in one more."""
    right, wrong = picture([(1, BOX)], [(1, 0.9, BOX)]), picture([(1, BOX)], [(1, 0.9, FAR)])
    pair, _ = compared([right, wrong] * 20, [wrong, right] * 19 + [right, right])
    assert pair.value != 0
    assert not pair.is_real


def test_one_drive_alone_shows_no_difference():
    pair, _ = compared([picture([(1, BOX)], [])], [picture([(1, BOX)], [(1, 0.9, BOX)])], [0])
    assert pair.value == pytest.approx(1)
    assert not pair.is_real
