"""Operations of networks small enough to count by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from roadmark.benchmark import network_cost


def _weights(name, *shape):
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


@pytest.mark.parametrize(
    ("node", "weights", "shape", "products"),
    [
        # 4 x 4 pixels, 8 channels made of 3 with 3 x 3 weights each.
        (
            helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4),
            (8, 3, 3, 3),
            ("N", 3, 4, 4),
            4 * 4 * 8 * 27,
        ),
        # Depthwise: each channel from itself alone.
        (
            helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4, group=6),
            (6, 1, 3, 3),
            ("N", 6, 4, 4),
            4 * 4 * 6 * 9,
        ),
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (5, 7), ("N", 4, 5), 4 * 5 * 7),
        (helper.make_node("Conv", ["x", "w"], ["y"]), (2, 3, 1, 1), (5, 3, 2, 2), 2 * 2 * 2 * 3),
        (helper.make_node("Relu", ["x"], ["y"]), (1,), ("N", 4), 0),
    ],
    ids=["convolution", "depthwise", "matrix product", "fixed batch", "activation"],
)
def test_operations_of_one_picture(node, weights, shape, products, tmp_path):
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [_weights("w", *weights)],
    )
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph), path)
    assert network_cost.gflop(path) == pytest.approx(2e-9 * products)
