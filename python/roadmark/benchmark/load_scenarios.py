"""MLPerf Inference's kinds of load (https://arxiv.org/abs/1911.02549), in small.

Single stream: the next query comes when the last is answered. Multiple streams: likewise, each
with several pictures. Server: queries come at random, as a Poisson process, and wait their turn;
what counts is the highest rate at which the 99th percentile stays within a bound. Offline: all
pictures are there at the beginning.

MLPerf's rules ask for up to 270,336 queries and 10 minutes; here it is some tens to hundreds, so a
percentile says less, and results are not MLPerf's.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

Detect = Callable[[int], object]
"""Takes a number of pictures, and returns when they are done."""

STREAMS = 8
# The server's 99th percentile, in medians of a single stream.
BOUND = 3.0
_BISECTIONS = 4
# Of what the network could do without a pause; below, a try would take long and say little.
_LOWEST_RATE = 0.1
_OFFLINE_BATCH = 8
_SEED = 0
_FEWEST = 8


class Clock(Protocol):
    """What time it is."""

    def now(self) -> float:
        """Seconds from some beginning."""

    def wait_until(self, moment: float) -> None:
        """Returns then, or at once where it has passed."""


class WallClock:
    """The machine's."""

    def now(self) -> float:
        """See `Clock`."""
        return time.perf_counter()

    def wait_until(self, moment: float) -> None:
        """See `Clock`."""
        time.sleep(max(0.0, moment - time.perf_counter()))


@dataclasses.dataclass(frozen=True)
class Served:
    """What came of the server's kind of load.

    Attributes:
        rate: Queries per second, the highest found whose 99th percentile is within the bound; 0
            where none is.
        p99_ms: At that rate.
        bound_ms: What it may be.
    """

    rate: float
    p99_ms: float
    bound_ms: float


def all_of_them(
    detect: Detect, queries: int, limit_s: float, clock: Clock | None = None
) -> dict[str, Any]:
    """Runs the four.

    Args:
        detect: What is measured; warm.
        queries: Of each kind, at most.
        limit_s: Fewer queries are made where one stream would take longer for them, down to 8.
        clock: The machine's when left out.

    Returns:
        `single_stream` and `multi_stream` with p50_ms, p90_ms, p99_ms; `server`, see `Served`;
        `offline` with pictures_per_s; each with its number of queries.
    """
    clock = clock or WallClock()
    usual_ms = float(np.median(streams(detect, 3, 1, clock)))
    queries = min(queries, max(_FEWEST, int(1e3 * limit_s / usual_ms)))
    single = streams(detect, queries, 1, clock)
    multiple = streams(detect, max(2, queries // STREAMS), STREAMS, clock)
    served = server(detect, queries, single, clock)
    begin = clock.now()
    batches = max(1, queries // _OFFLINE_BATCH)
    for _ in range(batches):
        detect(_OFFLINE_BATCH)
    pictures = batches * _OFFLINE_BATCH
    return {
        "single_stream": _percentiles(single),
        "multi_stream": _percentiles(multiple) | {"pictures": STREAMS},
        "server": dataclasses.asdict(served) | {"queries": queries},
        "offline": {"pictures_per_s": pictures / (clock.now() - begin), "pictures": pictures},
    }


def streams(detect: Detect, queries: int, pictures: int, clock: Clock) -> np.ndarray:
    """Milliseconds of each of some queries, one after the other."""
    taken = []
    for _ in range(queries):
        begin = clock.now()
        detect(pictures)
        taken.append(1e3 * (clock.now() - begin))
    return np.array(taken)


def server(detect: Detect, queries: int, single: np.ndarray, clock: Clock) -> Served:
    """The highest rate of arrivals within the bound, by bisection.

    Args:
        detect: What is measured.
        queries: How many arrive at each rate that is tried.
        single: Milliseconds of queries that did not wait.
        clock: The time.
    """
    usual = float(np.median(single))
    found = Served(0.0, 0.0, BOUND * usual)
    high = 1e3 / usual
    low = _LOWEST_RATE * high
    for _ in range(_BISECTIONS):
        rate = (low + high) / 2
        p99 = float(np.percentile(arriving(detect, queries, rate, clock), 99))
        if p99 <= BOUND * usual:
            low, found = rate, Served(rate, p99, BOUND * usual)
        else:
            high = rate
    return found


def arriving(detect: Detect, queries: int, rate: float, clock: Clock) -> np.ndarray:
    """Milliseconds from arrival to answer, of queries that come at random and are served in turn.

    Args:
        detect: What is measured.
        queries: How many.
        rate: Per second, on average.
        clock: The time.
    """
    gaps = np.random.default_rng(_SEED).exponential(1 / rate, queries)
    taken, begin = [], clock.now()
    for arrival in begin + np.cumsum(gaps):
        clock.wait_until(float(arrival))
        detect(1)
        taken.append(1e3 * (clock.now() - float(arrival)))
    return np.array(taken)


def _percentiles(taken: np.ndarray) -> dict[str, float]:
    found = {f"p{share}_ms": float(np.percentile(taken, share)) for share in (50, 90, 99)}
    return found | {"queries": len(taken)}
