"""What TensorRT would refuse in an ONNX model, found without TensorRT and without a GPU.

Which operators it takes is in onnx-tensorrt's `docs/operators.md` (as of TensorRT 8.4, which later
versions extend); sizes that depend on values it can only bound, and its timing is then of no use.
"""

import onnx
from onnx import helper, shape_inference

# Of those, the ones that networks of this kind consist of.
_NAMES = """
    Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant
    ConstantOfShape Conv ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Elu Equal Erf
    Exp Expand Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool GlobalMaxPool
    Greater GreaterOrEqual HardSigmoid Identity LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max
    MaxPool Mean Min Mul Neg Not Or Pad Pow PRelu QuantizeLinear ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum Relu Reshape Resize Round ScatterElements ScatterND Shape Sigmoid Sign Sin
    Size Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose
    Unsqueeze Where
"""
_OPERATORS = frozenset(_NAMES.split())
_RESIZE_MODES = {"nearest", "linear"}
_RESIZE_TRANSFORMATIONS = {"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"}


def problems(model: onnx.ModelProto) -> list[str]:
    """What stands against a model in TensorRT.

    Args:
        model: With or without its weights.

    Returns:
        A line for each operator that it has not, and one for sizes other than the batch's that are
        known only when it runs. Empty for a model that it should take.
    """
    nodes = model.graph.node
    found = []
    for name in sorted({node.op_type for node in nodes} - _OPERATORS):
        count = sum(node.op_type == name for node in nodes)
        found.append(f"operator {name} ({count} times) is not supported")
    modes = {_resize_mode(node) for node in nodes if node.op_type == "Resize"}
    found += [f"Resize with {mode} is not supported" for mode in sorted(filter(None, modes))]
    free = _free_sizes(model)
    if free:
        found.append(f"{len(free)} tensors have sizes that depend on values, such as {free[0]}")
    return found


def _resize_mode(node: onnx.NodeProto) -> str:
    options = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    mode = options.get("mode", b"nearest").decode()
    transformation = options.get("coordinate_transformation_mode", b"half_pixel").decode()
    if mode not in _RESIZE_MODES:
        return f"mode {mode}"
    return "" if transformation in _RESIZE_TRANSFORMATIONS else f"coordinates {transformation}"


def _free_sizes(model: onnx.ModelProto) -> list[str]:
    """Tensors of which another size than the first is not known beforehand."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    known = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        tensor = value.type.tensor_type
        sizes = tensor.shape.dim[1:] if tensor.HasField("shape") else [None]
        known[value.name] = all(one is not None and one.HasField("dim_value") for one in sizes)
    names = [name for node in graph.node for name in node.output if name]
    return [name for name in names if not known.get(name, False)]
