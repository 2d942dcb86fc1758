"""Transposes move behind operations that work value by value, where they meet and cancel.

Converters transpose around every operation of the other layout. What stays in between, such as
an activation, keeps pairs apart.
"""

import onnx
from onnx import helper

from roadmark.export.surgery import detours
from roadmark.export.surgery.graph import Graph, attributes

_BY_VALUE = {"Add", "Clip", "Div", "HardSwish", "LeakyRelu", "Max", "Min", "Mul", "Relu"} | {
    "Sigmoid",
    "Sub",
    "Tanh",
}


def apply(graph: Graph) -> int:
    """Moves them and leaves out those that undo each other.

    Returns:
        By how many their number fell.
    """
    before = _count(graph)
    for node in graph.nodes:
        _move_behind(graph, node)
    graph.remove_unused()
    graph.refresh()
    detours.apply(graph)
    return before - _count(graph)


def _move_behind(graph: Graph, node: onnx.NodeProto) -> None:
    if node.op_type not in _BY_VALUE or graph.is_output(node.output[0]):
        return
    varying = [i for i, name in enumerate(node.input) if name and not _is_scalar(graph, name)]
    producers = [graph.producer(node.input[i]) for i in varying]
    if not producers or any(one is None or one.op_type != "Transpose" for one in producers):
        return
    permutations = {tuple(attributes(one).get("perm", ())) for one in producers}
    if len(permutations) != 1 or permutations == {()}:
        return
    inputs = list(node.input)
    for i, producer in zip(varying, producers, strict=True):
        inputs[i] = producer.input[0]
    name, moved = graph.new_name(node.op_type), onnx.NodeProto()
    moved.CopyFrom(node)
    del moved.input[:], moved.output[:]
    moved.name = name
    moved.input.extend(inputs)
    moved.output.append(name)
    behind = graph.new_name("Transpose")
    (permutation,) = permutations
    graph.insert(
        node, [moved, helper.make_node("Transpose", [name], [behind], behind, perm=permutation)]
    )
    graph.redirect(node.output[0], behind)


def _is_scalar(graph: Graph, name: str) -> bool:
    constant = graph.constant(name)
    return constant is not None and constant.size == 1


def _count(graph: Graph) -> int:
    return sum(node.op_type == "Transpose" for node in graph.nodes)
