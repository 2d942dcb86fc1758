"""The suite `latency`: every model on every engine, from a picture to boxes.

Each case has a process of its own. Those of one model and batch size take turns, round after round,
so that a machine that slows down slows all of them; accuracy and kinds of load are measured
afterwards, one case after the other.
"""

import contextlib
import dataclasses
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import psutil

from roadmark import locations, manifest
from roadmark.benchmark import computer, network_cost, resized_models, timing, untrained_models
from roadmark.benchmark.contender import Contender, Contenders
from roadmark.benchmark.latency_case import Case, Measured, warnings
from roadmark.benchmark.report import Report, Row
from roadmark.benchmark.resized_models import Model
from roadmark.benchmark.suite import Options
from roadmark.data import synthetic
from roadmark.doctor import machine
from roadmark.errors import UserError
from roadmark.inference import engine as engines
from roadmark.inference import nvidia_driver
from roadmark.inference.engine import ENGINES, ONNXRUNTIME, OPENVINO, TENSORFLOW, TENSORRT
from roadmark.manifest import EngineStamp, Manifest

_CONTENDERS = "roadmark.benchmark.contenders"
_OURS = f"{_CONTENDERS}.latency"
_CACHE = Path(locations.RUNS) / "bench"
_HEIGHT, _WIDTH = 720, 1280
_STOCK = "stock SavedModel"
_BENCHMARK_APP = "openvino's benchmark_app"
_TRTEXEC = "trtexec"
_AS_DOCUMENTED = {ONNXRUNTIME: "onnxruntime as documented", OPENVINO: "openvino as documented"}
_PACKAGES = ("numpy", "onnxruntime", "openvino", "tensorflow", "tensorflow-cpu", "tensorrt")


@dataclasses.dataclass(frozen=True)
class Promise:
    """What is promised of a model on a CPU.

    Attributes:
        faster: How many times as fast as the stock SavedModel the whole path should be.
        faster_with_amx: Likewise on a processor with AMX's bf16.
        outside: What it may spend outside the network, in percent of the network's time.
    """

    faster: float
    faster_with_amx: float
    outside: float


# By the name of the config.
_PROMISES = {
    "ssd_mobilenet_v2_fpnlite_640": Promise(1.8, 4.0, 12.0),
    "ssd_resnet50_fpn_640": Promise(1.8, 4.0, 8.0),
    "effdet_d1": Promise(1.8, 3.0, 8.0),
}


# What another precision may cost, and the least that is told.
_LOST_MAP, _LEAST_MAP = 0.005, 1e-5
# What the slowest of a hundred frames on a GPU may take, in medians of the network.
_P99_ON_GPU = 1.15


@dataclasses.dataclass(frozen=True)
class LatencyReport(Report):
    """What a run found.

    Attributes:
        measured: All cases.
        picture: What was looked at.
    """

    measured: tuple[Measured, ...] = ()
    picture: str = ""


@dataclasses.dataclass(frozen=True)
class _Effort:
    rounds: int
    calls: int
    limit_s: float
    queries: int


_THOROUGH = _Effort(rounds=5, calls=40, limit_s=2.0, queries=100)
_QUICK = _Effort(rounds=3, calls=10, limit_s=0.7, queries=24)


def run(options: Options) -> LatencyReport:
    """Runs the suite.

    Args:
        options: The user's; with no model in its `grid`, three with random weights are made.

    Raises:
        UserError: A model, engine, precision or resolution that was named is not there.
    """
    load = computer.load_average()
    warning = computer.busy_warning(load)
    if warning:
        options.say(warning)
    stolen = psutil.cpu_times().steal
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "picture"), _picture())
        measuring = _Suite(options, Path(folder))
        for model in measuring.models():
            measuring.measure(model)
    facts = _machine(options, load) | {
        "stolen_processor_s": round(psutil.cpu_times().steal - stolen, 1)
    }
    return LatencyReport(
        facts,
        tuple(measuring.rows),
        tuple(measuring.failures),
        tuple(measuring.measured),
        f"{_WIDTH}x{_HEIGHT} RGB, a rendered street scene",
    )


def _machine(options: Options, load: float) -> dict[str, Any]:
    running = Contenders(options.peers_python)
    try:
        bandwidth = computer.measure_bandwidth(running, [max(options.threads)])
        return computer.describe(load, _versions(), bandwidth)
    finally:
        running.close()


def _versions() -> dict[str, str]:
    """Of the packages that are installed."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _picture() -> np.ndarray:
    """uint8 `[720, 1280, 3]` RGB."""
    return cv2.resize(synthetic.render_scene(0, 0).image, (_WIDTH, _HEIGHT))


@dataclasses.dataclass(frozen=True)
class _Side:
    """A case and the process that runs it."""

    case: Case
    process: Contender
    rounds: list[np.ndarray]
    last: dict[str, Any]


class _Suite:
    def __init__(self, options: Options, folder: Path) -> None:
        self._options, self._grid, self._arrays = options, options.grid, folder
        self._threads = max(options.threads)
        self._effort = _QUICK if options.effort == timing.QUICK else _THOROUGH
        self.measured: list[Measured] = []
        self.rows: list[Row] = []
        self.failures: list[str] = []

    def models(self) -> Iterator[Model]:
        """One after the other; what has to be exported first is when it is its turn."""
        models = [self._loaded(folder) for folder in self._grid.models or self._own_models()]
        for model in models:
            resized_models.check(model, self._grid.resolutions)
        for model in models:
            yield from self._resized(model) if self._grid.resolutions else [model]

    def _own_models(self) -> list[Path]:
        names = [name for name in _PROMISES if self._options.wants(name)]
        configs = self._options.configs
        for name in names:
            resized_models.refuse_unfit(configs / f"{name}.config", self._grid.resolutions)
        _CACHE.mkdir(parents=True, exist_ok=True)
        return untrained_models.make(_CACHE, configs, names, self._threads, self._options.say)

    def _loaded(self, folder: Path) -> Model:
        name = folder.parent.name if folder.name == "export" else folder.name
        description = manifest.load(folder, self._grid.trust)
        return Model(name, folder, description, not self._grid.models and not description.step)

    def _resized(self, model: Model) -> Iterator[Model]:
        for size in self._grid.resolutions:
            try:
                folder = resized_models.make(model, size, _CACHE, self._threads, self._options.say)
            except RuntimeError as error:
                self.failures.append(f"{model.name} at {resized_models.shown(size)}: {error}")
                self._options.say(f"FAILED: {self.failures[-1]}")
                continue
            yield model if folder == model.folder else self._loaded(folder)

    def measure(self, model: Model) -> None:
        """All cases of a model."""
        for batch in self._grid.batches:
            cases = self._cases(model, batch)
            with contextlib.ExitStack() as processes:
                sides = self._take_turns(model, cases, processes)
                found = {side.case: self._completed(model, side) for side in sides}
                if batch == 1:
                    self.rows += self._rows(model, found, sides)
                self.measured += found.values()

    def _cases(self, model: Model, batch: int) -> list[Case]:
        cases = [
            Case(model.name, engine, precision, batch)
            for engine, precision in choices(model.description, self._grid)
        ]
        if batch != 1 or not self._grid.peers:
            return cases
        peers = [Case(model.name, _STOCK, "fp32", 1, True)]
        peers += [
            Case(model.name, name, _documented_precision(engine), 1, True, False)
            for engine, name in _AS_DOCUMENTED.items()
            if engine in {case.engine for case in cases} and _file(model, engine)
        ]
        if _file(model, OPENVINO) and importlib.util.find_spec("openvino.tools.benchmark"):
            precisions = [case.precision for case in cases if case.engine == OPENVINO]
            peers += [
                Case(model.name, _BENCHMARK_APP, precision, 1, True, False)
                for precision in precisions
                if precision != "int8"
            ]
        if shutil.which(_TRTEXEC):
            built = [case for case in cases if case.engine == TENSORRT]
            peers += [Case(model.name, _TRTEXEC, case.precision, 1, True, False) for case in built]
        return cases + peers

    def _take_turns(
        self, model: Model, cases: Sequence[Case], processes: contextlib.ExitStack
    ) -> list[_Side]:
        sides = []
        for case in cases:
            self._options.say(f"loading {case}")
            process = Contender(None, self._threads, case.engine in (TENSORRT, _TRTEXEC))
            processes.callback(process.close)
            try:
                process.prepare(*self._preparation(model, case))
            except RuntimeError as error:
                self._fail(case, error)
                continue
            sides.append(_Side(case, process, [], {}))
        for number in range(self._effort.rounds):
            self._options.say(f"{model.name}: round {number + 1} of {self._effort.rounds}")
            for side in list(sides):
                try:
                    side.last.update(side.process.result())
                except RuntimeError as error:
                    self._fail(side.case, error)
                    sides.remove(side)
                    continue
                side.rounds.append(side.last["samples"])
        return sides

    def _preparation(self, model: Model, case: Case) -> tuple[str, Path, dict[str, Any]]:
        options = self._case_options(model, case)
        options |= {"calls": self._effort.calls, "limit_s": self._effort.limit_s}
        if case.engine == _STOCK:
            return f"{_CONTENDERS}.stock:detecting", self._arrays, options
        if not case.is_peer:
            return f"{_OURS}:detecting", self._arrays, options
        if case.engine == _BENCHMARK_APP:
            hint = {"fp32": "f32"}.get(case.precision, case.precision)
            options |= {"file": str(_file(model, OPENVINO)), "infer_precision": hint}
            return f"{_CONTENDERS}.runtimes:benchmark_app", self._arrays, options
        if case.engine == _TRTEXEC:
            stamp = _stamp(model, dataclasses.replace(case, engine=TENSORRT))
            options["file"] = str(model.folder / stamp.path)
            return f"{_CONTENDERS}.runtimes:trtexec", self._arrays, options
        engine = next(key for key, name in _AS_DOCUMENTED.items() if name == case.engine)
        options["file"] = str(_file(model, engine))
        return f"{_CONTENDERS}.runtimes:{engine}", self._arrays, options

    def _case_options(self, model: Model, case: Case) -> dict[str, Any]:
        return {
            "model": str(model.folder),
            "trust": self._grid.trust,
            "engine": case.engine,
            "device": "gpu" if case.engine == TENSORRT else "cpu",
            "precision": case.precision,
            "batch": case.batch,
        }

    def _completed(self, model: Model, side: _Side) -> Measured:
        case = side.case
        facts = _facts(side.last)
        spec = model.description.input
        found = Measured(
            case,
            tuple(side.rounds),
            facts,
            _size_mb(model, case),
            self._gflop(model),
            (spec.height, spec.width),
        )
        if case.is_peer:
            return found
        if self._grid.records:
            found = dataclasses.replace(found, map=self._map(model, side))
        if case.batch == 1 and self._grid.scenarios:
            found = dataclasses.replace(found, scenarios=self._scenarios(model, side))
        for line in warnings(found):
            self._options.say(f"warning: {case}: {line}")
        return found

    def _map(self, model: Model, side: _Side) -> float | None:
        self._options.say(f"mAP of {side.case}")
        terms = {"records": self._grid.records, "subset": self._grid.subset}
        return self._further(model, side, "evaluating", terms).get("map")

    def _scenarios(self, model: Model, side: _Side) -> dict[str, Any]:
        self._options.say(f"kinds of load: {side.case}")
        terms = {"queries": self._effort.queries, "limit_s": 2 * self._effort.limit_s}
        return self._further(model, side, "scenarios", terms)

    def _further(
        self, model: Model, side: _Side, function: str, terms: Mapping[str, Any]
    ) -> dict[str, Any]:
        options = {**self._case_options(model, side.case), **terms}
        try:
            side.process.prepare(f"{_OURS}:{function}", self._arrays, options)
            return _facts(side.process.result())
        except RuntimeError as error:
            self._fail(side.case, error)
            return {}

    def _gflop(self, model: Model) -> float | None:
        path = _file(model, ONNXRUNTIME)
        return network_cost.gflop(path) if path else None

    def _fail(self, case: Case, error: RuntimeError) -> None:
        self.failures.append(f"{case}: {error}")
        self._options.say(f"FAILED: {self.failures[-1]}")

    def _rows(
        self, model: Model, found: Mapping[Case, Measured], sides: Sequence[_Side]
    ) -> list[Row]:
        """Our cases beside the peers, and beside what is promised."""
        ours = {case: one for case, one in found.items() if not case.is_peer}
        peers = {case.engine: one for case, one in found.items() if case.is_peer}
        rows, promise = [], _PROMISES.get(model.name)
        scores = {side.case: side.last.get("scores") for side in sides}
        fastest = min(ours, key=lambda case: ours[case].median, default=None)
        for case, one in ours.items():
            if _STOCK in peers:
                target = _faster(promise) if case == fastest else None
                stock = peers[_STOCK]
                agreement = _agreement(scores[case], scores[stock.case])
                rows.append(self._beside("whole path", one, stock, target, agreement))
            peer = peers.get(_AS_DOCUMENTED.get(case.engine, ""))
            if peer and case.precision == _documented_precision(case.engine):
                rows.append(self._beside("network alone", one, peer, None, "not compared"))
            if promise and case.engine == OPENVINO:
                rows.append(self._outside(one, promise))
            exact = ours.get(dataclasses.replace(case, precision="fp32"))
            if exact and exact != one and None not in (exact.map, one.map):
                rows.append(self._lost(one, exact))
            if case.engine == TENSORRT:
                rows.append(self._slowest(one))
        return rows

    def _beside(
        self, what: str, one: Measured, peer: Measured, target: float | None, agreement: str
    ) -> Row:
        ours = one.median if peer.case.has_whole_path else one.parts["network"]
        return self._row(
            operation=f"{what}, {one.case.engine} {one.case.precision}",
            size=f"{one.case.model}, {_WIDTH}x{_HEIGHT}",
            peer=peer.case.engine,
            unit="ms",
            device="gpu" if one.case.engine == TENSORRT else "cpu",
            ours=ours,
            theirs=peer.median,
            target=target,
            counted="a decoded picture to boxes in its pixels, on both sides"
            if peer.case.has_whole_path
            else "one call of the network, inputs ready; ours within the whole path",
            agreement=agreement,
        )

    def _lost(self, one: Measured, exact: Measured) -> Row:
        return self._row(
            operation=f"mAP lost, {one.case.engine} {one.case.precision}",
            size=f"{one.case.model}, {self._grid.records}",
            peer="bound",
            unit="mAP",
            ours=max(exact.map - one.map, _LEAST_MAP),
            theirs=_LOST_MAP,
            target=1.0,
            counted=f"against fp32 on the same engine: {exact.map:.4f} and {one.map:.4f}",
            agreement="nothing to compare",
        )

    def _slowest(self, one: Measured) -> Row:
        return self._row(
            device="gpu",
            operation=f"p99 of the whole path, {one.case.engine} {one.case.precision}",
            size=f"{one.case.model}, {_WIDTH}x{_HEIGHT}",
            peer="the network's median",
            unit="ms",
            ours=one.percentile(99),
            theirs=one.parts["network"],
            target=1 / _P99_ON_GPU,
            counted=f"a decoded picture to boxes in its pixels, {len(one.samples)} samples; "
            "pre- and post-processing on the CPU",
            agreement="nothing to compare",
        )

    def _outside(self, one: Measured, promise: Promise) -> Row:
        parts = ", ".join(f"{name} {ms:.2f}" for name, ms in one.parts.items())
        return self._row(
            operation=f"outside the network, {one.case.engine} {one.case.precision}",
            size=f"{one.case.model}, {_WIDTH}x{_HEIGHT}",
            peer="bound",
            unit="%",
            ours=max(100 * one.outside, 0.01),
            theirs=promise.outside,
            target=1.0,
            counted="pre- and post-processing, copies and all else, in percent of the network's "
            f"time; ms: {parts}",
            agreement="nothing to compare",
        )

    def _row(self, device: str = "cpu", **columns: Any) -> Row:
        return Row(
            device=device,
            suite="latency",
            threads=self._threads,
            floor=None,
            floor_basis="",
            **columns,
        )


def choices(description: Manifest, grid: Any) -> list[tuple[str, str]]:
    """Engines and precisions that the export holds files for, this machine runs and the user wants.

    Args:
        description: The export's manifest.
        grid: The user's; see `suite.Grid`.

    Raises:
        UserError: The user wants what is not there.
    """
    stamps = [stamp for stamp in description.engines if stamp.engine in ENGINES]
    held = {(stamp.engine, stamp.precision) for stamp in stamps}
    held.add((TENSORFLOW, "fp32"))
    if any(engine == OPENVINO for engine, _ in held) and _computes_bf16():
        held.add((OPENVINO, "bf16"))
    if nvidia_driver.what_is_missing():
        held = {one for one in held if one[0] != TENSORRT}
    found = [
        (engine, precision)
        for engine, precision in sorted(held, key=lambda one: (ENGINES.index(one[0]), one[1]))
        if (not grid.engines or engine in grid.engines)
        and (not grid.precisions or precision in grid.precisions)
    ]
    if not found:
        there = ", ".join(f"{engine} {precision}" for engine, precision in sorted(held))
        raise UserError(
            "--engines", f"found none of those asked for; here are {there}", "choose among these"
        )
    return found


def _documented_precision(engine: str) -> str:
    """What a runtime takes when nobody says: OpenVINO bf16 where the processor computes it."""
    return "bf16" if engine == OPENVINO and _computes_bf16() else "fp32"


def _computes_bf16() -> bool:
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _faster(promise: Promise | None) -> float | None:
    if promise is None:
        return None
    has_amx = machine.look().cpu.features["amx_bf16"]
    return promise.faster_with_amx if has_amx else promise.faster


def _agreement(ours: np.ndarray, theirs: np.ndarray) -> str:
    """How far the scores of the best boxes are apart, by rank."""
    count = min(len(ours), len(theirs))
    apart = float(np.abs(ours[:count] - theirs[:count]).max(initial=0))
    return f"{len(ours)} and {len(theirs)} boxes, scores by rank at most {apart:.2g} apart"


def _stamp(model: Model, case: Case) -> EngineStamp | None:
    precision = "fp32" if case.precision == "bf16" and case.engine == OPENVINO else case.precision
    for stamp in model.description.engines:
        if (stamp.engine, stamp.precision) == (case.engine, precision):
            return stamp
    return None


def _file(model: Model, engine: str) -> Path | None:
    """The file of an engine in fp32 that is its own, and not the SavedModel."""
    for stamp in model.description.engines:
        if (stamp.engine, stamp.precision) == (engine, "fp32") and stamp.path != engines.RAW_FOLDER:
            return model.folder / stamp.path
    return None


def _size_mb(model: Model, case: Case) -> float:
    engine = next((key for key, name in _AS_DOCUMENTED.items() if name == case.engine), case.engine)
    if case.engine == _STOCK:
        path = model.folder / "saved_model"
    else:
        engine = {_BENCHMARK_APP: OPENVINO, _TRTEXEC: TENSORRT}.get(case.engine, engine)
        precision = "fp32" if case.is_peer and engine != TENSORRT else case.precision
        stamp = _stamp(model, dataclasses.replace(case, engine=engine, precision=precision))
        path = model.folder / (stamp.path if stamp else engines.RAW_FOLDER)
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.stem}.*")
    return sum(one.stat().st_size for one in files if one.is_file()) / 1e6


def _facts(result: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return json.loads(result["facts"].tobytes())
