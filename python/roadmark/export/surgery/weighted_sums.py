"""Weighted sums, written as a stack that is multiplied by a matrix, become Mul and Add.

EfficientDet's BiFPN (https://arxiv.org/abs/1911.09070, "fast normalised fusion") combines feature
maps with `tf.stack`, `tf.matmul` by a column of weights and `tf.squeeze`: a copy of all maps, and
a matrix product with one column.
"""

import numpy as np
import onnx
from onnx import helper

from roadmark.export.surgery import movement
from roadmark.export.surgery.graph import Graph, attributes

# How the layout of what is summed becomes that of the sum; first those that leave NCHW inside.
_PERMUTATIONS = ((0, 2, 3, 1), (0, 1, 2, 3))


def apply(graph: Graph) -> int:
    """Replaces every such sum.

    Returns:
        How many there were.
    """
    count = 0
    for node in graph.nodes:
        terms, passed = _stacked(graph, node)
        end = _end(graph, node) if terms else None
        if end is None:
            continue
        sources, permutation = _sources(graph, terms, [*passed, end])
        if not sources:
            continue
        weights = graph.constant(node.input[1]).reshape(-1)
        added = _sum(graph, sources, weights, permutation)
        graph.insert(end, added)
        graph.redirect(end.output[0], added[-1].output[0])
        count += 1
    graph.remove_unused()
    graph.refresh()
    return count


def _stacked(graph: Graph, node: onnx.NodeProto) -> tuple[list[str], list[onnx.NodeProto]]:
    """What a product of a stack and a column of weights stacks, `[..., 1]` each.

    Returns:
        The terms, none for another node, and the Transposes that the stack passes on its way.
    """
    weights = graph.constant(node.input[1]) if node.op_type == "MatMul" else None
    stack, passed = graph.producer(node.input[0]), []
    while stack is not None and stack.op_type == "Transpose" and _keeps_last_axis(stack):
        passed.insert(0, stack)
        stack = graph.producer(stack.input[0])
    if weights is None or stack is None or stack.op_type != "Concat":
        return [], []
    rank = len(graph.shape(stack.output[0]) or ())
    is_last = rank and attributes(stack)["axis"] in (-1, rank - 1)
    is_column = weights.shape == (len(stack.input), 1)
    return (list(stack.input), passed) if is_last and is_column else ([], [])


def _keeps_last_axis(transpose: onnx.NodeProto) -> bool:
    permutation = attributes(transpose).get("perm", (0,))
    return permutation[-1] == len(permutation) - 1


def _end(graph: Graph, product: onnx.NodeProto) -> onnx.NodeProto | None:
    """The Squeeze that takes the product's last axis away."""
    consumers = graph.consumers(product.output[0])
    if len(consumers) != 1 or consumers[0].op_type != "Squeeze":
        return None
    return None if graph.is_output(consumers[0].output[0]) else consumers[0]


def _sources(
    graph: Graph, terms: list[str], after: list[onnx.NodeProto]
) -> tuple[list[str], tuple[int, ...]]:
    """The tensors that are summed, and the permutation that makes the sum's layout of theirs."""
    found = [_sources_of(graph, term, after) for term in terms]
    for permutation in _PERMUTATIONS:
        if all(permutation in one for one in found):
            return [one[permutation] for one in found], permutation
    return [], ()


def _sources_of(graph: Graph, term: str, after: list[onnx.NodeProto]) -> dict[tuple[int, ...], str]:
    """Tensors of which what `after` makes of a term is a permutation."""
    chain, found = movement.chain_to(graph, term), {}
    for start in reversed(range(len(chain))):
        name = chain[start].input[0]
        indices = movement.indices(graph.shape(name))
        if indices is None or indices.ndim != len(_PERMUTATIONS[0]):
            continue
        moved = movement.through(graph, [*chain[start:], *after], indices)
        for permutation in _PERMUTATIONS:
            if np.array_equal(moved, indices.transpose(permutation)):
                found[permutation] = name
    return found


def _sum(
    graph: Graph, sources: list[str], weights: np.ndarray, permutation: tuple[int, ...]
) -> list[onnx.NodeProto]:
    nodes = []

    def add(operation: str, *inputs: str, **options: object) -> str:
        name = graph.new_name(operation)
        nodes.append(helper.make_node(operation, inputs, [name], name=name, **options))
        return name

    scaled = [
        add("Mul", source, graph.add_constant("weight", np.asarray(weight)))
        for source, weight in zip(sources, weights, strict=True)
    ]
    total = scaled[0]
    for term in scaled[1:]:
        total = add("Add", total, term)
    if permutation != tuple(sorted(permutation)):
        add("Transpose", total, perm=permutation)
    return nodes
