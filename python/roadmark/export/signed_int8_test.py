import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from roadmark.export import signed_int8


def _network(zero):
    """Quantises and dequantises x."""
    weights = {"scale": np.float32(0.02), "zero": zero}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, (None,)) for name in "xy"}
    initializers = [numpy_helper.from_array(np.array(one), name) for name, one in weights.items()]
    kind = TensorProto.INT8 if zero.dtype == np.int8 else TensorProto.UINT8
    inner = [helper.make_tensor_value_info("q", kind, (None,))]
    graph = helper.make_graph(
        nodes, "g", [value["x"]], [value["y"]], initializers, value_info=inner
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _run(model, x):
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_the_same_range_in_half_as_many_steps():
    x = np.linspace(0, 6, 400, dtype=np.float32)
    model = _network(np.uint8(0))
    before, after = (_run(one, x) for one in (model, signed_int8.convert(model)))
    assert before.max() == pytest.approx(5.1)
    assert after.max() == pytest.approx(5.1)
    assert len(np.unique(before)) == 256
    assert len(np.unique(after)) == 128
    assert np.abs(after - np.minimum(x, 5.1)).max() <= 0.51 * 5.1 / 127


def test_signed_ones_stay():
    model = _network(np.int8(0))
    assert signed_int8.convert(model) == model


def test_a_zero_point_elsewhere_is_refused():
    with pytest.raises(ValueError, match="found a zero point other than 0"):
        signed_int8.convert(_network(np.uint8(3)))
