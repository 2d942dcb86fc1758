"""The suite `train`: a training step beside the stock one, its parts, and the time to the first."""

import functools
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadmark import locations
from roadmark.benchmark import suite, timing
from roadmark.benchmark.computer import Bandwidth
from roadmark.benchmark.contender import Contender, Contenders
from roadmark.benchmark.report import Report, Row
from roadmark.benchmark.suite import Measured, Options
from roadmark.data import preparation
from roadmark.data.formats.request import Request
from roadmark.odapi import label_map

_OURS = "roadmark.benchmark.contenders.training"
_STOCK = "roadmark.benchmark.contenders.stock_training"
# The models that a target was set for, and their input.
_CONFIGS = {"ssd_mobilenet_v2_fpnlite_320": "320x320", "effdet_d0": "512x512"}
_BATCH_SIZE = 4
_IMAGES = 64
_RECORDS = Path(locations.RUNS) / "bench" / "train_records"
# What is left where input and target assignment take no time at all.
_NETWORK = ("forward", "loss", "backward", "optimiser")
# Samples of several steps, with others before them that use up what the input had ready.
_STEPS = timing.Effort(rounds=15, least_rounds=5, sample_s=4.0, limit_s=120)
_QUICK_STEPS = timing.Effort(rounds=3, least_rounds=3, sample_s=1.0, limit_s=20)
_READY = 4
# Of these the first ones are traced and compiled.
_WARM_UP = 3


def run(options: Options) -> Report:
    """Runs the suite.

    Args:
        options: The user's. `threads` counts with its largest number.

    Raises:
        RuntimeError: A contender failed; names it.
    """

    def measure(running: Contenders, _: Bandwidth) -> Measured:
        measuring = _Suite(options, running)
        return [row for name in _CONFIGS if options.wants(name) for row in measuring.rows(name)], []

    # TensorFlow itself goes by another name where it has CUDA.
    packages = ["tf-keras", "tf-models-research-object-detection", "numpy"]
    return suite.report_of(options, [max(options.threads)], measure, _OURS, packages)


class _Suite:
    def __init__(self, options: Options, running: Contenders):
        self._options, self._running = options, running
        self.threads = max(options.threads)
        self._is_quick = options.effort == timing.QUICK
        self._records = _records(options)

    def rows(self, name: str) -> list[Row]:
        """Every figure of one config."""
        with tempfile.TemporaryDirectory() as folder:
            terms = self._terms(name, Path(folder))
            ours, stock = self._parts(_OURS, terms), self._parts(_STOCK, terms)
            step, stock_step = self._steps(terms)
            first, stock_first = self._first_steps(terms)
        network = sum(stock[part] for part in _NETWORK)
        shares = ", ".join(
            f"{part} {1e3 * seconds:.1f} ms ({seconds / sum(stock.values()):.0%})"
            for part, seconds in stock.items()
        )
        rows = [
            self._row(
                name,
                "training step",
                "stock model_main_tf2",
                step,
                stock_step,
                None,
                f"steps one after the other, input included. The stock step taken apart: {shares}",
            ),
            self._row(
                name,
                "training step, bound",
                "stock network alone",
                step,
                network,
                0.9,
                f"the bound is the stock {', '.join(_NETWORK)}, with input and target assignment "
                f"for nothing: at most {stock_step / network:.2f} times as fast as the stock step",
            ),
            self._row(
                name,
                "time to the first step",
                "stock model_main_tf2",
                first,
                stock_first,
                1.0,
                "from the start of the process until the first step is done; ours reads and checks "
                "all records in that time",
                unit="s",
            ),
        ]
        return rows + [
            self._row(
                name,
                f"part: {part}",
                "stock model_main_tf2",
                ours[part],
                stock[part],
                None,
                "each part by itself; in a run the input is prepared beside the others",
            )
            for part in stock
        ]

    def _terms(self, name: str, model_dir: Path) -> dict[str, Any]:
        names = label_map.load(self._records / "label_map.pbtxt")
        return {
            "config": str(self._options.configs / f"{name}.config"),
            "records": str(self._records),
            "model_dir": str(model_dir),
            "batch_size": _BATCH_SIZE,
            "num_classes": max(names.ids),
            "rounds": 5 if self._is_quick else 15,
        }

    def _parts(self, side: str, terms: Mapping[str, Any]) -> dict[str, float]:
        found = self._prepared(f"{side}:parts", terms).result()
        # As they follow one another.
        order = ("input", "forward", "target assignment", "loss", "backward", "optimiser")
        return {part: float(found[part]) for part in order}

    def _steps(self, terms: Mapping[str, Any]) -> tuple[float, float]:
        ours = self._prepared(f"{_OURS}:stepping", terms)
        stock = self._prepared(f"{_STOCK}:stepping", terms)
        effort = _QUICK_STEPS if self._is_quick else _STEPS
        for side in (ours, stock):
            side.seconds(_WARM_UP)

        def clock(side: Contender, calls: int) -> float:
            side.seconds(_READY)
            return side.seconds(calls)

        return timing.in_turn(
            functools.partial(clock, ours), functools.partial(clock, stock), effort
        )

    def _first_steps(self, terms: Mapping[str, Any]) -> tuple[float, float]:
        taken: list[list[float]] = [[], []]
        for _ in range(1 if self._is_quick else 3):
            for side, found in zip((_OURS, _STOCK), taken, strict=True):
                found.append(self._first_step(f"{side}:stepping", terms))
        ours, stock = (sorted(found)[len(found) // 2] for found in taken)
        return ours, stock

    def _first_step(self, function: str, terms: Mapping[str, Any]) -> float:
        self._options.say(f"{function.split('.')[-1]}, first step")
        begin = time.perf_counter()
        fresh = Contender(None, self.threads)
        try:
            fresh.prepare(function, self._records, terms)
            fresh.result()
            return time.perf_counter() - begin
        finally:
            fresh.close()

    def _prepared(self, function: str, terms: Mapping[str, Any]) -> Contender:
        self._options.say(f"{Path(terms['config']).stem}: {function.split('.')[-1]}")
        side = self._running.get(function, is_foreign=False, threads=self.threads)
        # All inputs are in files: there is no array in this folder.
        side.prepare(function, self._records, terms)
        return side

    def _row(
        self,
        config: str,
        operation: str,
        peer: str,
        ours: float,
        theirs: float,
        target: float | None,
        counted: str,
        unit: str = "ms",
    ) -> Row:
        scale = 1e3 if unit == "ms" else 1.0
        return Row(
            suite="train",
            operation=operation,
            size=f"{config}, {_CONFIGS[config]}, batch {_BATCH_SIZE}",
            threads=self.threads,
            device="cpu",
            peer=peer,
            unit=unit,
            ours=max(ours * scale, 1e-6),
            theirs=theirs * scale,
            target=target,
            floor=None,
            floor_basis="",
            counted=counted,
            agreement="losses of the first step differ: each side shuffles the records its own way",
        )


def _records(options: Options) -> Path:
    """Rendered scenes, made once."""
    if not (_RECORDS / "label_map.pbtxt").is_file():
        options.say(f"{_IMAGES} scenes are rendered into {_RECORDS}, which stay there")
        preparation.prepare(
            preparation.Options(
                request=Request(num_images=_IMAGES, seed=0),
                format="synthetic",
                out=_RECORDS,
                val_fraction=0.1,
                seed=0,
            )
        )
    return _RECORDS
