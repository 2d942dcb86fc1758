"""Quantised ONNX as TensorRT takes it: signed, and symmetric around 0."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
_UNSIGNED_STEPS, _SIGNED_STEPS = 255, 127


def convert(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which what was quantised to 0 to 255 is quantised to 0 to 127.

    That costs activations behind a ReLU one of their eight bits; TensorRT has no unsigned ones.

    Args:
        model: Its zero points are 0, as those of symmetric quantisation are.

    Raises:
        ValueError: A zero point is not 0.
    """
    signed = onnx.ModelProto()
    signed.CopyFrom(model)
    weights = {one.name: one for one in signed.graph.initializer}
    made: dict[str, onnx.TensorProto] = {}
    changed: set[str] = set()
    for node in signed.graph.node:
        if node.op_type not in _QUANTISERS or len(node.input) < 3:
            continue
        zero = weights[node.input[2]]
        if np.any(numpy_helper.to_array(zero)):
            raise ValueError(f"{node.name}: found a zero point other than 0")
        if zero.data_type != TensorProto.UINT8:
            continue
        for number, new in ((1, _wider(weights[node.input[1]])), (2, _signed(zero))):
            made[new.name] = new
            node.input[number] = new.name
        if node.op_type == "QuantizeLinear":
            changed.add(node.output[0])
    for value in signed.graph.value_info:
        if value.name in changed:
            value.type.tensor_type.elem_type = TensorProto.INT8
    signed.graph.initializer.extend(made.values())
    return signed


def _wider(scale: onnx.TensorProto) -> onnx.TensorProto:
    steps = np.float32(_UNSIGNED_STEPS / _SIGNED_STEPS)
    return numpy_helper.from_array(numpy_helper.to_array(scale) * steps, f"{scale.name}_signed")


def _signed(zero: onnx.TensorProto) -> onnx.TensorProto:
    values = bytes(numpy_helper.to_array(zero).size)
    name = f"{zero.name}_signed"
    return helper.make_tensor(name, TensorProto.INT8, zero.dims, values, raw=True)
