"""Pre- and post-processing of a one-stage model as ONNX graphs of standard operators.

They do what `roadmark.ops` does, for servers that have neither Python nor Roadmark: slower, and
equal but for rounding.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from roadmark.export import onnx_decoding
from roadmark.export.onnx_decoding import Nodes
from roadmark.inference.engine_nms import BOXES, CLASSES, NUM_DETECTIONS, SCORES
from roadmark.manifest import (
    CLASS_AGNOSTIC,
    FIXED_SHAPE,
    ONE_STAGE,
    SIGMOID,
    InputSpec,
    Manifest,
    PostprocessSpec,
)

PICTURES, WINDOW = "pictures", "window"
_OPSET, _IR = 17, 8
_NHWC_TO_NCHW, _NCHW_TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
# Another of ONNX's types and shapes: name, type, sizes behind the batch's.
Tensor = tuple[str, int, tuple[int, ...]]


def has_graphs(spec: PostprocessSpec) -> bool:
    """Whether there are such graphs for a model: of one stage, and without soft NMS."""
    return spec.architecture == ONE_STAGE and not spec.nms.soft_nms_sigma


def inputs_of_preprocessing() -> list[Tensor]:
    """`pictures`: uint8 `[B, H, W, 3]` RGB, of one size in a batch."""
    return [(PICTURES, TensorProto.UINT8, (-1, -1, 3))]


def outputs_of_preprocessing(spec: InputSpec) -> list[Tensor]:
    """The network's input, and `window`: the share of it that the picture fills, `[B, 2]`."""
    return [
        (spec.name, TensorProto.FLOAT, (spec.height, spec.width, 3)),
        (WINDOW, TensorProto.FLOAT, (2,)),
    ]


def inputs_of_postprocessing(description: Manifest) -> list[Tensor]:
    """The network's outputs, and `window`."""
    raw = [(one.name, TensorProto.FLOAT, one.shape[1:]) for one in description.outputs]
    return [*raw, (WINDOW, TensorProto.FLOAT, (2,))]


def outputs_of_postprocessing(spec: PostprocessSpec) -> list[Tensor]:
    """`num_detections`, and of the best boxes `detection_boxes`, `_scores` and `_classes`.

    Boxes are normalised to the picture, `[ymin, xmin, ymax, xmax]`; classes are the label map's
    ids; what lies behind the last detection is 0.
    """
    most = spec.nms.max_total
    return [
        (NUM_DETECTIONS, TensorProto.INT32, (1,)),
        (BOXES, TensorProto.FLOAT, (most, 4)),
        (SCORES, TensorProto.FLOAT, (most,)),
        (CLASSES, TensorProto.INT32, (most,)),
    ]


def preprocessing(spec: InputSpec) -> onnx.ModelProto:
    """Resizes, normalises and pads pictures; see `InputSpec`."""
    graph, nodes = _graph(
        "preprocessing", inputs_of_preprocessing(), outputs_of_preprocessing(spec)
    )
    pictures = nodes("Transpose", PICTURES, perm=_NHWC_TO_NCHW)
    pictures = nodes("Cast", pictures, to=TensorProto.FLOAT)
    shape = nodes("Shape", PICTURES)
    resized = _resized_size(nodes, spec, shape)
    # Shape of the result: batch, channels, height, width.
    batch = _part(nodes, shape, 0, 1)
    sizes = nodes("Concat", batch, np.array([3]), resized, axis=0)
    pictures = nodes(
        "Resize",
        pictures,
        "",
        "",
        sizes,
        mode="linear",
        coordinate_transformation_mode="asymmetric",
    )
    mean, scale, pad = (
        np.float32(one).reshape(1, 3, 1, 1) for one in (spec.mean, spec.scale, spec.pad_value)
    )
    pictures = nodes("Mul", nodes("Sub", pictures, mean), scale)
    if spec.resize != FIXED_SHAPE:
        missing = nodes("Sub", np.array([spec.height, spec.width]), resized)
        pads = nodes("Concat", np.zeros(6, np.int64), missing, axis=0)
        pictures = nodes("Add", nodes("Pad", nodes("Sub", pictures, pad), pads), pad)
    nodes.named("Transpose", [spec.name], pictures, perm=_NCHW_TO_NHWC)
    share = nodes("Cast", resized, to=TensorProto.FLOAT)
    share = nodes("Div", share, np.float32([spec.height, spec.width]))
    nodes.named("Expand", [WINDOW], share, nodes("Concat", batch, np.array([2]), axis=0))
    return _model(graph)


def _resized_size(nodes: Nodes, spec: InputSpec, shape: str) -> str:
    """Height and width inside the padding, int64 `[2]`, as `roadmark.ops.preprocess` has them."""
    if spec.resize == FIXED_SHAPE:
        return nodes("Identity", np.array([spec.height, spec.width]))
    sides = nodes("Cast", _part(nodes, shape, 1, 3), to=TensorProto.FLOAT)
    is_landscape = nodes("Less", _part(nodes, sides, 0, 1), _part(nodes, sides, 1, 2))
    frame = np.float32([spec.min_dimension, spec.max_dimension])
    scale = nodes("Div", nodes("Where", is_landscape, frame, frame[::-1].copy()), sides)
    scale = nodes("ReduceMin", scale, axes=[0])
    return nodes("Cast", nodes("Round", nodes("Mul", sides, scale)), to=TensorProto.INT64)


def postprocessing(description: Manifest, anchors: np.ndarray) -> onnx.ModelProto:
    """Decodes and suppresses boxes; see `outputs_of_postprocessing`.

    Args:
        description: Of a model for which `has_graphs`.
        anchors: float32 `[N, 4]`, normalised to the network's input.
    """
    spec = description.postprocess
    outputs = outputs_of_postprocessing(spec)
    graph, nodes = _graph("postprocessing", inputs_of_postprocessing(description), outputs)
    boxes = onnx_decoding.decoded(nodes, anchors, spec.box_coder.scale_factors)
    scores = onnx_decoding.scores(nodes, spec)
    if spec.score_converter == SIGMOID:
        scores = nodes("Sigmoid", scores)
    best = None
    if spec.nms.mode == CLASS_AGNOSTIC:
        best = nodes("ArgMax", scores, axis=2, keepdims=0)
        scores = nodes("ReduceMax", scores, axes=[2])
    scores = nodes("Transpose", scores, perm=(0, 2, 1))
    kept = _suppressed(nodes, boxes, scores, spec)
    clipped, has_area = _clipped(nodes, boxes)
    kept = nodes("Mul", kept, has_area)
    _best(nodes, kept, clipped, best, len(anchors), spec.nms.max_total)
    return _model(graph)


def _suppressed(nodes: Nodes, boxes: str, scores: str, spec: PostprocessSpec) -> str:
    """`scores` `[B, C, N]` with 0 for all that does not stay."""
    nms = spec.nms
    is_agnostic = nms.mode == CLASS_AGNOSTIC
    limit = nms.max_total if is_agnostic else nms.max_per_class
    thresholds = (np.float32([one]) for one in (nms.iou_threshold, nms.score_threshold))
    chosen = nodes("NonMaxSuppression", boxes, scores, np.array([limit]), *thresholds)
    none = nodes("Mul", scores, np.array(0, np.float32))
    return nodes("ScatterND", none, chosen, nodes("GatherND", scores, chosen))


def _clipped(nodes: Nodes, boxes: str) -> tuple[str, str]:
    """Boxes `[B, N, 4]` normalised to the picture, and `[B, 1, N]`: 1 where any of it is left."""
    window = nodes("Unsqueeze", nodes("Concat", WINDOW, WINDOW, axis=1), np.array([1]))
    boxes = nodes("Min", nodes("Max", boxes, np.array(0, np.float32)), window)
    boxes = nodes("Div", boxes, window)
    low, high = (
        nodes("Slice", boxes, *(np.array([one]) for one in (*ends, 2))) for ends in ((0, 2), (2, 4))
    )
    has_sides = nodes("Cast", nodes("Greater", high, low), to=TensorProto.FLOAT)
    has_area = nodes("ReduceMin", has_sides, axes=[2])
    return boxes, nodes("Transpose", has_area, perm=(0, 2, 1))


def _best(
    nodes: Nodes, kept: str, boxes: str, best_class: str | None, anchors: int, most: int
) -> None:
    """The best of all classes, `most` of them; what does not count is 0."""
    flat = nodes("Flatten", kept, axis=1)
    nodes.named("TopK", [SCORES, "places"], flat, np.array([most]), axis=1)
    counts = nodes("Greater", SCORES, np.array(0, np.float32))
    counted = nodes("Cast", counts, to=TensorProto.INT32)
    nodes.named("ReduceSum", [NUM_DETECTIONS], counted, np.array([1]))
    rows = nodes("Mod", "places", np.array(anchors))
    wide = nodes("Expand", nodes("Unsqueeze", rows, np.array([2])), np.array([1, 1, 4]))
    chosen = nodes("GatherElements", boxes, wide, axis=1)
    shown = nodes("Unsqueeze", nodes("Cast", counts, to=TensorProto.FLOAT), np.array([2]))
    nodes.named("Mul", [BOXES], chosen, shown)
    if best_class is None:
        classes = nodes("Div", "places", np.array(anchors))
    else:
        classes = nodes("GatherElements", best_class, rows, axis=1)
    ids = nodes("Cast", nodes("Add", classes, np.array(1)), to=TensorProto.INT32)
    nodes.named("Mul", [CLASSES], ids, counted)


def _part(nodes: Nodes, values: str, first: int, last: int) -> str:
    return nodes("Slice", values, np.array([first]), np.array([last]))


def _graph(
    name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> tuple[onnx.GraphProto, Nodes]:
    graph = helper.make_graph([], name, _infos(inputs), _infos(outputs))
    return graph, Nodes(graph)


def _infos(tensors: Sequence[Tensor]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(
            name,
            kind,
            ["batch", *(f"{name}_{i}" if one < 0 else one for i, one in enumerate(sizes))],
        )
        for name, kind, sizes in tensors
    ]


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    opset = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=_IR)
    onnx.checker.check_model(model, full_check=True)
    return model
