"""Networks in half precision, run by OpenVINO and ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import pytest
from onnx import TensorProto, helper, numpy_helper

from roadmark.export import half_precision


def _network():
    """A convolution, a Resize whose scales are a weight elsewhere too, and a constant too large."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "far": np.array(1e9, np.float32),
        "shape": np.array([-1, 256, 4], np.int64),
    }
    constant = numpy_helper.from_array(np.array(0.5, np.float32))
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["features"], pads=[1] * 4),
        helper.make_node("Clip", ["features", "", "far"], ["clipped"]),
        helper.make_node("Resize", ["clipped", "", "scales"], ["large"], mode="nearest"),
        helper.make_node("Constant", [], ["half"], value=constant),
        helper.make_node("Mul", ["large", "half"], ["halved"]),
        helper.make_node("Reshape", ["halved", "shape"], ["rows"]),
        helper.make_node("Mul", ["rows", "scales"], ["encodings"]),
        helper.make_node("Sigmoid", ["encodings"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [
            helper.make_tensor_value_info("encodings", TensorProto.FLOAT, ("N", 256, 4)),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", 256, 4)),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


_IMAGE = np.random.default_rng(1).uniform(-1, 1, (2, 3, 8, 8)).astype(np.float32)


def _by_onnxruntime(model):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["encodings", "scores"], {"image": _IMAGE})


@pytest.mark.parametrize(("precision", "bits"), [("fp16", 11), ("bf16", 8)])
def test_results_are_those_of_float32_but_for_the_rounding(precision, bits, tmp_path):
    expected = _by_onnxruntime(_network())
    half = half_precision.convert(_network(), precision)
    onnx.save(half, tmp_path / "half.onnx")
    compiled = ov.Core().compile_model(
        tmp_path / "half.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    assert all(port.get_element_type() == ov.Type.f32 for port in compiled.outputs)
    found = compiled({"image": _IMAGE})
    for name, one in zip(("encodings", "scores"), expected, strict=True):
        apart = np.abs(found[name] - one).max() / np.abs(one).max()
        assert 0 < apart < 4 * 2.0**-bits


def test_onnxruntime_takes_fp16_with_the_types_that_the_standard_asks_for():
    half = half_precision.convert(_network(), "fp16")
    onnx.checker.check_model(half, full_check=True)
    for found, expected in zip(_by_onnxruntime(half), _by_onnxruntime(_network()), strict=True):
        assert np.allclose(found, expected, atol=4e-3)


def test_every_weight_is_a_half_but_the_scales_of_resize():
    half = half_precision.convert(_network(), "fp16")
    types = {one.name: one.data_type for one in half.graph.initializer}
    assert types == {
        "w": TensorProto.FLOAT16,
        "scales": TensorProto.FLOAT16,
        "scales_float32": TensorProto.FLOAT,
        "far": TensorProto.FLOAT16,
        "shape": TensorProto.INT64,
    }
    far = next(one for one in half.graph.initializer if one.name == "far")
    assert numpy_helper.to_array(far) == 65504


def test_the_model_given_stays_as_it_was():
    model = _network()
    before = model.SerializeToString()
    half_precision.convert(model, "bf16")
    assert model.SerializeToString() == before
