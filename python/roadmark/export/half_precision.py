"""An ONNX network in half precision, decided in the file itself.

TensorRT 10 (strongly typed networks) and 11 compute in the types that the file has; there is no
flag of the builder to choose them. Inputs and outputs stay float32, so that pre- and
post-processing need not know.
"""

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FP16, BF16 = "fp16", "bf16"
_TYPES = {FP16: TensorProto.FLOAT16, BF16: TensorProto.BFLOAT16}
_ARRAYS = {FP16: np.dtype(np.float16), BF16: np.dtype(ml_dtypes.bfloat16)}
# Operators and the numbers of those inputs that are float32 whatever the type of the data.
_STAY_FLOAT32 = {"Resize": (1, 2)}


def convert(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """A copy whose weights and activations are halves.

    Args:
        model: Float32, without subgraphs: a one-stage network after `surgery`.
        precision: `FP16` or `BF16`. Numbers beyond what fp16 holds become its largest.

    Returns:
        The network between a cast of each float32 input and one of each float32 output.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    _convert_weights(graph, precision)
    for node in graph.node:
        _convert_node(node, precision)
    # What shape inference noted is of the old types.
    del graph.value_info[:]
    before = [_cast_input(graph, value, precision) for value in _floats(graph.input)]
    after = [_cast_output(graph, value) for value in _floats(graph.output)]
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    return half


def _floats(values: list[onnx.ValueInfoProto]) -> list[onnx.ValueInfoProto]:
    return [one for one in values if one.type.tensor_type.elem_type == TensorProto.FLOAT]


def _convert_weights(graph: onnx.GraphProto, precision: str) -> None:
    """Converts initializers; one that is needed as both is then there twice."""
    stay, others = set(), {output.name for output in graph.output}
    for node in graph.node:
        for number, name in enumerate(node.input):
            stays = number in _STAY_FLOAT32.get(node.op_type, ())
            (stay if stays else others).add(name)
    copies = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        if tensor.name in stay & others:
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = _float32_name(tensor.name)
            copies.append(copy)
        if tensor.name not in stay - others:
            tensor.CopyFrom(_halved(tensor, precision))
    graph.initializer.extend(copies)
    copied = {copy.name for copy in copies}
    for node in graph.node:
        for number in _STAY_FLOAT32.get(node.op_type, ()):
            if number < len(node.input) and _float32_name(node.input[number]) in copied:
                node.input[number] = _float32_name(node.input[number])


def _float32_name(name: str) -> str:
    return f"{name}_float32"


def _convert_node(node: onnx.NodeProto, precision: str) -> None:
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = _TYPES[precision]
        is_constant = attribute.type == onnx.AttributeProto.TENSOR
        if is_constant and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(_halved(attribute.t, precision))


def _halved(tensor: onnx.TensorProto, precision: str) -> onnx.TensorProto:
    array, dtype = numpy_helper.to_array(tensor), _ARRAYS[precision]
    largest = float(ml_dtypes.finfo(dtype).max)
    clipped = np.where(np.isfinite(array), np.clip(array, -largest, largest), array)
    return helper.make_tensor(
        tensor.name, _TYPES[precision], tensor.dims, clipped.astype(dtype).tobytes(), raw=True
    )


def _cast_input(
    graph: onnx.GraphProto, value: onnx.ValueInfoProto, precision: str
) -> onnx.NodeProto:
    inner = f"{value.name}_{precision}"
    _rename(graph.node, value.name, inner)
    return helper.make_node("Cast", [value.name], [inner], to=_TYPES[precision])


def _cast_output(graph: onnx.GraphProto, value: onnx.ValueInfoProto) -> onnx.NodeProto:
    inner = f"{value.name}_half"
    _rename(graph.node, value.name, inner)
    return helper.make_node("Cast", [inner], [value.name], to=TensorProto.FLOAT)


def _rename(nodes: list[onnx.NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for number, name in enumerate(names):
                if name == old:
                    names[number] = new
