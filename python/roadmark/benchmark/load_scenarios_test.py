"""Kinds of load, on a clock that moves only when something is detected."""

import numpy as np
import pytest

from roadmark.benchmark import load_scenarios


class _Clock:
    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def wait_until(self, moment):
        self.time = max(self.time, moment)

    def detect(self, pictures):
        self.time += 0.010 * pictures


def test_streams_take_what_their_pictures_take():
    clock = _Clock()
    assert load_scenarios.streams(clock.detect, 5, 1, clock) == pytest.approx(10)
    assert load_scenarios.streams(clock.detect, 5, 8, clock) == pytest.approx(80)


def test_arrivals_that_come_slowly_do_not_wait():
    clock = _Clock()
    taken = load_scenarios.arriving(clock.detect, 50, 0.1, clock)
    assert np.median(taken) == pytest.approx(10)


def test_who_arrives_while_another_is_served_waits_for_its_turn():
    """The mean wait of a queue with random arrivals and constant service (Pollaczek-Khinchine)."""
    clock = _Clock()
    use = 0.5
    taken = load_scenarios.arriving(clock.detect, 20_000, use / 0.010, clock)
    assert taken.mean() == pytest.approx(10 * (1 + use / (2 * (1 - use))), rel=0.05)


def test_the_server_finds_a_rate_within_its_bound():
    clock = _Clock()
    served = load_scenarios.server(clock.detect, 2000, np.full(9, 10.0), clock)
    assert 0 < served.p99_ms <= served.bound_ms == 30
    faster = load_scenarios.arriving(clock.detect, 2000, served.rate + 90 / 16, clock)
    assert np.percentile(faster, 99) > served.bound_ms


def test_a_bound_that_no_rate_keeps_is_said():
    clock = _Clock()
    hurried = load_scenarios.server(clock.detect, 50, np.full(9, 1.0), clock)
    assert (hurried.rate, hurried.p99_ms, hurried.bound_ms) == (0, 0, 3)


def test_all_four_are_told_with_what_they_rest_on():
    clock = _Clock()
    found = load_scenarios.all_of_them(clock.detect, 16, 1.0, clock)
    assert found["single_stream"] == {
        "p50_ms": pytest.approx(10),
        "p90_ms": pytest.approx(10),
        "p99_ms": pytest.approx(10),
        "queries": 16,
    }
    assert found["multi_stream"]["queries"] == 2
    assert found["offline"] == {"pictures_per_s": pytest.approx(100), "pictures": 16}


@pytest.mark.parametrize(("limit_s", "queries"), [(1.0, 50), (0.2, 20), (0.01, 8)])
def test_a_slow_network_gets_fewer_queries(limit_s, queries):
    clock = _Clock()
    found = load_scenarios.all_of_them(clock.detect, 50, limit_s, clock)
    assert found["single_stream"]["queries"] == queries
