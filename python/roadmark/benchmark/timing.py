"""Timing of two contenders in turn. Needs the standard library alone: peers' processes use it too.

A machine's speed drifts: its clock, its caches, its other work. Samples of both sides therefore
alternate, and medians are compared.
"""

import dataclasses
import gc
import math
import statistics
import time
from collections.abc import Callable

Clock = Callable[[int], float]
"""Takes a number of calls, makes them one after the other, gives the seconds they took."""

_WARM_UP_S = 0.1


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much time a figure is worth.

    Attributes:
        rounds: Samples of each side, at most.
        least_rounds: Samples of each side, at least.
        sample_s: A sample is made of so many calls that it takes about this long.
        limit_s: No further sample is begun after this, but for `least_rounds`.
    """

    rounds: int
    least_rounds: int
    sample_s: float
    limit_s: float


THOROUGH = Effort(rounds=25, least_rounds=7, sample_s=0.03, limit_s=20)
QUICK = Effort(rounds=9, least_rounds=3, sample_s=0.01, limit_s=4)


def seconds(call: Callable[[], object], calls: int) -> float:
    """The time that `calls` calls take, without collections of garbage."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        return time.perf_counter() - begin
    finally:
        if collecting:
            gc.enable()


def in_turn(ours: Clock, theirs: Clock, effort: Effort) -> tuple[float, float]:
    """Times two contenders: ours, theirs, ours, theirs, ...

    Args:
        ours: The one side.
        theirs: The other.
        effort: When to stop.

    Returns:
        The median seconds of one call of each.
    """
    sides = (ours, theirs)
    calls = [_calls_per_sample(side, effort.sample_s) for side in sides]
    samples: list[list[float]] = [[], []]
    end = time.monotonic() + effort.limit_s
    for done in range(effort.rounds):
        if done >= effort.least_rounds and time.monotonic() > end:
            break
        for side, count, taken in zip(sides, calls, samples, strict=True):
            taken.append(side(count) / count)
    return statistics.median(samples[0]), statistics.median(samples[1])


def _calls_per_sample(side: Clock, sample_s: float) -> int:
    """Warms up, and finds how many calls a sample needs."""
    calls, taken = 1, side(1)
    begin = time.monotonic()
    while time.monotonic() - begin < _WARM_UP_S:
        taken = side(calls) / calls
        calls = min(2 * calls, max(1, math.ceil(sample_s / max(taken, 1e-9))))
    return max(1, math.ceil(sample_s / max(taken, 1e-9)))
