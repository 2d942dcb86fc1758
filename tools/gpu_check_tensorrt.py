"""Builds engines with the TensorRT that is there and runs them, a part of gpu_check.py.

Arguments: the folder of the extensions, and the file to write. The network is a few convolutions
with random weights, in each precision that this version has, and once with NMS inside. Its raw
outputs are compared with those of the ONNX reference, boxes of the path on the GPU with those that
the CPU's operations give from the same raw outputs, and the time of the path with the network's.
TensorRT before 10 builds, but is not run.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import roadmark.ops

roadmark.ops.__path__.append(sys.argv[1])

from roadmark.errors import UserError  # noqa: E402
from roadmark.export import efficient_nms, half_precision  # noqa: E402
from roadmark.inference import engine_nms, tensorrt_engine, tensorrt_stamp  # noqa: E402
from roadmark.inference.cuda_detector import CudaDetector  # noqa: E402
from roadmark.inference.engine import Engine  # noqa: E402
from roadmark.manifest import EngineStamp  # noqa: E402
from roadmark.ops.postprocess import postprocess  # noqa: E402
from roadmark.ops.preprocess import preprocess  # noqa: E402
from tools import gpu_check_runner as stand_in  # noqa: E402
from tools.gpu_check_runner import (  # noqa: E402
    ANCHORS,
    CLASSES,
    DESCRIPTION,
    HEIGHT,
    INPUT,
    SIDE,
    WIDTH,
)

PRECISIONS = ("fp32", half_precision.FP16, half_precision.BF16)
# How far raw outputs may be from the reference's, which lie between -10 and 10.
BOUNDS = {"fp32": 1e-3, half_precision.FP16: 5e-2, half_precision.BF16: 0.5}
FRAMES = 200
_FIRST_THAT_RUNS = 10


def network() -> onnx.ModelProto:
    """Two convolutions whose results are spread over as many rows as anchors."""
    random = np.random.default_rng(0)
    constants, nodes = [], []

    def add(operation: str, *inputs: str | np.ndarray, **options: object) -> str:
        names = []
        for one in inputs:
            if not isinstance(one, str):
                constants.append(numpy_helper.from_array(one, f"constant_{len(constants)}"))
            names.append(one if isinstance(one, str) else constants[-1].name)
        output = options.pop("output", f"{operation}_{len(nodes)}")
        nodes.append(helper.make_node(operation, names, [output], str(output), **options))
        return str(output)

    def convolved(x: str, inner: int, outer: int) -> str:
        weights = random.normal(0, (9 * inner) ** -0.5, (outer, inner, 3, 3)).astype(np.float32)
        return add("Conv", x, weights, strides=(4, 4), pads=(1, 1, 1, 1))

    x = convolved(add("Transpose", "image", perm=(0, 3, 1, 2)), 3, 32)
    x = add("Reshape", convolved(add("Relu", x), 32, 64), np.array([1, -1]))
    x = add("Tile", x, np.array([1, 2]))
    for name, columns, scale, shift in (
        ("box_encodings", 4, 0.3, 0.0),
        ("class_logits", CLASSES, 4.0, -4.0),
    ):
        part = add("Slice", x, np.array([0]), np.array([ANCHORS * columns]), np.array([1]))
        part = add("Reshape", part, np.array([1, ANCHORS, columns]))
        part = add("Mul", part, np.array(scale, np.float32))
        add("Add", part, np.array(shift, np.float32), output=name)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (
            ("image", (1, SIDE, SIDE, 3)),
            ("box_encodings", (1, ANCHORS, 4)),
            ("class_logits", (1, ANCHORS, CLASSES)),
        )
    ]
    graph = helper.make_graph(nodes, "stand-in", values[:1], values[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def build(folder: Path, model: onnx.ModelProto, precision: str, has_nms: bool) -> Path:
    """The engine's file; UserError where this TensorRT builds none."""
    name = f"{precision}_nms" if has_nms else precision
    source, engine = folder / f"{name}.onnx", folder / f"{name}.engine"
    if precision != "fp32":
        model = half_precision.convert(model, precision)
    if has_nms:
        model = efficient_nms.append(model, stand_in.anchors(), DESCRIPTION.postprocess)
    onnx.save(model, source)
    arguments = ["build", str(source), str(engine), f"--precision={precision}"]
    arguments += ["--min_batch=1", "--opt_batch=1", "--max_batch=1"]
    arguments += [f"--timing_cache={folder / 'tensorrt.timing'}"]
    arguments += [f"--plugin={engine_nms.PLUGIN}"] * has_nms
    tensorrt_stamp.run_process(arguments, source, "no engine can be built", None)
    return engine


def load(path: Path, precision: str) -> tensorrt_engine.TensorRtEngine:
    """The engine in this process."""
    stamp = EngineStamp(
        "tensorrt",
        path.name,
        precision,
        {"batch_min": "1", "batch_max": "1", "batch": "1", tensorrt_stamp.NMS: engine_nms.PLUGIN},
    )
    return tensorrt_engine.TensorRtEngine(tensorrt_engine.deserialised(path, stamp, ""), stamp)


def outputs_of(engine: Engine, batch: np.ndarray) -> dict[str, np.ndarray]:
    """Raw outputs of a batch."""
    return dict(engine.result(engine.submit({"image": batch})))


def check(engine: tensorrt_engine.TensorRtEngine, expected: dict, picture: np.ndarray) -> dict:
    """Compares an engine's outputs and boxes, and measures the path."""
    batch = preprocess([picture], INPUT)
    raw = outputs_of(engine, batch)
    apart = max(float(np.abs(raw[name] - expected[name]).max()) for name in expected)
    wrong = [] if apart <= BOUNDS[engine.precision] else [f"raw outputs {apart:.2g} apart"]
    size = (HEIGHT, WIDTH)
    detector = CudaDetector(DESCRIPTION, stand_in.anchors(), lambda: engine.network(1), size)
    (found,) = detector.detect([picture])
    (boxes,) = postprocess(raw, stand_in.anchors(), DESCRIPTION.postprocess, INPUT, [size])
    for name in ("boxes", "scores", "classes"):
        if not np.array_equal(getattr(found, name), getattr(boxes, name)):
            wrong.append(f"{name} differ ({len(found)} and {len(boxes)} found)")
    if not len(found):
        wrong.append("nothing was found, so nothing was compared")
    whole, alone = [], []
    for _ in range(FRAMES):
        begin = time.perf_counter()
        detector.detect([picture])
        whole.append(1e3 * (time.perf_counter() - begin))
        outputs_of(engine, batch)
        alone.append(engine.spent.network)
    times = {"whole_path_ms": stand_in.summary(whole), "network_ms": stand_in.summary(alone)}
    ratio = times["whole_path_ms"]["p99"] / times["network_ms"]["median"]
    return {"wrong": wrong, "outputs_apart": apart, **times, "p99_over_network_median": ratio}


def check_nms(engine: tensorrt_engine.TensorRtEngine, expected: dict, picture: np.ndarray) -> dict:
    """Compares the boxes of an engine with NMS inside with those of the CPU's operations."""
    outputs = outputs_of(engine, preprocess([picture], INPUT))
    size = [(HEIGHT, WIDTH)]
    (found,) = engine_nms.detections(outputs, INPUT, size)
    (boxes,) = postprocess(expected, stand_in.anchors(), DESCRIPTION.postprocess, INPUT, size)
    count = min(len(found), len(boxes))
    apart = float(np.abs(found.scores[:count] - boxes.scores[:count]).max(initial=0))
    wrong = [] if abs(len(found) - len(boxes)) <= 2 else [f"{len(found)}, not {len(boxes)} boxes"]
    wrong += [] if apart <= 1e-2 else [f"scores by rank {apart:.2g} apart"]
    return {"wrong": wrong, "boxes": len(found), "scores_apart": apart}


def main() -> int:
    """Runs the part; returns the exit code."""
    folder = Path(sys.argv[1])
    here = tensorrt_stamp.probe()
    runs = int(here.tensorrt.split(".")[0]) >= _FIRST_THAT_RUNS
    picture = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    model = network()
    names = [one.name for one in model.graph.output]
    batch = preprocess([picture], INPUT)
    expected = dict(zip(names, ReferenceEvaluator(model).run(None, {"image": batch}), strict=True))
    found, wrong = {}, []
    for precision, has_nms in [*((one, False) for one in PRECISIONS), ("fp32", True)]:
        name = f"{precision} with NMS" if has_nms else precision
        try:
            path = build(folder, model, precision, has_nms)
        except UserError as error:
            found[name] = {"not built": str(error)}
            continue
        if runs:
            look = check_nms if has_nms else check
            found[name] = look(load(path, precision), expected, picture)
            wrong += [f"{name}: {one}" for one in found[name]["wrong"]]
        else:
            found[name] = {"built": "not run: that takes TensorRT 10"}
    built = [name for name, one in found.items() if "not built" not in one]
    if not built:
        wrong.append(f"no engine was built: {found['fp32']['not built']}")
    versions = stand_in.versions() | {"tensorrt": here.tensorrt}
    Path(sys.argv[2]).write_text(json.dumps({"versions": versions, "engines": found}))
    figures = [
        f"{name} {one['whole_path_ms']['median']:.2f} ms, network {one['network_ms']['median']:.2f}"
        for name, one in found.items()
        if "network_ms" in one
    ]
    said = "; ".join(wrong) or f"built {', '.join(built)}"
    print("; ".join([f"TensorRT {here.tensorrt}: {said}", *figures]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
