"""The network of an exported model alone: no pictures, no pre- or post-processing."""

from collections.abc import Callable
from typing import Any

import numpy as np

from roadmark.inference.detector import Detector

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def running(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Batches one after the other, the next submitted before the last is waited for.

    Options: model, batch_size, batches.
    """
    del arrays
    detector = Detector.load(options["model"], threads=threads)
    spec = detector.manifest.input
    rng = np.random.default_rng(0)
    shape = (spec.height, spec.width, 3)
    pictures = [rng.integers(0, 256, shape, np.uint8) for _ in range(options["batch_size"])]
    inputs = detector.preprocess(pictures)

    def call() -> None:
        running = detector.start(inputs)
        for _ in range(options["batches"] - 1):
            following = detector.start(inputs)
            detector.outputs(running)
            running = following
        detector.outputs(running)

    call()
    return call, lambda _: {"engine": np.frombuffer(str(detector.engine).encode(), np.uint8)}
