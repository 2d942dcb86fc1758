"""Box decoding and score conversion as ONNX operators behind a raw one-stage network."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from roadmark.manifest import SIGMOID, PostprocessSpec
from roadmark.ops.postprocess import BOX_ENCODINGS, CLASS_LOGITS


class Nodes:
    """Appends nodes to a graph.

    Args:
        graph: Is changed.
        prefix: Of the names of what is added.
    """

    def __init__(self, graph: onnx.GraphProto, prefix: str = "") -> None:
        self._graph, self._prefix = graph, prefix

    def __call__(self, operation: str, *inputs: str | np.ndarray, **options: object) -> str:
        """Adds an operator; arrays become constants. Gives the name of its first output."""
        name = f"{self._prefix}{operation}_{len(self._graph.node)}"
        self.named(operation, [name], *inputs, **options)
        return name

    def named(
        self, operation: str, outputs: Sequence[str], *inputs: str | np.ndarray, **options: object
    ) -> None:
        """Adds an operator whose outputs have these names."""
        given = [one if isinstance(one, str) else self._constant(one) for one in inputs]
        self._graph.node.append(helper.make_node(operation, given, outputs, outputs[0], **options))

    def _constant(self, value: np.ndarray) -> str:
        name = f"{self._prefix}constant_{len(self._graph.initializer)}"
        self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name


def decoded(nodes: Nodes, anchors: np.ndarray, factors: tuple[float, ...]) -> str:
    """Adds what makes corners `[B, N, 4]` of box encodings, as the OD API's `FasterRcnnBoxCoder`.

    Args:
        nodes: Of a graph that has `box_encodings` `[B, N, 4]`.
        anchors: float32 `[N, 4]`, normalised.
        factors: Scale factors of y, x, height and width.

    Returns:
        The name of the corners, normalised like the anchors.
    """
    low, high = np.split(anchors.astype(np.float64), 2, axis=1)
    size, centre = high - low, (low + high) / 2
    place, scale = np.split(np.array(factors, np.float64), 2)
    moved, grown = (
        nodes("Slice", BOX_ENCODINGS, *(np.array([one]) for one in (*ends, 2)))
        for ends in ((0, 2), (2, 4))
    )
    moved = nodes("Mul", moved, np.float32(size / place)[np.newaxis])
    centres = nodes("Add", moved, np.float32(centre)[np.newaxis])
    grown = nodes("Exp", nodes("Mul", grown, np.float32(1 / scale)))
    halves = nodes("Mul", grown, np.float32(size / 2)[np.newaxis])
    corners = (nodes("Sub", centres, halves), nodes("Add", centres, halves))
    return nodes("Concat", *corners, axis=2)


def scores(nodes: Nodes, spec: PostprocessSpec) -> str:
    """Adds what makes scores `[B, N, C]` of class logits, without the background.

    Args:
        nodes: Of a graph that has `class_logits` `[B, N, C]`, `[B, N, C + 1]` with a background.
        spec: From the manifest.

    Returns:
        The name of the scores. For the score converter `sigmoid` these are still logits.
    """
    found = CLASS_LOGITS
    if spec.logit_scale != 1:
        found = nodes("Mul", found, np.array(1 / spec.logit_scale, np.float32))
    if spec.score_converter != SIGMOID:
        found = nodes("Softmax", found, axis=2)
    if spec.background_column:
        last = np.iinfo(np.int64).max
        found = nodes("Slice", found, *(np.array([one]) for one in (1, last, 2)))
    return found
