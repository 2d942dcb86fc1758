import math

from roadmark.benchmark import timing


class Side:
    """A clock that never ran: each call takes the next of `durations`, over and over."""

    def __init__(self, name, log, durations):
        self._name, self._log, self._durations, self._made = name, log, durations, 0

    def __call__(self, calls):
        self._log.append(self._name)
        taken = [self._durations[(self._made + i) % len(self._durations)] for i in range(calls)]
        self._made += calls
        return sum(taken)


def effort(**changes):
    return timing.Effort(
        **{"rounds": 5, "least_rounds": 2, "sample_s": 1.0, "limit_s": 60} | changes
    )


def test_medians_of_samples_that_alternate():
    log = []
    # One call lasts longer than a sample, so that each sample is one call.
    ours = Side("ours", log, [2.0, 2.0, 2.0, 90.0])
    theirs = Side("theirs", log, [3.0])
    assert timing.in_turn(ours, theirs, effort()) == (2.0, 3.0)
    assert log[-10:] == ["ours", "theirs"] * 5


def test_short_calls_are_repeated_within_a_sample():
    counts = []

    def side(calls):
        counts.append(calls)
        return calls * 0.01

    found, _ = timing.in_turn(side, lambda calls: calls * 2.0, effort())
    assert math.isclose(found, 0.01)
    assert counts[-1] == 100


def test_an_expensive_figure_ends_early_but_not_too_early():
    log = []
    sides = [Side(name, log, [5.0]) for name in ("ours", "theirs")]
    timing.in_turn(*sides, effort(limit_s=-1, least_rounds=3))
    before_last_three = log[: -2 * 3]
    assert before_last_three == sorted(before_last_three), "warm-up: one side, then the other"


def test_seconds_pass():
    calls = []
    assert timing.seconds(lambda: calls.append(1), 7) > 0
    assert len(calls) == 7
