"""Each step on small graphs: it finds its sites, leaves others alone, and keeps the results."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from roadmark.export.surgery import detours, sequence, transposes, upsampling, weighted_sums
from roadmark.export.surgery.graph import Graph

CHANNELS, HEIGHT, WIDTH = 3, 2, 4
NHWC = (-1, HEIGHT, WIDTH, CHANNELS)


class Builder:
    """Builds a model whose one input is `[batch, 3, 2, 4]`."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def __call__(self, operation, *inputs, **options):
        name = f"{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [name], name, **options))
        return name

    def model(self, output, batch=None):
        last = helper.make_node("Abs", [output], ["y"])
        x, y = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", [batch, CHANNELS, HEIGHT, WIDTH]), ("y", None))
        )
        graph = helper.make_graph([*self.nodes, last], "small", [x], [y], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        return shape_inference.infer_shapes(model)


def upsampled(build, x, factor=2, layout="NHWC", axes=("h", "w")):
    """As tf2onnx writes it: stacked, transposed, reshaped."""
    shape = {
        "h": (-1, HEIGHT * factor, WIDTH, CHANNELS),
        "w": (-1, HEIGHT * factor, WIDTH * factor, CHANNELS),
    }
    x = build("Transpose", x, perm=(0, 2, 3, 1))
    for axis, name in ((2, "h"), (3, "w")):
        if name not in axes:
            continue
        x = build("Unsqueeze", x, build.constant([axis]))
        x = build("Concat", *[x] * factor, axis=axis)
        x = build("Reshape", x, build.constant(shape[name]))
    return build("Transpose", x, perm=(0, 3, 1, 2)) if layout == "NCHW" else x


def tiled(build, x):
    """Twice as large, but the whole beside itself and not each value."""
    return build("Concat", build("Concat", x, x, axis=2), build("Concat", x, x, axis=2), axis=3)


def stacked(build, terms, weights, late_transpose=False):
    """As BiFPN has it: a stack in NHWC, a product with a column, a Squeeze."""
    last = build.constant([4])
    if late_transpose:
        stack = build("Concat", *[build("Unsqueeze", one, last) for one in terms], axis=4)
        stack = build("Transpose", stack, perm=(0, 2, 3, 1, 4))
    else:
        rows = [build("Transpose", one, perm=(0, 2, 3, 1)) for one in terms]
        stack = build("Concat", *[build("Unsqueeze", one, last) for one in rows], axis=4)
    product = build("MatMul", stack, build.constant(np.float32(weights)))
    return build("Squeeze", product, last) if len(weights[0]) == 1 else product


def upsampling_nchw(build):
    return upsampled(build, "x", layout="NCHW")


def upsampling_nhwc(build):
    return upsampled(build, "x")


def upsampling_by_three(build):
    return upsampled(build, "x", factor=3)


def rows_alone(build):
    return upsampled(build, "x", axes=("h",))


def sum_of_two(build):
    return stacked(build, ["x", build("Sigmoid", "x")], [[0.25], [0.75]])


def sum_of_three(build):
    terms = ["x", build("Sigmoid", "x"), build("Relu", "x")]
    return stacked(build, terms, [[0.2], [0.3], [0.5]], late_transpose=True)


def sum_twice(build):
    return stacked(build, ["x", build("Relu", "x")], [[0.2, 0.3], [0.5, 0.5]])


def there_and_back(build):
    pooled = build("GlobalAveragePool", "x")
    flat = build("Squeeze", pooled, build.constant([2, 3]))
    return build("Relu", build("Reshape", flat, build.constant([-1, CHANNELS, 1, 1])))


def swish_between(build):
    x = build("Transpose", "x", perm=(0, 2, 3, 1))
    x = build("Mul", x, build("Sigmoid", x))
    return build("Transpose", x, perm=(0, 3, 1, 2))


def two_layouts(build):
    x = build("Reshape", "x", build.constant(NHWC))
    return build("Add", x, build("Transpose", "x", perm=(0, 2, 3, 1)))


def run(model, x):
    return ReferenceEvaluator(model).run(None, {"x": x})[0]


def operations(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("batch", [None, 2], ids=["free batch", "fixed batch"])
@pytest.mark.parametrize(
    ("step", "build", "sites"),
    [
        pytest.param(upsampling, upsampling_nchw, 1, id="upsampling between NCHW"),
        pytest.param(upsampling, upsampling_nhwc, 1, id="upsampling that ends in NHWC"),
        pytest.param(upsampling, upsampling_by_three, 1, id="upsampling by three"),
        pytest.param(upsampling, rows_alone, 0, id="rows alone are no upsampling by a square"),
        pytest.param(upsampling, lambda build: tiled(build, "x"), 0, id="tiles are no upsampling"),
        pytest.param(weighted_sums, sum_of_two, 1, id="sum of two"),
        pytest.param(weighted_sums, sum_of_three, 1, id="sum of three, transposed as a stack"),
        pytest.param(weighted_sums, sum_twice, 0, id="two columns are two sums"),
        pytest.param(detours, there_and_back, 1, id="squeezed and put back"),
        pytest.param(detours, two_layouts, 0, id="a reshape that is none"),
        pytest.param(transposes, swish_between, 2, id="an activation in between"),
        pytest.param(transposes, two_layouts, 0, id="terms of two layouts"),
    ],
)
def test_step_finds_its_sites_and_keeps_results(step, build, sites, batch):
    builder = Builder()
    output = build(builder)
    model = builder.model(output, batch)
    x = np.random.default_rng(0).normal(size=(2, CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    before, nodes = run(model, x), operations(model)
    assert step.apply(Graph(model)) == sites
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(run(model, x), before, rtol=1e-6, atol=1e-7)
    assert (operations(model) != nodes) == bool(sites)


def test_a_node_of_bifpn_has_no_stack_and_no_transpose_left():
    build = Builder()
    x = _rows(build, build("MaxPool", "x", kernel_shape=(2, 2), strides=(2, 2)))
    x = build("Unsqueeze", x, build.constant([3]))
    x = build("Reshape", build("Concat", x, x, axis=3), build.constant(NHWC))
    back = build("Transpose", x, perm=(0, 3, 1, 2))
    x = stacked(build, ["x", back], [[0.4], [0.6]])
    x = build("Mul", x, build("Sigmoid", x))
    model = build.model(build("Transpose", x, perm=(0, 3, 1, 2)))
    image = np.random.default_rng(0).normal(size=(2, CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    before = run(model, image)
    sequence.apply(model)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(run(model, image), before, rtol=1e-5)
    assert sorted(operations(model)) == sorted(
        ["MaxPool", "Resize", "Mul", "Mul", "Add", "Sigmoid", "Mul", "Abs"]
    )


def _rows(build, x):
    """`x` in NHWC with each row twice."""
    x = build("Unsqueeze", build("Transpose", x, perm=(0, 2, 3, 1)), build.constant([2]))
    x = build("Concat", x, x, axis=2)
    return build("Reshape", x, build.constant([-1, HEIGHT, WIDTH // 2, CHANNELS]))


def test_an_intermediate_result_that_is_an_output_stays():
    build = Builder()
    output = upsampling_nchw(build)
    model = build.model(output)
    shape = [None, CHANNELS, 2 * HEIGHT, 2 * WIDTH]
    model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    names = {one.name for one in model.graph.output}
    sequence.apply(model)
    onnx.checker.check_model(model, full_check=True)
    assert names <= {name for node in model.graph.node for name in node.output}


def test_what_the_body_of_a_node_takes_stays():
    build = Builder()
    large = upsampling_nchw(build)
    taken = helper.make_graph(
        [helper.make_node("Relu", [large], ["taken"])],
        "taken",
        [],
        [helper.make_tensor_value_info("taken", TensorProto.FLOAT, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Sigmoid", [large], ["other"])],
        "other",
        [],
        [helper.make_tensor_value_info("other", TensorProto.FLOAT, None)],
    )
    chosen = build("If", build.constant(np.array(True)), then_branch=taken, else_branch=other)
    model = build.model(build("Add", chosen, large))
    x = np.random.default_rng(0).normal(size=(2, CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    before = run(model, x)
    sequence.apply(model)
    np.testing.assert_array_equal(run(model, x), before)
