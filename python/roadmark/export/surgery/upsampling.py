"""Nearest-neighbour upsampling, written as stacks and reshapes, becomes one Resize.

The OD API upsamples with `tf.stack` and `tf.reshape` (`nearest_neighbor_upsampling` in
`object_detection/utils/ops.py`), which suits TPUs. Elsewhere each value goes through memory several
times.
"""

import math

import numpy as np
import onnx
from onnx import helper

from roadmark.export.surgery import movement
from roadmark.export.surgery.graph import Graph

_TO_NCHW, _TO_NHWC, _AS_IT_IS = (0, 3, 1, 2), (0, 2, 3, 1), (0, 1, 2, 3)
_REPEATING = {"Concat", "Tile", "Expand"}


def apply(graph: Graph) -> int:
    """Replaces every such chain.

    Returns:
        How many there were.
    """
    count = 0
    # From the end, so that the longest chain that is an upsampling is found first.
    for node in reversed(graph.nodes):
        replacement = _replacement(graph, node)
        if replacement is None:
            continue
        graph.insert(node, replacement)
        graph.redirect(node.output[0], replacement[-1].output[0])
        graph.remove_unused()
        count += 1
    graph.refresh()
    return count


def _replacement(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    if len(graph.shape(node.output[0]) or ()) != 4 or graph.is_output(node.output[0]):
        return None
    if not graph.consumers(node.output[0]):
        return None
    chain = movement.chain_to(graph, node.output[0])
    if not any(one.op_type in _REPEATING for one in chain):
        return None
    source = chain[0].input[0]
    before = movement.indices(graph.shape(source))
    if before is None or before.ndim != 4:
        return None
    after = movement.through(graph, chain, before)
    for to_nchw in (_AS_IT_IS, _TO_NCHW):
        for from_nchw in (_AS_IT_IS, _TO_NHWC):
            factor = _factor(before.transpose(to_nchw), after, from_nchw)
            if factor:
                return _resize(graph, source, factor, to_nchw, from_nchw)
    return None


def _factor(nchw: np.ndarray, after: np.ndarray, from_nchw: tuple[int, ...]) -> int:
    """By what height and width are repeated; 0 when something else happens."""
    factor = math.isqrt(after.size // nchw.size)
    if factor < 2:
        return 0
    batch, channels, height, width = nchw.shape
    sizes = (batch, channels, height * factor, width * factor)
    if after.shape != tuple(sizes[axis] for axis in from_nchw):
        return 0
    repeated = nchw.repeat(factor, 2).repeat(factor, 3)
    return factor if np.array_equal(repeated.transpose(from_nchw), after) else 0


def _resize(
    graph: Graph,
    source: str,
    factor: int,
    to_nchw: tuple[int, ...],
    from_nchw: tuple[int, ...],
) -> list[onnx.NodeProto]:
    nodes = []

    def add(operation: str, inputs: list[str], **options: object) -> str:
        name = graph.new_name(operation)
        nodes.append(helper.make_node(operation, inputs, [name], name=name, **options))
        return name

    if to_nchw != _AS_IT_IS:
        source = add("Transpose", [source], perm=to_nchw)
    scales = graph.add_constant("scales", np.array([1, 1, factor, factor], np.float32))
    source = add(
        "Resize",
        [source, "", scales],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    if from_nchw != _AS_IT_IS:
        add("Transpose", [source], perm=from_nchw)
    return nodes
