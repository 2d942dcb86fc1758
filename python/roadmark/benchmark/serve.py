"""The suite `serve`: the HTTP service beside its engine alone, and what it promises under load."""

import contextlib
import functools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from roadmark import locations
from roadmark.benchmark import suite, timing, untrained_models
from roadmark.benchmark.computer import Bandwidth
from roadmark.benchmark.contender import Contenders
from roadmark.benchmark.report import Report, Row
from roadmark.benchmark.suite import Measured, Options
from roadmark.data import synthetic

_SERVE = Path(__file__).parents[2] / "serve.py"
_LOAD = "roadmark.benchmark.http_load"
_ENGINE_ALONE = "roadmark.benchmark.contenders.engine_alone:running"
_CACHE = Path(locations.RUNS) / "bench"
_MODEL, _SMALL_MODEL = "ssd_mobilenet_v2_fpnlite_640", "quickstart"
_WIDTH, _HEIGHT = 640, 360
_BATCH_SIZE = 8
_RELOADS = 20
_LOADED = 0.7
_PATIENCE_S = 120
_REQUESTS, _QUICK_REQUESTS = 100_000, 5_000


def run(options: Options) -> Report:
    """Runs the suite.

    Args:
        options: The user's. `model` is an exported folder; when there is none, exports with random
            weights are measured.

    Raises:
        RuntimeError: The service failed; its log.
    """

    def measure(running: Contenders, _: Bandwidth) -> Measured:
        with tempfile.TemporaryDirectory() as folder:
            parts = _Suite(options, running, Path(folder)).parts()
            return [row for name, part in parts if options.wants(name) for row in part()], []

    packages = ["openvino", "fastapi", "uvicorn", "pillow", "numpy"]
    return suite.report_of(options, [max(options.threads)], measure, _ENGINE_ALONE, packages)


class _Suite:
    def __init__(self, options: Options, running: Contenders, folder: Path) -> None:
        self._options, self._running, self._folder = options, running, folder
        self.threads = max(options.threads)
        self._is_quick = options.effort == timing.QUICK
        self._picture = folder / "street.jpg"
        street = Image.fromarray(synthetic.render_scene(7, 0).image)
        street.resize((_WIDTH, _HEIGHT)).save(self._picture, quality=90)

    def parts(self) -> tuple[tuple[str, Callable[[], list[Row]]], ...]:
        """Name of each group of figures, and what measures it."""
        return (
            ("throughput and p99", self._speed),
            ("reloads and a drain", self._reloads),
            ("memory", self._memory),
        )

    def _model(self, name: str) -> Path:
        given = self._options.model
        if given is not None:
            return given
        configs, say = self._options.configs, self._options.say
        return untrained_models.make(_CACHE, configs, [name], self.threads, say)[0]

    def _speed(self) -> list[Row]:
        model = self._model(_MODEL)
        with self._service(model) as service:
            ours, alone = self._throughputs(model, service)
            return [
                self._row(
                    "throughput of the service",
                    "the engine alone",
                    1e3 / ours,
                    1e3 / alone,
                    0.9,
                    "ms/picture",
                    f"{model}; JPEG of {_WIDTH}x{_HEIGHT} over HTTP to JSON, {3 * _BATCH_SIZE} "
                    f"requests at a time; the engine alone on ready batches of {_BATCH_SIZE}; the "
                    f"client beside the service {self._where_the_client_runs()}",
                ),
                *self._latencies(service, ours, alone),
            ]

    def _throughputs(self, model: Path, service: "_Service") -> tuple[float, float]:
        """Pictures per second of the service and of the engine alone, which take turns."""
        seconds, rounds = (6.0, 3) if self._is_quick else (20.0, 5)
        busy = functools.partial(self._load, service, connections=3 * _BATCH_SIZE)
        rate = _rate(busy(seconds=2.0))
        batches = max(2, round(rate * seconds / _BATCH_SIZE))
        engine = self._running.get(_ENGINE_ALONE, is_foreign=False, threads=self.threads)
        terms = {"model": str(model), "batch_size": _BATCH_SIZE, "batches": batches}
        engine.prepare(_ENGINE_ALONE, self._folder, terms)
        ours, alone = [], []
        for _ in range(rounds):
            self._options.say("throughput of the service, then of the engine alone")
            ours.append(_rate(busy(seconds=seconds)))
            alone.append(batches * _BATCH_SIZE / engine.seconds(1))
        return statistics.median(ours), statistics.median(alone)

    def _latencies(self, service: "_Service", ours: float, alone: float) -> Iterator[Row]:
        seconds = 20.0 if self._is_quick else 120.0
        one = self._load(service, connections=1, seconds=seconds / 4)["milliseconds"]
        kinds = (
            ("even", False, statistics.median(one), "one request alone, median"),
            ("random", True, 1e3 * _BATCH_SIZE / alone, f"a batch of {_BATCH_SIZE} in the engine"),
        )
        for kind, is_random, service_ms, what in kinds:
            self._options.say(f"p99 at {_LOADED:.0%} load, {kind} arrivals")
            found = self._load(
                service,
                connections=8 * _BATCH_SIZE,
                seconds=seconds,
                rate=_LOADED * ours,
                is_random=is_random,
            )
            times = sorted(found["milliseconds"])
            yield self._row(
                f"p99 at {_LOADED:.0%} load, {kind} arrivals",
                "twice the service time",
                times[int(0.99 * (len(times) - 1))],
                2 * service_ms,
                1.0,
                "ms",
                f"{len(times):,} requests, {_LOADED * ours:.1f} a second, from when each was due; "
                f"median {statistics.median(times):.1f} ms; service time: {what}, "
                f"{service_ms:.1f} ms; {_failures(found)} failed",
            )

    def _reloads(self) -> list[Row]:
        with self._service(self._model(_SMALL_MODEL)) as service:
            with self._loading(service, connections=2 * _BATCH_SIZE) as client:
                for number in range(1, _RELOADS + 1):
                    self._options.say(f"reload {number} of {_RELOADS}")
                    service.signal(signal.SIGHUP)
                    service.wait_for("reloaded", number)
                service.signal(signal.SIGTERM)
                service.wait()
            found = client.result()
        return [
            self._row(
                f"1 + failed requests, {_RELOADS} reloads and a drain",
                "none failed",
                1.0 + _failures(found),
                1.0,
                1.0,
                "",
                f"{sum(found['statuses'].values()):,} requests answered, {2 * _BATCH_SIZE} at a "
                f"time: {found['statuses']}, {found['broken']} broken",
            )
        ]

    def _memory(self) -> list[Row]:
        requests = _QUICK_REQUESTS if self._is_quick else _REQUESTS
        resident = []
        with self._service(self._model(_SMALL_MODEL)) as service:
            load = functools.partial(self._loading, service, connections=2 * _BATCH_SIZE)
            with load(requests=requests) as client:
                while not client.done():
                    resident.append(service.resident)
                    time.sleep(0.1)
        found = client.result()
        begin = resident[len(resident) // 10]
        return [
            self._row(
                f"resident memory grows over {requests:,} requests",
                "bound",
                max((resident[-1] - begin) / 1e6, 0.1),
                20.0,
                1.0,
                "MB",
                f"from a tenth of the time ({begin / 1e6:.0f} MB) to its end, highest "
                f"{max(resident) / 1e6:.0f} MB; {found['statuses']}, {found['broken']} broken",
            )
        ]

    @contextlib.contextmanager
    def _service(self, model: Path) -> Iterator["_Service"]:
        self._options.say(f"starting the service on {model}")
        service = _Service(model, self.threads, self._folder / "log")
        try:
            yield service
        finally:
            service.close()

    def _load(self, service: "_Service", **terms: Any) -> dict[str, Any]:
        """Runs the client to its end."""
        load = {"port": service.port, "picture": str(self._picture), **terms}
        done = subprocess.run(
            [sys.executable, "-P", "-m", _LOAD],
            input=json.dumps(load),
            stdout=subprocess.PIPE,
            env=_environment(),
            text=True,
            check=True,
            preexec_fn=self._place_client,
        )
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def _loading(self, service: "_Service", **terms: Any) -> Iterator["Future[dict[str, Any]]"]:
        """Runs the client beside the block; its answers are there at the end."""
        with ThreadPoolExecutor(1) as thread:
            try:
                yield thread.submit(self._load, service, **terms)
            except BaseException:
                service.close()  # Ends the client too.
                raise

    def _spare(self) -> list[int]:
        return sorted(os.sched_getaffinity(0))[self.threads :]

    def _place_client(self) -> None:
        os.sched_setaffinity(0, self._spare() or os.sched_getaffinity(0))

    def _where_the_client_runs(self) -> str:
        return "on processors of its own" if self._spare() else "on the same processors"

    def _row(
        self,
        operation: str,
        peer: str,
        ours: float,
        theirs: float,
        target: float,
        unit: str,
        counted: str,
    ) -> Row:
        return Row(
            suite="serve",
            operation=operation,
            size=f"{_WIDTH}x{_HEIGHT}",
            threads=self.threads,
            device="cpu",
            peer=peer,
            unit=unit,
            ours=ours,
            theirs=theirs,
            target=target,
            floor=None,
            floor_basis="",
            counted=counted,
            agreement="nothing to compare",
        )


class _Service:
    """The app in a process of its own.

    Args:
        model: The exported folder.
        threads: Of the network, and processors of the process.
        log: Where to write its log.
    """

    def __init__(self, model: Path, threads: int, log: Path) -> None:
        allowed = sorted(os.sched_getaffinity(0))[:threads]
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", str(_SERVE), f"--model=model={model}", "--port=0"),
                    *(f"--threads={threads}", f"--batch_size={_BATCH_SIZE}", "--drain_s=2"),
                ],
                stderr=file,
                env=_environment(),
                preexec_fn=lambda: os.sched_setaffinity(0, allowed),
            )
        self.port = int(self.wait_for("serving")["url"].rsplit(":", 1)[1])

    @property
    def resident(self) -> int:
        """Bytes."""
        return psutil.Process(self._process.pid).memory_info().rss

    def signal(self, number: int) -> None:
        """Sends a signal."""
        self._process.send_signal(number)

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """The line of the log with an event, when it has come so many times."""
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end and self._process.poll() is None:
            lines = self._log.read_text().splitlines(keepends=True)
            found = [line for line in lines if f'"event": "{event}"' in line and line[-1] == "\n"]
            if len(found) >= count:
                return json.loads(found[count - 1])
            time.sleep(0.05)
        raise RuntimeError(f"the service did not say {event!r}: {self._log.read_text()[-2000:]}")

    def wait(self) -> None:
        """Until it has ended."""
        code = self._process.wait(_PATIENCE_S)
        if code:
            raise RuntimeError(f"the service ended with {code}: {self._log.read_text()[-2000:]}")

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


def _environment() -> dict[str, str]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1"}


def _rate(found: dict[str, Any]) -> float:
    failed = _failures(found)
    if failed:
        raise RuntimeError(f"{failed} requests failed: {found['statuses']}")
    return len(found["milliseconds"]) / found["seconds"]


def _failures(found: dict[str, Any]) -> int:
    statuses = found["statuses"]
    return found["broken"] + sum(count for status, count in statuses.items() if status != "200")
