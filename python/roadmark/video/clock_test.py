from fractions import Fraction

import pytest

from roadmark.video.clock import Clock

_NTSC = Fraction(30000, 1001)
_MILLISECOND = Fraction(1, 1000)


def seconds(clock, times):
    return [clock.tick(pts) * clock.time_base for pts in times]


@pytest.mark.parametrize("rate", [_NTSC, Fraction(24000, 1001), Fraction(25), Fraction(60)])
@pytest.mark.parametrize("first", [0, 7])
def test_times_rounded_to_milliseconds_become_whole_frames_again(rate, first):
    true = [Fraction(first, 1000) + index / rate for index in range(500)]
    rounded = [round(time * 1000) for time in true]
    assert seconds(Clock(_MILLISECOND, rate), rounded) == true


def test_varying_times_stay_within_half_a_tick():
    times = [0, 40, 81, 200, 233, 900]
    found = seconds(Clock(_MILLISECOND, Fraction(20, 3)), times)
    assert all(
        abs(a - b * _MILLISECOND) <= _MILLISECOND / 2 for a, b in zip(found, times, strict=True)
    )


@pytest.mark.parametrize("base", [Fraction(1, 30000), Fraction(1, 90000), Fraction(1001, 30000)])
def test_exact_times_are_left_alone(base):
    clock = Clock(base, _NTSC)
    times = [0, 1, 5, 3003, 3004, 9000]
    assert clock.time_base == base
    assert [clock.tick(pts) for pts in times] == times


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 10, 10, 11], [0, 10, 11, 12]),
        ([0, 10, 5, 30], [0, 10, 11, 30]),
        ([None, None, 70, None], [0, 40, 70, 110]),
    ],
    ids=["repeated", "backwards", "missing"],
)
def test_times_always_increase(times, expected):
    clock = Clock(_MILLISECOND, Fraction(25))
    assert [clock.tick(pts) for pts in times] == expected


def test_ticks_fit_into_32_bits():
    clock = Clock(Fraction(1, 1_000_003), Fraction(999_983, 1001))
    assert clock.time_base == Fraction(1, 1_000_003)
