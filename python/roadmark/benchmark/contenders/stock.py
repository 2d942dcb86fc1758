"""The stock SavedModel, called as the OD API's tutorials call it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.benchmark.contenders import latency
from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door has set it up

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def detecting(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """A picture to boxes, scores and classes as NumPy arrays; its threads are what it takes itself.

    Options and result as of `latency.detecting`; only `network` and `total` differ from 0, since
    pre- and post-processing are in the graph.
    """
    del threads  # The environment says how many; a tutorial does not.
    begin = time.perf_counter()
    detect = tf.saved_model.load(str(Path(options["model"], "saved_model")))
    load_s = time.perf_counter() - begin
    image = arrays["picture"]

    def found() -> dict[str, np.ndarray]:
        batch = tf.convert_to_tensor(image)[tf.newaxis, ...]
        outputs = detect(batch)
        return {name: value[0].numpy() for name, value in outputs.items()}

    def sample() -> list[float]:
        begin = time.perf_counter()
        found()
        spent = 1e3 * (time.perf_counter() - begin)
        return [spent if part in ("network", "total") else 0.0 for part in latency.PARTS]

    first = [sample()[-1] for _ in range(3)]

    def call() -> Arrays:
        samples = latency.repeat(sample, options)
        facts = {"load_s": load_s, **latency.warm_up(first, samples[:, -1])}
        facts["peak_mb"] = latency.peak_mb()
        scores = found()["detection_scores"]
        return {"samples": samples, "scores": scores, "facts": latency.as_bytes(facts)}

    return call, lambda result: result
