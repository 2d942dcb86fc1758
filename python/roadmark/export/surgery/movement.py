"""What chains of nodes that only move or repeat values do, found out by moving indices.

Converters write one operation, such as an upsampling, as chains of Unsqueeze, Concat, Transpose
and Reshape that differ from version to version and by the layouts around. Instead of knowing the
chains, an array of indices is sent through one: its result says where each value comes from.
"""

from collections.abc import Sequence

import numpy as np
import onnx

from roadmark.export.surgery.graph import Graph, attributes

_BATCH = 2
# Larger arrays of indices would take noticeable memory; no feature map that is upsampled is so big.
_MOST_VALUES = 1 << 26


def source_of(graph: Graph, node: onnx.NodeProto) -> str | None:
    """The tensor whose values a node moves or repeats; None for a node that does more."""
    first = node.input[0] if node.input else None
    others = node.input[1:]
    if node.op_type in ("Transpose", "Identity"):
        return first
    if node.op_type in ("Unsqueeze", "Squeeze", "Reshape", "Tile", "Expand"):
        return first if all(graph.constant(name) is not None for name in others) else None
    if node.op_type == "Concat" and len(node.input) > 1 and len(set(node.input)) == 1:
        return first
    return None


def chain_to(graph: Graph, name: str) -> list[onnx.NodeProto]:
    """The longest chain of nodes that move or repeat values and end with a tensor."""
    chain: list[onnx.NodeProto] = []
    node = graph.producer(name)
    while node is not None:
        source = source_of(graph, node)
        if source is None or graph.constant(source) is not None:
            break
        chain.insert(0, node)
        node = graph.producer(source)
    return chain


def move(graph: Graph, node: onnx.NodeProto, array: np.ndarray) -> np.ndarray:
    """What a node, of which `source_of` is known, makes of an array."""
    options = attributes(node)
    if node.op_type == "Transpose":
        return array.transpose(options.get("perm"))
    if node.op_type == "Identity":
        return array
    if node.op_type == "Concat":
        return np.concatenate([array] * len(node.input), options["axis"])
    argument = graph.constant(node.input[1]) if len(node.input) > 1 else None
    if node.op_type == "Unsqueeze":
        return np.expand_dims(array, tuple(argument))
    if node.op_type == "Squeeze":
        return array.squeeze(None if argument is None else tuple(argument))
    if node.op_type == "Tile":
        return np.tile(array, argument)
    if node.op_type == "Expand":
        return np.broadcast_to(array, np.broadcast_shapes(array.shape, tuple(argument)))
    sizes = [array.shape[i] if size == 0 else size for i, size in enumerate(argument)]
    return array.reshape(sizes)


def through(graph: Graph, chain: Sequence[onnx.NodeProto], array: np.ndarray) -> np.ndarray:
    """What a chain makes of an array."""
    for node in chain:
        array = move(graph, node, array)
    return array


def indices(shape: tuple[int | None, ...] | None) -> np.ndarray | None:
    """An array `[2, ...]` of a tensor's shape that counts; None for a shape that is not known.

    Its first size, that of the batch, may be free.
    """
    if not shape or None in shape[1:]:
        return None
    sizes = (_BATCH if shape[0] is None else shape[0], *shape[1:])
    count = int(np.prod(sizes))
    return np.arange(count, dtype=np.int64).reshape(sizes) if count <= _MOST_VALUES else None
