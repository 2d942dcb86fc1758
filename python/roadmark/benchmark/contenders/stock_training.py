"""The step of the stock `object_detection/model_main_tf2.py`, behind the door."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.training import run_config
from roadmark.training.options import TrainOptions

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def options_of(options: dict[str, Any]) -> TrainOptions:
    """The run of one side's options: config, records, batch_size."""
    records = Path(options["records"])
    return TrainOptions(
        config=Path(options["config"]),
        train_records=f"{records}/train-*",
        label_map=records / "label_map.pbtxt",
        model_dir=Path(options["model_dir"]),
        batch_size=options["batch_size"],
        overrides=(
            "train_config.fine_tune_checkpoint=",
            f"model.ssd.num_classes={options['num_classes']}",
        ),
        check_learning_rate=False,
    )


def forget_threads() -> None:
    """Leaves the number of threads to TensorFlow and to us, as where nobody has chosen any."""
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.pop(variable, None)


def _training(options: dict[str, Any]) -> tuple[Any, Any]:
    forget_threads()
    config = run_config.as_run(options_of(options))
    from roadmark.odapi.stock_training import StockTraining

    return config, StockTraining(config)


def stepping(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """A step with its input."""
    del arrays, threads
    _, training = _training(options)
    return training.step, lambda loss: {"loss": np.float64(loss)}


def parts(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """The parts of a step, in seconds."""
    del arrays, threads
    config, training = _training(options)
    training.step()
    from roadmark.odapi import stock_training

    def call() -> dict[str, float]:
        return stock_training.measure_parts(
            config, training.model, training.optimizer, training.batches, options["rounds"]
        )

    return call, lambda found: {name: np.float64(value) for name, value in found.items()}
