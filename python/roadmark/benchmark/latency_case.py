"""What the suite `latency` measures, and what its samples say."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from roadmark.benchmark.contenders.latency import PARTS

# Rounds whose medians lie further apart were disturbed.
_STEADY = 0.10
# How far p99 may be above the median.
_EVEN = 1.5
_SHARES = {"min": 0, "median": 50, "p90": 90, "p99": 99}


@dataclasses.dataclass(frozen=True)
class Case:
    """One model on one engine.

    Attributes:
        model: Its name.
        engine: Of `inference.engine.ENGINES`, or the peer's name.
        precision: Of the network.
        batch: Pictures in a call.
        is_peer: Whether somebody else's code is measured.
        has_whole_path: Whether a call goes from pictures to boxes, and not through the network
            alone.
    """

    model: str
    engine: str
    precision: str
    batch: int
    is_peer: bool = False
    has_whole_path: bool = True

    def __str__(self) -> str:
        return f"{self.model}, {self.engine} {self.precision}, batch {self.batch}"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was found about a case.

    Attributes:
        case: What it is.
        rounds: Samples of each round, `[calls, parts]` in milliseconds, as of `PARTS`.
        facts: load_s, first_ms, warm_up_ms, warm_up_calls, peak_mb; enqueue_ms of our own cases,
            what handing a batch over took the caller; watts where the device tells.
        size_mb: Of the network's file or files.
        gflop: Of one picture; None where it is not known.
        input_size: Height and width of the network's input.
        map: Mean average precision on the records given; None where none were.
        scenarios: As of `load_scenarios.all_of_them`; empty where they were not run.
    """

    case: Case
    rounds: Sequence[np.ndarray]
    facts: Mapping[str, float]
    size_mb: float
    gflop: float | None = None
    input_size: tuple[int, int] = (0, 0)
    map: float | None = None
    scenarios: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def samples(self) -> np.ndarray:
        """Of all rounds, `[calls, parts]`."""
        return np.concatenate(self.rounds)

    @property
    def round_medians(self) -> list[float]:
        """Median milliseconds of a call in each round."""
        return [float(np.median(one[:, -1])) for one in self.rounds]

    @property
    def median(self) -> float:
        """Median of the rounds' medians, in milliseconds of a call."""
        return float(np.median(self.round_medians))

    @property
    def parts(self) -> dict[str, float]:
        """Milliseconds of each part of a call: likewise the median of the rounds' medians."""
        medians = np.median([np.median(one, axis=0) for one in self.rounds], axis=0)
        return dict(zip(PARTS, medians.tolist(), strict=True))

    @property
    def split(self) -> dict[str, dict[str, float]]:
        """Least, median, p90 and p99 of the milliseconds of each part, over all samples."""
        shares = np.percentile(self.samples, list(_SHARES.values()), axis=0).T.tolist()
        return {
            part: dict(zip(_SHARES, found, strict=True))
            for part, found in zip(PARTS, shares, strict=True)
        }

    @property
    def outside(self) -> float:
        """What a call spends outside the network, in shares of the network's time; likewise."""
        column = PARTS.index("network")
        shares = [np.median(one[:, -1] / one[:, column] - 1) for one in self.rounds]
        return float(np.median(shares))

    def percentile(self, share: float) -> float:
        """Of the milliseconds of a call."""
        return float(np.percentile(self.samples[:, -1], share))

    @property
    def pictures_per_s(self) -> float:
        """One call after the other."""
        return 1e3 * self.case.batch / self.median

    def to_dict(self) -> dict[str, Any]:
        """For the JSON."""
        count = len(self.samples)
        return {
            **dataclasses.asdict(self.case),
            "input_size": "x".join(map(str, self.input_size)),
            "median_ms": self.median,
            "min_ms": float(self.samples[:, -1].min()),
            **{f"p{share}_ms": self.percentile(share) for share in (50, 90, 99)},
            "samples": count,
            "samples_beyond": {f"p{share}": int(count * (100 - share) / 100) for share in (90, 99)},
            "parts_ms": self.parts,
            "split_ms": self.split,
            "outside_network": self.outside if self.case.has_whole_path else None,
            "round_medians_ms": self.round_medians,
            "pictures_per_s": self.pictures_per_s,
            **self.facts,
            "size_mb": self.size_mb,
            "gflop": self.gflop,
            "map": self.map,
            "scenarios": dict(self.scenarios),
            "warnings": warnings(self),
        }


def warnings(measured: Measured) -> list[str]:
    """What speaks against a case's figures, and what limits it, as trtexec tells it."""
    found = []
    medians = measured.round_medians
    apart = max(medians) / min(medians) - 1
    if apart > _STEADY:
        found.append(f"unsteady: the rounds' medians are {apart:.0%} apart")
    if measured.percentile(99) > _EVEN * measured.median:
        found.append(f"uneven: p99 is {measured.percentile(99) / measured.median:.1f} medians")
    if measured.case.has_whole_path and not measured.case.is_peer:
        parts = measured.parts
        if parts["to_device"] + parts["to_host"] > parts["network"]:
            found.append("bound by transfers: they take longer than the network")
        if measured.facts.get("enqueue_ms", 0.0) > parts["network"]:
            found.append("bound by enqueueing: handing a batch over takes longer than the network")
        if parts["pre"] + parts["post"] > parts["network"]:
            found.append("bound by pre- and post-processing: they take longer than the network")
    return found


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points than which none is both faster and more accurate, by time.

    Args:
        points: Milliseconds and mAP.
    """
    best, line = -np.inf, []
    for ms, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if accuracy > best:
            best = accuracy
            line.append((ms, accuracy))
    return line
