"""The suite `cluster`: what sharing out adds to each file and each machine, on the loopback."""

import contextlib
import dataclasses
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from roadmark.benchmark import suite
from roadmark.benchmark.computer import Bandwidth
from roadmark.benchmark.contender import Contenders
from roadmark.benchmark.report import Report, Row
from roadmark.benchmark.suite import Measured, Options
from roadmark.benchmark.timing import QUICK
from roadmark.cluster import jobs
from roadmark.cluster.choice import Choice
from roadmark.cluster.jobs import Job
from roadmark.cluster.task import Task, Work
from roadmark.cluster.worker import Worker
from roadmark.errors import UserError

_VERSIONS_FROM = "roadmark.benchmark.contenders.numpy_code:copying"
_NODES = (1, 2, 4)
_FILES_EACH = 100
# A command of minutes and a machine of the cluster are to begin before anyone wonders.
_START_BOUND_S = 30.0
_NODE_BOUND_S = 10.0
_LEAST_S = 1e-3
_PATIENCE_S = 300.0
_LOOK_S = 0.005


@dataclasses.dataclass(frozen=True)
class _Times:
    """Of one job, or the medians of several.

    Attributes:
        start_s: From the call to the first result, which no process has before all are ready, and
            from the last to the end.
        file_s: From one result to the next; of the later half, when all is warm.
        alone_s: Likewise in this process.
    """

    start_s: float
    file_s: float
    alone_s: float


def run(options: Options) -> Report:
    """Runs the suite: jobs of files with nothing to do, on clusters of processes on this machine.

    Args:
        options: The user's.
    """
    repeats = 1 if options.effort == QUICK else 5

    def measure(running: Contenders, bandwidth: Bandwidth) -> Measured:
        del running, bandwidth
        times, failures = {}, []
        for nodes in _NODES:
            options.say(f"{nodes} of {_NODES[-1]} machines, and this process alone")
            try:
                with _cluster(nodes) as address:
                    times[nodes] = _medians([_times(address, nodes) for _ in range(repeats)])
            except (RuntimeError, UserError) as error:
                failures.append(f"{nodes} machines: {error}")
                options.say(f"FAILED: {failures[-1]}")
        return [row for row in _rows(times) if options.wants(row.operation)], failures

    return suite.report_of(options, (1,), measure, _VERSIONS_FROM, ["ray"])


@contextlib.contextmanager
def _cluster(nodes: int) -> Iterator[str]:
    """The address of a cluster whose head works on nothing."""
    from ray.cluster_utils import Cluster

    found = Cluster()
    try:
        _start(found, nodes)
        yield found.address
    finally:
        found.shutdown()


def _start(cluster: Any, nodes: int) -> None:
    try:
        cluster.add_node(num_cpus=0, include_dashboard=False)
        for _ in range(nodes):
            cluster.add_node(num_cpus=1)
    except Exception as error:  # Ray's own has no type of its own
        # It gives its servers half a minute, which a busy machine may not have.
        raise RuntimeError(f"Ray did not start: {error}") from None


def _times(address: str, nodes: int) -> _Times:
    ends: list[float] = []
    files = _FILES_EACH * nodes
    with tempfile.TemporaryDirectory() as folder:
        make = functools.partial(_make, str(Path(folder, "ready")), nodes)
        job = Job("sharing out", "files", make, str(Path(folder, "out")), {}, str)
        choice = Choice(address, nodes=nodes + 1)
        begin = time.perf_counter()
        result = jobs.run(job, _tasks(files), choice, lambda _: ends.append(time.perf_counter()))
        taken = time.perf_counter() - begin
    if result.failures:
        raise RuntimeError(next(iter(result.failures.values())))
    return _Times(taken - (ends[-1] - ends[0]), _between(ends), _between(_ends_alone(files)))


def _ends_alone(files: int) -> list[float]:
    """When each file is done in this process, with the same receipts."""
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        make = functools.partial(_make, str(Path(folder, "ready")), 1)
        worker = Worker(make, os.getcwd(), str(Path(folder, "out")), "alone", "")
        worker.load()
        for task in _tasks(files):
            worker.run(task)
            ends.append(time.perf_counter())
    return ends


def _between(ends: Sequence[float]) -> float:
    later = ends[len(ends) // 2 :]
    return (later[-1] - later[0]) / (len(later) - 1)


def _medians(found: Sequence[_Times]) -> _Times:
    return _Times(*map(statistics.median, zip(*map(dataclasses.astuple, found), strict=True)))


def _tasks(files: int) -> list[Task]:
    return [Task(f"{number:04d}", None, {}) for number in range(files)]


def _make(ready: str, processes: int) -> Work:
    """Work that is ready when it is so in as many processes."""
    Path(ready).mkdir(parents=True, exist_ok=True)
    Path(ready, str(os.getpid())).touch()
    end = time.monotonic() + _PATIENCE_S
    while len(os.listdir(ready)) < processes:
        if time.monotonic() > end:
            raise TimeoutError(f"fewer than {processes} processes began in {_PATIENCE_S:g} s")
        time.sleep(_LOOK_S)

    def work(task: Task, folder: Path) -> dict[str, Any]:
        (folder / task.name).write_bytes(b"x")
        return {}

    return work


def _rows(times: Mapping[int, _Times]) -> Iterator[Row]:
    files = "from one result to the next: receipt, flush to the disk and, on a cluster, answer"
    for nodes, found in times.items():
        size = f"{nodes} {'machine' if nodes == 1 else 'machines'}"
        ours, theirs = 1e3 * found.file_s, 1e3 * found.alone_s
        yield _row("a file", size, "ms", ours, "this process alone", theirs, None, files)
    if not times:
        return
    few, many = min(times), max(times)
    begun = "from the call until all are ready, and from the last result to the end"
    first = times[few].start_s
    yield _row("a command", f"{few} machine", "s", first, "a bound", _START_BOUND_S, 1.0, begun)
    if many == few:
        return
    # Which may come out as nothing, or less.
    more = max(_LEAST_S, (times[many].start_s - first) / (many - few))
    further = "what each adds to that; on one computer they share its processors"
    yield _row("a machine more", f"of {many}", "s", more, "a bound", _NODE_BOUND_S, 1.0, further)


def _row(
    operation: str,
    size: str,
    unit: str,
    ours: float,
    peer: str,
    theirs: float,
    target: float | None,
    counted: str,
) -> Row:
    return Row(
        suite="cluster",
        operation=operation,
        size=size,
        threads=1,
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
