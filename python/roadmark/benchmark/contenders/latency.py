"""A detector's whole path, split into its parts, and under MLPerf's kinds of load.

Each function's result has `facts`: a JSON object in bytes.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from roadmark import manifest
from roadmark.benchmark import load_scenarios, power
from roadmark.evaluation import records
from roadmark.inference import evaluate
from roadmark.inference.detector import Detector

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]

# Columns of `samples`, in milliseconds. What `total` has beyond the sum of the others is the way
# from one to the next.
PARTS = ("pre", "to_device", "network", "to_host", "post", "total")
_FIRST_CALLS = 5


class _Parts(Detector):
    """A detector that notes how long its parts take."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._spent: dict[str, float] = {}
        self.enqueue: list[float] = []

    def start(self, *arguments: Any, **options: Any) -> Any:
        with self._noted("enqueue"):
            return super().start(*arguments, **options)

    def preprocess(self, *arguments: Any, **options: Any) -> Any:
        with self._noted("pre"):
            return super().preprocess(*arguments, **options)

    def postprocess(self, *arguments: Any, **options: Any) -> Any:
        with self._noted("post"):
            return super().postprocess(*arguments, **options)

    def sample(self, pictures: Sequence[np.ndarray]) -> list[float]:
        """Milliseconds of each of `PARTS` in one call of `detect`."""
        with self._noted("total"):
            self.detect(pictures)
        self.enqueue.append(self._spent["enqueue"])
        spent = self.engine.spent
        of_engine = {name: getattr(spent, name) for name in ("to_device", "network", "to_host")}
        return [(self._spent | of_engine)[part] for part in PARTS]

    @contextmanager
    def _noted(self, part: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self._spent[part] = 1e3 * (time.perf_counter() - begin)


def detecting(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Pictures to boxes, call after call.

    Options: model, trust, engine, device, precision, batch; calls and limit_s of a round. Arrays:
    `picture`. The result: `samples` `[calls, parts]`; `scores` of the picture's boxes; facts
    load_s, first_ms, warm_up_ms, warm_up_calls, peak_mb, enqueue_ms.
    """
    detector, load_s = _loaded(options, threads)
    pictures = [arrays["picture"]] * options["batch"]
    first = [detector.sample(pictures)[-1] for _ in range(_FIRST_CALLS)]

    def call() -> Arrays:
        meter = power.Meter()
        samples = repeat(lambda: detector.sample(pictures), options)
        watts = power.gpu_watts() if options["device"] == "gpu" else meter.watts()
        facts = {"load_s": load_s, **warm_up(first, samples[:, -1]), "peak_mb": peak_mb()}
        facts["enqueue_ms"] = float(np.median(detector.enqueue[-len(samples) :]))
        facts |= {} if watts is None else {"watts": watts}
        scores = detector.detect(pictures)[0].scores
        return {"samples": samples, "scores": scores, "facts": as_bytes(facts)}

    return call, lambda found: found


def scenarios(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """MLPerf's four kinds of load; see `load_scenarios`.

    Options: model, trust, engine, device, precision; queries of each and limit_s.
    Arrays: `picture`.
    """
    detector, _ = _loaded(options, threads)

    def detect(count: int) -> None:
        detector.detect([arrays["picture"]] * count)

    def call() -> Arrays:
        found = load_scenarios.all_of_them(detect, options["queries"], options["limit_s"])
        return {"facts": as_bytes(found)}

    return call, lambda found: found


def evaluating(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Accuracy; the fact is `map`.

    Options: model, trust, engine, device, precision; records and subset.
    """
    del arrays
    detector, _ = _loaded(options, threads)
    selection = records.select(options["records"], options["subset"])

    def call() -> Arrays:
        found = evaluate.evaluate(options["model"], detector, selection)
        return {"facts": as_bytes({"map": found.metrics.summary["bbox"]["mAP"]})}

    return call, lambda found: found


def repeat(sample: Callable[[], Sequence[float]], options: Mapping[str, Any]) -> np.ndarray:
    """Samples of a round, after one that does not count: at least 2."""
    sample()
    end = time.monotonic() + options["limit_s"]
    samples = [sample(), sample()]
    while len(samples) < options["calls"] and time.monotonic() < end:
        samples.append(sample())
    return np.array(samples)


def warm_up(first: Sequence[float], later: np.ndarray) -> dict[str, float]:
    """The first call, and the calls before one took at most a tenth more than the median later.

    Args:
        first: Milliseconds of the first calls.
        later: Of calls after those.
    """
    usual = 1.1 * float(np.median(later))
    calls = next((number for number, ms in enumerate(first) if ms <= usual), len(first))
    return {"first_ms": first[0], "warm_up_calls": calls, "warm_up_ms": sum(first[:calls])}


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 / 1e6


def as_bytes(facts: Mapping[str, Any]) -> np.ndarray:
    """A JSON object as an array."""
    return np.frombuffer(json.dumps(facts).encode(), np.uint8)


def _loaded(options: Mapping[str, Any], threads: int) -> tuple[_Parts, float]:
    description = manifest.load(options["model"], options["trust"])
    begin = time.perf_counter()
    detector = _Parts.load(
        options["model"],
        options["engine"],
        options["device"],
        options["precision"],
        threads,
        description,
    )
    return detector, time.perf_counter() - begin
