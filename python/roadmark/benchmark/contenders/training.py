"""Ours: the step of `roadmark.training`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from roadmark.benchmark.contenders.stock_training import forget_threads, options_of
from roadmark.training import run_config

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def _session(options: dict[str, Any]) -> tuple[Any, Any]:
    forget_threads()
    prepared = run_config.prepare(options_of(options))
    from roadmark.training.session import Session

    session = Session(
        prepared.config,
        prepared.index,
        seed=0,
        resume=None,
        xla=False,
        native_target_assignment=True,
        recipe=prepared.recipe,
    )
    return prepared.config, session


def stepping(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """A step with its input; every check before it is part of the preparation."""
    del arrays, threads
    _, session = _session(options)
    steps = session.steps()

    def call() -> float:
        values, _ = next(steps)
        return float(values["total_loss"])

    return call, lambda loss: {"loss": np.float64(loss)}


def parts(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """The parts of a step, in seconds."""
    del arrays, threads
    config, session = _session(options)
    next(session.steps())
    from roadmark.odapi import stock_training

    batches = iter(session.batches)

    def call() -> dict[str, float]:
        return stock_training.measure_parts(
            config, session.model, session.optimizer, batches, options["rounds"]
        )

    return call, lambda found: {name: np.float64(value) for name, value in found.items()}
