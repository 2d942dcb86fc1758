"""What suites have in common: their frame, operations, their rivals, and the run over them."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.benchmark import computer
from roadmark.benchmark.agreement import Agreement
from roadmark.benchmark.computer import Bandwidth
from roadmark.benchmark.contender import Contender, Contenders
from roadmark.benchmark.report import Report, Row
from roadmark.benchmark.timing import Effort, in_turn

Arrays = dict[str, np.ndarray]
Measured = tuple[list[Row], list[str]]


@dataclasses.dataclass(frozen=True)
class Grid:
    """What the suite `latency` is to measure.

    Attributes:
        models: Exported folders; empty for those that the suite makes.
        engines: Of `inference.engine.ENGINES`; all that work when empty.
        precisions: Of `inference.engine.PRECISIONS`; all that work when empty.
        batches: Pictures in a call.
        records: Glob of the records to measure mAP on; empty for none.
        subset: How many of them, spread evenly; 0 for all.
        scenarios: Whether to run MLPerf's kinds of load.
        peers: Whether to measure others beside us.
        trust: As `manifest.load` takes it.
        resolutions: Heights and widths of the networks' input; the models' own when empty.
    """

    models: tuple[Path, ...] = ()
    engines: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batches: tuple[int, ...] = (1,)
    records: str = ""
    subset: int = 0
    scenarios: bool = True
    peers: bool = True
    trust: bool = False
    resolutions: tuple[tuple[int, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user may choose.

    Attributes:
        effort: Time per figure.
        threads: Numbers of threads, each of which gives rows of its own.
        only: Parts of operations' names; all when empty.
        peers_python: The interpreter of the peers' environment.
        configs: The folder with the pipeline configs.
        model: An exported folder; None for those that the suite makes.
        say: Takes a line about what is going on.
        grid: For `latency` alone.
    """

    effort: Effort
    threads: tuple[int, ...]
    only: tuple[str, ...]
    peers_python: Path
    configs: Path
    model: Path | None
    say: Callable[[str], None]
    grid: Grid = Grid()

    def wants(self, name: str) -> bool:
        """Whether what has this name is to be measured: it contains one of the parts in `only`."""
        return not self.only or any(word in name for word in self.only)


@dataclasses.dataclass(frozen=True)
class Rival:
    """A peer's way to do an operation.

    Attributes:
        peer: Its name.
        function: `module:function` under `roadmark.benchmark.contenders`.
        is_foreign: Whether it needs the peers' environment.
        target: How many times faster we should be; None where nothing was promised.
        counted: What either side's figure includes.
        agree: Compares the results.
        options: On top of the operation's, for this side.
        our_options: Likewise for our side, where the rival sets the terms.
    """

    peer: str
    function: str
    is_foreign: bool
    target: float | None
    counted: str
    agree: Agreement
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    our_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Operation:
    """Something that we and others do.

    Attributes:
        name: Of the operation.
        size: Of its input.
        inputs: Makes the inputs.
        ours: `module:function`.
        options: Of both sides.
        moved: Bytes that must be read or written at the very least.
        moved_what: Which these are.
        rivals: Whom to compare with.
    """

    name: str
    size: str
    inputs: Callable[[], Arrays]
    ours: str
    options: Mapping[str, Any]
    moved: int
    moved_what: str
    rivals: tuple[Rival, ...]


def report_of(
    options: Options,
    threads: Sequence[int],
    measure: Callable[[Contenders, Bandwidth], Measured],
    function: str,
    packages: Sequence[str],
) -> Report:
    """What a suite finds that needs no peers' environment, and on which machine.

    Args:
        options: The user's.
        threads: Numbers of threads that figures are measured with.
        measure: Gives the rows, and a line for each that could not be measured.
        function: One of ours, `module:function`, whose process knows the versions.
        packages: Whose versions are told.

    Raises:
        RuntimeError: A contender failed; names it.
    """
    load = computer.load_average()
    warning = computer.busy_warning(load)
    if warning:
        options.say(warning)
    with contextlib.closing(Contenders(options.peers_python)) as running:
        bandwidth = computer.measure_bandwidth(running, list(threads))
        rows, failures = measure(running, bandwidth)
        versions = running.get(function, False, max(threads)).versions(list(packages))
        machine = computer.describe(load, versions, bandwidth)
    return Report(machine, tuple(rows), tuple(failures))


def run(
    suite: str,
    operations: list[Operation],
    options: Options,
    running: Contenders,
    bandwidth: Bandwidth,
) -> Measured:
    """Compares and times every operation with every rival.

    A row that fails does not end the run, which takes long.

    Args:
        suite: Name of the suite.
        operations: What to time.
        options: The user's.
        running: Processes.
        bandwidth: Of this machine.

    Returns:
        The rows, and a line for each that failed.
    """
    rows, failures = [], []
    for operation in operations:
        with tempfile.TemporaryDirectory() as folder:
            for name, array in operation.inputs().items():
                np.save(Path(folder, name), array)
            for rival in operation.rivals:
                options.say(f"{operation.name}, {operation.size}, against {rival.peer}")
                for threads in options.threads:
                    terms = _Terms(suite, operation, rival, threads, Path(folder))
                    try:
                        rows.append(_row(terms, options.effort, running, bandwidth))
                    except RuntimeError as error:
                        failures.append(
                            f"{operation.name}, {operation.size}, {rival.peer}: {error}"
                        )
                        options.say(f"FAILED: {failures[-1]}")
    return rows, failures


@dataclasses.dataclass(frozen=True)
class _Terms:
    suite: str
    operation: Operation
    rival: Rival
    threads: int
    inputs: Path


def _row(terms: _Terms, effort: Effort, running: Contenders, bandwidth: Bandwidth) -> Row:
    operation, rival, threads = terms.operation, terms.rival, terms.threads
    ours = running.get(operation.ours, is_foreign=False, threads=threads)
    theirs = running.get(rival.function, rival.is_foreign, threads)
    _prepare(ours, operation.ours, terms, rival.our_options)
    _prepare(theirs, rival.function, terms, rival.options)
    agreement = str(rival.agree(ours.result(), theirs.result()))
    our_seconds, their_seconds = in_turn(ours.seconds, theirs.seconds, effort)
    return Row(
        suite=terms.suite,
        operation=operation.name,
        size=operation.size,
        threads=threads,
        device="cpu",
        peer=rival.peer,
        unit="ms",
        ours=our_seconds * 1e3,
        theirs=their_seconds * 1e3,
        target=rival.target,
        floor=bandwidth.milliseconds(operation.moved, threads),
        floor_basis=f"a copy that moves as many bytes, {operation.moved / 1e6:.3g} MB: "
        f"{operation.moved_what}",
        counted=rival.counted,
        agreement=agreement,
    )


def _prepare(side: Contender, function: str, terms: _Terms, further: Mapping[str, Any]) -> None:
    try:
        side.prepare(function, terms.inputs, {**terms.operation.options, **further})
    except RuntimeError as error:
        raise RuntimeError(f"{function}: {error}") from None
