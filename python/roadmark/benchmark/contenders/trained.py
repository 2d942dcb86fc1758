"""Exports of trained models, to measure them in other sizes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from roadmark.export import exporter
from roadmark.odapi import trained_model

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def exporting(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Exports a checkpoint. Options: config, checkpoint, label_map, out, formats."""
    del arrays, threads

    def call() -> None:
        model = trained_model.find(
            checkpoint=options["checkpoint"], config=options["config"], labels=options["label_map"]
        )
        exporter.export(model, options["out"], options["formats"])

    return call, lambda _: {}
