"""Arithmetic of an exported network."""

import math
from pathlib import Path

import onnx
from onnx import helper, shape_inference


def gflop(path: Path) -> float:
    """Billions of floating-point operations of an ONNX network on one picture.

    Those of convolutions and matrix products, a multiplication and an addition each; what is left
    out (activations, sums, resizing) is a few hundredths of a detector's.
    """
    model = shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    graph = model.graph
    sizes = {one.name: list(one.dims) for one in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        # A free size is the batch's.
        sizes[value.name] = [one.dim_value or 1 for one in value.type.tensor_type.shape.dim]
    batch = sizes[graph.input[0].name][0]
    return 2e-9 * sum(_products(node, sizes) for node in graph.node) / batch


def _products(node: onnx.NodeProto, sizes: dict[str, list[int]]) -> int:
    if node.op_type not in ("Conv", "MatMul", "Gemm"):
        return 0
    first, second = (sizes[name] for name in node.input[:2])
    made = math.prod(sizes[node.output[0]])
    if node.op_type == "Conv":  # Weights are [out, in / groups, *kernel].
        return made * math.prod(second[1:])
    options = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return made * first[-2 if options.get("transA") else -1]
