"""How long each stage of a pipeline takes, and which one holds up the others."""

import contextlib
import dataclasses
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

# Of a long run a random choice of so many durations stands for all.
_SAMPLES = 10_000
# From here on the processors, and not one stage, are the limit.
_CPU_BOUND = 0.9


@dataclasses.dataclass
class Lap:
    """One item in a stage.

    Attributes:
        frames: How many frames it stands for.
    """

    frames: int = 0


class StageClock:
    """Takes the times of one stage, in the stage's own thread.

    Args:
        name: Of the stage.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.frames = 0
        self.busy_s = 0.0
        self._laps = self._waiting = 0
        self._samples: list[float] = []
        self._random = random.Random(0)

    @contextlib.contextmanager
    def running(self, waiting: int = 0) -> Iterator[Lap]:
        """Times the block, unless it raises.

        Args:
            waiting: Items that lay before the stage when it came for this one.
        """
        lap, begin = Lap(), time.perf_counter()
        yield lap
        seconds = time.perf_counter() - begin
        self.busy_s += seconds
        self.frames += lap.frames
        if lap.frames:
            self._laps += 1
            self._waiting += waiting
            self._keep(seconds / lap.frames)

    def times(self, wall_s: float) -> "StageTimes":
        """What was measured, in a run of so many seconds."""
        samples = np.array(self._samples or [0.0]) * 1e3
        p50, p90, p99 = np.percentile(samples, [50, 90, 99])
        queue = self._waiting / max(1, self._laps)
        share = self.busy_s / wall_s
        return StageTimes(self.name, float(p50), float(p90), float(p99), share, queue)

    def _keep(self, seconds: float) -> None:
        # Algorithm R (Vitter 1985, "Random sampling with a reservoir").
        if len(self._samples) < _SAMPLES:
            self._samples.append(seconds)
            return
        index = self._random.randrange(self._laps)
        if index < _SAMPLES:
            self._samples[index] = seconds


@dataclasses.dataclass(frozen=True)
class StageTimes:
    """What one stage took.

    Attributes:
        name: Of the stage.
        p50_ms: Median milliseconds per frame; a batch counts as that many equal frames.
        p90_ms: The 90th percentile.
        p99_ms: The 99th percentile.
        share: Of the wall time in which the stage was at work, 0 to 1.
        queue: Batches that lay before the stage when it came for the next one, on average: near
            0 it waits for those before it, else those after it wait for it.
    """

    name: str
    p50_ms: float
    p90_ms: float
    p99_ms: float
    share: float
    queue: float


@dataclasses.dataclass(frozen=True)
class Speed:
    """What a run took.

    Attributes:
        frames: That went through all stages.
        seconds: Wall time.
        processors: Share of all processors' time that this process took, 0 to 1.
        stages: In their order.
    """

    frames: int
    seconds: float
    processors: float
    stages: tuple[StageTimes, ...]

    @classmethod
    def of(cls, clocks: Sequence[StageClock], wall_s: float, processors: float) -> "Speed":
        """Sums up the stages of a run."""
        stages = tuple(clock.times(wall_s) for clock in clocks)
        return cls(clocks[-1].frames, wall_s, processors, stages)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds

    @property
    def bottleneck(self) -> str:
        """In words, what a faster run needs."""
        longest = max(self.stages, key=lambda stage: stage.share)
        busy = f"{longest.name}, at work {longest.share:.0%} of the time"
        if self.processors >= _CPU_BOUND:
            return f"the processors, {self.processors:.0%} busy; of the stages {busy}"
        return busy

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "frames": self.frames,
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(self.fps, 2),
            "processors_busy": round(self.processors, 3),
            "bottleneck": self.bottleneck,
            "stages": [_rounded(stage) for stage in self.stages],
        }

    def to_table(self) -> Table:
        """For a terminal."""
        headings = ("stage", "p50 ms", "p90 ms", "p99 ms", "at work", "waiting")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in headings:
            table.add_column(heading, justify="left" if heading == "stage" else "right")
        for stage in self.stages:
            times = (f"{ms:.2f}" for ms in (stage.p50_ms, stage.p90_ms, stage.p99_ms))
            table.add_row(stage.name, *times, f"{stage.share:.0%}", f"{stage.queue:.1f}")
        return table


def _rounded(stage: StageTimes) -> dict[str, Any]:
    fields = dataclasses.asdict(stage)
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in fields.items()
    }
