import math

import numpy as np
import pytest

from roadmark.video.sights import Sights

_NOTHING = np.zeros((0, 4), np.float32)


def box(*corners):
    return np.array([corners], np.float32)


def test_numbers_per_frame_over_time():
    sights = Sights()
    for index in range(10):
        # Two cars in the first half second, then a second without frames, then none.
        time_s = index / 10 if index < 5 else 1.5 + index / 10
        sights.add(time_s, (64, 96), ["car", "car"] if index < 5 else [], _NOTHING)
    assert sights.slot_s == 0.25
    assert sights.per_frame("car")[:2] == [2.0, 2.0]
    assert all(map(math.isnan, sights.per_frame("car")[2:8]))
    assert sights.per_frame("car")[8:] == [0.0, 0.0]
    assert sights.frames == 10


def test_memory_does_not_depend_on_the_length_and_nothing_is_lost():
    sights = Sights()
    for second in range(0, 20_000, 7):
        sights.add(float(second), (64, 96), ["car"] * (1 if second < 10_000 else 3), _NOTHING)
    assert 120 <= len(sights.slots) <= 240
    assert sights.slot_s * len(sights.slots) == pytest.approx(20_000, abs=sights.slot_s)
    assert sum(slot.frames for slot in sights.slots) == sights.frames
    per_frame = sights.per_frame("car")
    assert (per_frame[0], per_frame[-1]) == (1.0, 3.0)


def test_heat_is_where_boxes_lie():
    sights = Sights()
    for _ in range(4):
        sights.add(0.0, (480, 960), ["car"], box(100, 200, 200, 400))
    assert sights.heat.shape == (48, 96)
    expected = np.zeros((48, 96))
    expected[10:20, 20:40] = 4
    np.testing.assert_array_equal(sights.heat, expected)


@pytest.mark.parametrize(
    ("corners", "warm"),
    [((-50, -50, 1, 1), 1), ((479, 959, 900, 1900), 1), ((-90, -90, -50, -50), 0)],
    ids=["beyond the first corner", "beyond the last", "outside"],
)
def test_boxes_beyond_the_picture(corners, warm):
    sights = Sights()
    sights.add(0.0, (480, 960), ["car"], box(*corners))
    assert sights.heat.sum() == warm
