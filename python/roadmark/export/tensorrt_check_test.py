import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from roadmark.export import tensorrt_check


def model(*nodes, constants=()):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(value, name) for name, value in constants]
    graph = helper.make_graph(nodes, "small", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def resize(**options):
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], **options)
    return model(node, constants=[("scales", np.float32([1, 1, 2, 2]))])


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        pytest.param(model(helper.make_node("Relu", ["x"], ["y"])), [], id="free batch alone"),
        pytest.param(
            resize(mode="nearest", coordinate_transformation_mode="asymmetric"), [], id="resize"
        ),
        pytest.param(resize(mode="cubic"), ["Resize with mode cubic is not supported"], id="cubic"),
        pytest.param(
            resize(mode="linear", coordinate_transformation_mode="tf_crop_and_resize"),
            ["Resize with coordinates tf_crop_and_resize is not supported"],
            id="crop and resize",
        ),
        pytest.param(
            model(
                helper.make_node("NonZero", ["x"], ["places"]),
                helper.make_node("Cast", ["places"], ["y"], to=TensorProto.FLOAT),
            ),
            [
                "operator NonZero (1 times) is not supported",
                "2 tensors have sizes that depend on values, such as places",
            ],
            id="as many as there are",
        ),
    ],
)
def test_what_tensorrt_would_refuse(graph, says):
    assert tensorrt_check.problems(graph) == says
