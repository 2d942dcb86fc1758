"""What each step of the ONNX surgery gains in OpenVINO and ONNX Runtime.

    bazel run //tests/parity:surgery_gain -- --config=configs/effdet_d1.config

converts the config's network, with random weights, and keeps the ONNX after each step. Every file
then runs in processes of its own, which take turns; the table has the least and the median time of
a picture, by the clock and on the processor, the gain over the first file by the clock, and how far
the outputs of the file are from the first one's (ONNX Runtime, at most).
`--raw=FOLDER` takes the raw SavedModel of an export instead of a config. The last results are in
docs/results/engines.md.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags

from roadmark import app
from roadmark.errors import UserError

_CONFIG = flags.DEFINE_string("config", None, "Pipeline config whose network to take.")
_RAW = flags.DEFINE_string("raw", None, "Raw SavedModel to take instead.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Processes of each file.", 1)
_RUNS = flags.DEFINE_integer("runs", 10, "Pictures per process.", 1)
_THREADS = flags.DEFINE_integer("threads", 2, "Of each engine.", 1)
_ENGINES = ("openvino bf16", "openvino f32", "onnxruntime f32")
# For the processes that the program starts itself.
_MEASURE = flags.DEFINE_string("measure", None, "ENGINE,FILE: prints times in milliseconds.")


def main() -> int:
    """Runs the program; see the module's text."""
    if _MEASURE.value:
        print(json.dumps(_measure(*_MEASURE.value.split(","))))
        return 0
    if (_RAW.value is None) == (_CONFIG.value is None):
        raise UserError("command line", "found no network, or two", "give --config or --raw")
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(_RAW.value) if _RAW.value else _save(Path(_CONFIG.value), Path(folder) / "raw")
        files = _steps(raw, Path(folder))
        _compare(files)
    return 0


def _save(config: Path, raw: Path) -> Path:
    import random_network

    random_network.save(config, raw)
    return raw


def _steps(raw: Path, folder: Path) -> dict[str, Path]:
    """The ONNX as it is converted, and after each step."""
    import onnx
    import onnxslim

    from roadmark.export import conversion_process
    from roadmark.export.surgery import sequence
    from roadmark.export.surgery.graph import Graph

    files = {}

    def keep(name: str, model: onnx.ModelProto) -> None:
        files[name] = folder / f"{len(files)}.onnx"
        onnx.save(model, files[name])

    model = conversion_process.from_saved_model(raw)
    keep("tf2onnx", model)
    model = onnxslim.slim(model)
    keep("onnxslim", model)
    graph = Graph(model)
    for name, step in sequence.STEPS.items():
        keep(f"{name} ({step(graph)})", model)
    return files


def _compare(files: dict[str, Path]) -> None:
    from rich.console import Console
    from rich.table import Table

    cases = [(engine, name) for engine in _ENGINES for name in files]
    times: dict[tuple[str, str], list[list[float]]] = {case: [] for case in cases}
    for _ in range(_ROUNDS.value):
        for engine, name in cases:
            times[engine, name] += _in_own_process(engine, files[name])
    apart = _apart(files)
    columns = ("clock min", "median", "processor min", "median", "gain", "outputs apart")
    table = Table("engine", "file", *columns)
    for engine, name in cases:
        clock, processor = zip(*times[engine, name], strict=True)
        first = statistics.median(one for one, _ in times[engine, next(iter(files))])
        shown = (min(clock), statistics.median(clock), min(processor), statistics.median(processor))
        gain = first / statistics.median(clock)
        cells = [f"{one:.1f}" for one in shown]
        table.add_row(engine, name, *cells, f"{gain:.2f}", f"{apart[name]:.1e}")
    Console(width=120).print(table)


def _apart(files: dict[str, Path]) -> dict[str, float]:
    """Largest difference of any output from the first file's, by file."""
    outputs = {name: _onnxruntime(str(path))() for name, path in files.items()}
    first = next(iter(outputs.values()))
    return {
        name: max(float(np.abs(one - two).max()) for one, two in zip(found, first, strict=True))
        for name, found in outputs.items()
    }


def _in_own_process(engine: str, path: Path) -> list[list[float]]:
    command = [sys.executable, __file__, f"--measure={engine},{path}"]
    command += [f"--runs={_RUNS.value}", f"--threads={_THREADS.value}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def _measure(engine: str, path: str) -> list[list[float]]:
    """Milliseconds by the clock and on the processor, of each run after the first."""
    run = _openvino(engine, path) if engine.startswith("openvino") else _onnxruntime(path)
    times = []
    for _ in range(_RUNS.value + 1):
        clock, processor = time.perf_counter(), time.process_time()
        run()
        times.append([time.perf_counter() - clock, time.process_time() - processor])
    return [[1e3 * one for one in pair] for pair in times[1:]]


def _openvino(engine: str, path: str):
    import openvino as ov

    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": _THREADS.value,
        "INFERENCE_PRECISION_HINT": engine.split()[1],
    }
    core = ov.Core()
    request = core.compile_model(core.read_model(path), "CPU", options).create_infer_request()
    _, *sizes = request.get_compiled_model().inputs[0].partial_shape
    image = _image([size.get_length() for size in sizes])
    return lambda: request.infer([image], share_inputs=True)


def _onnxruntime(path: str):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = _THREADS.value
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    inputs = {image.name: _image(image.shape[1:])}
    return lambda: session.run(None, inputs)


def _image(sizes: list[int]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(1, *sizes)).astype(np.float32)


if __name__ == "__main__":
    app.run(main)
