"""Converts a raw SavedModel to other formats: the process that does it.

    python -m roadmark.export.conversion_process RAW --onnx=FILE [--openvino=FILE] [--tflite=FILE]
        [--batch_size=N]

A converter holds several copies of a model and gives memory back to nobody, so `conversion` runs
this as a child. The last line that it prints is a JSON object with what it took and did.
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import onnx
import onnxslim

from roadmark.export import tensorrt_check, tflite
from roadmark.export.surgery import sequence

# The newest whose operators tf2onnx writes, ONNX Runtime, OpenVINO and TensorRT all read.
_OPSET = 17


def main(arguments: list[str]) -> None:
    """Runs the process; see the module's text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("raw", type=Path)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--openvino", type=Path)
    parser.add_argument("--tflite", type=Path)
    parser.add_argument("--batch_size", type=int, default=0)
    options = parser.parse_args(arguments)
    model = from_saved_model(options.raw)
    if options.batch_size:
        fix_batch(model, options.batch_size)
    model, sites = optimise(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, options.onnx)
    if options.openvino:
        _to_openvino(options.onnx, options.openvino)
    if options.tflite:
        tflite.convert(options.raw, options.tflite)
    said = {"opset": _OPSET, "sites": sites, "tensorrt": tensorrt_check.problems(model)}
    print(json.dumps(said | {"peak_bytes": _peak_bytes()}))


def optimise(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, int]]:
    """Folds constants and batch normalisation, and applies the surgery.

    Returns:
        The model, and at how many sites each step of the surgery was applied.
    """
    # Shapes that tf2onnx computes in the graph become constants, which the surgery needs.
    model = onnxslim.slim(model)
    sites = sequence.apply(model)
    return model, sites


def from_saved_model(raw: Path) -> onnx.ModelProto:
    """What tf2onnx makes of a SavedModel."""
    from tf2onnx import convert

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        sys.argv = ["tf2onnx", "--saved-model", str(raw), "--opset", str(_OPSET)]
        sys.argv += ["--tag", "serve", "--output", str(path)]
        convert.main()
        return onnx.load(path)


def fix_batch(model: onnx.ModelProto, size: int) -> None:
    """Makes `size` the only batch size of a model whose batch is free."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = size
    # Sizes inferred for a free batch would contradict.
    del model.graph.value_info[:]


def _to_openvino(source: Path, target: Path) -> None:
    import openvino

    model = openvino.Core().read_model(source)
    openvino.save_model(model, target, compress_to_fp16=False)


def _peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
