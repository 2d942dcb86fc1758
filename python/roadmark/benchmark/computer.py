"""The machine that a benchmark ran on, as far as it bears on its figures."""

import dataclasses
import datetime
import os
import tempfile
from pathlib import Path
from typing import Any

from roadmark.benchmark.contender import Contenders
from roadmark.doctor import machine

# From what a core's own cache holds to more than all caches hold.
_COPIED_BYTES = tuple(2**power for power in (15, 18, 20, 22, 24, 26, 28))
_COPIED_ALTOGETHER = 2**29
_BUSY_FROM = 0.3


@dataclasses.dataclass(frozen=True)
class Bandwidth:
    """Bytes per second that a copy reads and writes, by number of threads and bytes copied.

    A copy within a cache is faster than one within memory, so the size decides.
    """

    rates: dict[int, dict[int, float]]

    def milliseconds(self, moved: int, threads: int) -> float:
        """How long a copy takes that reads and writes so many bytes altogether."""
        rates = self.rates[threads]
        fits = [size for size in rates if 2 * size >= moved]
        return moved / rates[min(fits, default=max(rates))] * 1e3

    def of_memory(self) -> dict[int, float]:
        """Bytes per second of the largest copy, by number of threads."""
        return {threads: rates[max(rates)] for threads, rates in self.rates.items()}


def load_average() -> float:
    """Programs that wanted a processor in the last minute, on average."""
    return os.getloadavg()[0]


def busy_warning(load: float) -> str | None:
    """One line when other work would blur the figures."""
    cores = len(os.sched_getaffinity(0))
    if load < _BUSY_FROM:
        return None
    return (
        f"warning: the machine is busy (load average {load:.1f} on {cores} cores); "
        "figures will be too high and uneven"
    )


def describe(load: float, versions: dict[str, str], bandwidth: Bandwidth) -> dict[str, Any]:
    """What goes into the report.

    Args:
        load: The load average when the run began.
        versions: Package to version.
        bandwidth: As measured in this run.
    """
    here = machine.look()
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "system": here.system,
        "cpu": here.cpu.model,
        "cores": here.cpu.cores,
        "instruction_sets": [name for name, there in here.cpu.features.items() if there],
        "memory_gb": here.memory_gb,
        "gpus": [gpu.name for gpu in here.gpus],
        "load_average_at_start": round(load, 2),
        "busy": load >= _BUSY_FROM,
        "memory_bandwidth_gb_per_s": {
            f"{threads} threads": round(rate / 1e9, 1)
            for threads, rate in bandwidth.of_memory().items()
        },
        "versions": versions,
    }


def measure_bandwidth(running: Contenders, threads: list[int]) -> Bandwidth:
    """Copies arrays of several sizes; of each the best of five runs counts."""
    return Bandwidth(
        {
            number: {size: _rate(running, number, size) for size in _COPIED_BYTES}
            for number in threads
        }
    )


def _rate(running: Contenders, threads: int, size: int) -> float:
    function = "roadmark.benchmark.contenders.numpy_code:copying"
    contender = running.get(function, is_foreign=False, threads=threads)
    copies = max(1, min(1000, _COPIED_ALTOGETHER // size))
    with tempfile.TemporaryDirectory() as no_arrays:
        contender.prepare(function, Path(no_arrays), {"bytes": size, "copies": copies})
    return 2 * size * copies / min(contender.seconds(1) for _ in range(5))
