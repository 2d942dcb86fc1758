"""ONNX Runtime and OpenVINO as their own documentation shows them: the network alone."""

import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from roadmark import manifest
from roadmark.benchmark.contenders import latency

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]

_BENCHMARK_APP = "import sys; from openvino.tools.benchmark.main import main; sys.exit(main())"
_APP_SECONDS = 5


def onnxruntime(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`InferenceSession(file).run(None, inputs)`; options and result as of `latency.detecting`."""
    del threads, arrays
    import onnxruntime as ort

    def load() -> Callable[[], Any]:
        session = ort.InferenceSession(options["file"], providers=["CPUExecutionProvider"])
        inputs = _inputs(options)
        return lambda: session.run(None, inputs)

    return _timed(load, options)


def openvino(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`compile_model(file, "CPU")(inputs)`; options and result as of `latency.detecting`.

    Its precision is the one that OpenVINO takes for this processor: bf16 where it computes that.
    """
    del threads, arrays
    import openvino as ov

    def load() -> Callable[[], Any]:
        compiled = ov.Core().compile_model(options["file"], "CPU")
        inputs = _inputs(options)
        return lambda: compiled(inputs)

    return _timed(load, options)


def benchmark_app(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """OpenVINO's own measuring tool, for latency; its median is the only sample."""
    del arrays, threads
    if importlib.util.find_spec("openvino.tools.benchmark") is None:
        raise RuntimeError("openvino's benchmark_app is not installed")
    spec = _spec(options)
    shape = f"{spec.name}[1,{spec.height},{spec.width},3]"
    command = [sys.executable, "-P", "-c", _BENCHMARK_APP, "-m", options["file"], "-d", "CPU"]
    # Its hints exclude a number of threads; it takes the processors that this process is bound to.
    command += ["-hint", "latency", "-t", str(_APP_SECONDS)]
    command += ["-shape", shape, "-infer_precision", options["infer_precision"]]

    def call() -> Arrays:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"Median:\s*([\d.]+) ms", ran.stdout)
        if not found:
            raise RuntimeError(f"benchmark_app: {(ran.stdout + ran.stderr).strip()[-200:]}")
        return _result(np.full((1, len(latency.PARTS)), float(found[1])), {})

    return call, lambda result: result


def trtexec(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """NVIDIA's measuring tool: the engine alone, without copies; its median is the only sample.

    Written by NVIDIA's documentation and not run yet.
    """
    del arrays, threads
    spec = _spec(options)
    command = ["trtexec", f"--loadEngine={options['file']}", f"--duration={_APP_SECONDS}"]
    command += [f"--shapes={spec.name}:1x{spec.height}x{spec.width}x3"]
    command += ["--useCudaGraph", "--noDataTransfers"]

    def call() -> Arrays:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return _result(np.full((1, len(latency.PARTS)), gpu_compute_ms(ran.stdout)), {})

    return call, lambda result: result


def gpu_compute_ms(said: str) -> float:
    """The median that trtexec tells; RuntimeError with the end of what it said instead."""
    found = re.search(r"GPU Compute Time: .*?median = ([\d.]+) ms", said)
    if not found:
        raise RuntimeError(f"trtexec: {said.strip()[-200:]}")
    return float(found[1])


def _timed(load: Callable[[], Callable[[], Any]], options: Mapping[str, Any]) -> Timed:
    begin = time.perf_counter()
    run = load()
    load_s = time.perf_counter() - begin

    def sample() -> list[float]:
        begin = time.perf_counter()
        run()
        spent = 1e3 * (time.perf_counter() - begin)
        return [spent if part in ("network", "total") else 0.0 for part in latency.PARTS]

    first = [sample()[-1] for _ in range(3)]

    def call() -> Arrays:
        samples = latency.repeat(sample, options)
        facts = {"load_s": load_s, **latency.warm_up(first, samples[:, -1])}
        return _result(samples, facts)

    return call, lambda result: result


def _result(samples: np.ndarray, facts: Mapping[str, float]) -> Arrays:
    facts = {**facts, "peak_mb": latency.peak_mb()}
    return {"samples": samples, "facts": latency.as_bytes(facts)}


def _inputs(options: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """A batch of one of values as pre-processing gives them."""
    spec = _spec(options)
    shape = (1, spec.height, spec.width, 3)
    values = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    inputs = {spec.name: values}
    if spec.true_shapes_name:
        inputs[spec.true_shapes_name] = np.array([shape[1:]], np.int32)
    return inputs


def _spec(options: Mapping[str, Any]) -> manifest.InputSpec:
    return manifest.load(options["model"], options["trust"]).input
