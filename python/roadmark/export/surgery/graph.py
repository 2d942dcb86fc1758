"""An ONNX graph with the questions that surgery asks of it answered by look-up."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference


class Graph:
    """A view of a model that is changed through it.

    Args:
        model: Is changed in place. What bodies of Loop and If take from outside is left as it is.

    Attributes:
        model: As given.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._taken = 0
        self._shapes: dict[str, tuple[int | None, ...]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Looks at the graph anew, after a change; shapes too."""
        inferred = shape_inference.infer_shapes(self.model, data_prop=True).graph
        self._shapes = {
            value.name: tuple(
                size.dim_value if size.HasField("dim_value") else None
                for size in value.type.tensor_type.shape.dim
            )
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
            if value.type.tensor_type.HasField("shape")
        }
        self._index()

    def _index(self) -> None:
        graph = self.model.graph
        self._producers = {name: node for node in graph.node for name in node.output}
        self._consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._consumers[name].append(node)
        self._kept = {output.name for output in graph.output} | set(_taken_by_bodies(graph.node))

    @property
    def nodes(self) -> Sequence[onnx.NodeProto]:
        """All nodes, in an order in which they can be computed."""
        return list(self.model.graph.node)

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that makes a tensor; None for inputs and constants."""
        return self._producers.get(name)

    def consumers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that take a tensor, one that takes it twice twice."""
        return self._consumers[name]

    def is_output(self, name: str) -> bool:
        """Whether a tensor is an output of the graph, or taken by the body of a node."""
        return name in self._kept

    def shape(self, name: str) -> tuple[int | None, ...] | None:
        """Sizes of a tensor, None where free; None when nothing is known about it."""
        if name in self._constants:
            return tuple(self._constants[name].dims)
        return self._shapes.get(name)

    def constant(self, name: str) -> np.ndarray | None:
        """The value of a constant tensor; None for another."""
        if name in self._constants:
            return numpy_helper.to_array(self._constants[name])
        node = self.producer(name)
        if node is None or node.op_type != "Constant":
            return None
        return numpy_helper.to_array(attributes(node)["value"])

    def add_constant(self, hint: str, value: np.ndarray) -> str:
        """Adds a constant; gives its name, which begins with `hint`."""
        name = self.new_name(hint)
        tensor = numpy_helper.from_array(value, name)
        self.model.graph.initializer.append(tensor)
        self._constants[name] = tensor
        return name

    def new_name(self, hint: str) -> str:
        """A name that no tensor has."""
        while True:
            self._taken += 1
            name = f"{hint}_surgery_{self._taken}"
            if name not in self._producers and name not in self._constants:
                return name

    def insert(self, before: onnx.NodeProto, nodes: Iterable[onnx.NodeProto]) -> None:
        """Puts nodes, in their order, before one of the graph."""
        graph = self.model.graph
        names = list(before.output)
        index = next(i for i, node in enumerate(graph.node) if list(node.output) == names)
        for offset, node in enumerate(nodes):
            graph.node.insert(index + offset, node)
        self._index()

    def redirect(self, old: str, new: str) -> None:
        """Lets whoever takes the tensor `old` take `new`; neither is an output of the graph."""
        for node in self.consumers(old):
            for index, name in enumerate(node.input):
                if name == old:
                    node.input[index] = new
        self._index()

    def remove_unused(self) -> None:
        """Removes nodes and constants that nothing depends on."""
        graph = self.model.graph
        needed = set(self._kept)
        kept = []
        for node in reversed(graph.node):
            if needed & set(node.output):
                kept.append(node)
                needed.update(node.input)
        if len(kept) < len(graph.node):
            del graph.node[:]
            graph.node.extend(reversed(kept))
        for index in reversed(range(len(graph.initializer))):
            name = graph.initializer[index].name
            if name not in needed:
                del graph.initializer[index]
                del self._constants[name]
        self._index()


def _taken_by_bodies(nodes: Iterable[onnx.NodeProto]) -> Iterator[str]:
    """Names that nodes in the bodies of others take; some of them are the bodies' own."""
    for node in nodes:
        for attribute in node.attribute:
            bodies = [attribute.g] if attribute.HasField("g") else attribute.graphs
            for body in bodies:
                yield from (name for inner in body.node for name in inner.input)
                yield from (output.name for output in body.output)
                yield from _taken_by_bodies(body.node)


def attributes(node: onnx.NodeProto) -> Mapping[str, Any]:
    """A node's attributes by name."""
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}
