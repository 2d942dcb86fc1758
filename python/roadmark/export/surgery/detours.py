"""Chains that move values about and end with the tensor that they began with are left out.

Squeeze and Reshape around the squeeze-and-excitation blocks (https://arxiv.org/abs/1709.01507) of
EfficientNet are such, as converters write them.
"""

import numpy as np

from roadmark.export.surgery import movement
from roadmark.export.surgery.graph import Graph


def apply(graph: Graph) -> int:
    """Leaves every such chain out.

    Returns:
        How many there were.
    """
    count = 0
    for node in reversed(graph.nodes):
        name = node.output[0]
        if graph.is_output(name) or not graph.consumers(name):
            continue
        origin = _origin(graph, name)
        if origin is None:
            continue
        graph.redirect(name, origin)
        graph.remove_unused()
        count += 1
    graph.refresh()
    return count


def _origin(graph: Graph, name: str) -> str | None:
    """The first tensor of the chain to `name` that is the same, if there is one."""
    chain = movement.chain_to(graph, name)
    for start in range(len(chain)):
        origin = chain[start].input[0]
        indices = movement.indices(graph.shape(origin))
        if indices is None:
            continue
        if np.array_equal(movement.through(graph, chain[start:], indices), indices):
            return origin
    return None
