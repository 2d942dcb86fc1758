"""The OD API's augmentation, drawn from a seed per example.

The OD API draws from TensorFlow's stateful generators, so what happens to an image depends on how
many images some thread has handled before. Within `seeded(seed)` the same functions draw
statelessly instead: equal seeds give equal augmentation, on any thread and after any restart.
Outside of it nothing changes.
"""

import contextlib
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection import inputs  # noqa: E402
from object_detection.core import preprocessor  # noqa: E402
from object_detection.utils import autoaugment_utils  # noqa: E402

_state = threading.local()


class _Draws:
    """Numbers the random ops of one traced function, so that each has a seed of its own."""

    def __init__(self, seed: tf.Tensor):
        self._seed = seed
        self._count = 0

    def next_seed(self) -> tf.Tensor:
        self._count += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._count)


@contextlib.contextmanager
def seeded(seed: tf.Tensor) -> Iterator[None]:
    """Makes the OD API's augmentation ops that are built in this block draw from `seed`.

    Args:
        seed: int32 or int64 `[2]`.
    """
    outer = getattr(_state, "draws", None)
    _state.draws = _Draws(seed)
    try:
        yield
    finally:
        _state.draws = outer


def stateful_random_ops(graph: tf.Graph) -> list[str]:
    """Names of the ops in a graph, and in the functions it calls, that draw from global state."""
    definition = graph.as_graph_def()
    nodes = list(definition.node)
    for function in definition.library.function:
        nodes.extend(function.node_def)
    return sorted({node.op for node in nodes if _is_stateful_random(node.op)})


def _is_stateful_random(op: str) -> bool:
    if op.startswith("Stateless"):
        return False
    return "Random" in op or "Multinomial" in op or op.startswith("SampleDistortedBoundingBox")


def _uniform(shape, minval=0, maxval=None, dtype=tf.float32, seed=None, name=None):
    if dtype.is_floating and maxval is None:
        maxval = 1
    return tf.random.stateless_uniform(shape, _state.draws.next_seed(), minval, maxval, dtype)


def _normal(shape, mean=0.0, stddev=1.0, dtype=tf.float32, seed=None, name=None):
    return tf.random.stateless_normal(shape, _state.draws.next_seed(), mean, stddev, dtype)


def _distorted_box(image_size, bounding_boxes, **options):
    return tf.image.stateless_sample_distorted_bounding_box(
        image_size, bounding_boxes, _state.draws.next_seed(), **options
    )


def _shuffle(value, seed=None, name=None):
    return tf.random.experimental.stateless_shuffle(value, _state.draws.next_seed())


def _while_loop(cond, body, loop_vars, **options):
    """One whose body, which is built once, draws anew for each index: its first variable."""
    seed = _state.draws.next_seed()

    def drawing(index, *others):
        with seeded(tf.random.experimental.stateless_fold_in(seed, index)):
            return body(index, *others)

    return tf.compat.v1.while_loop(cond, drawing, loop_vars, **options)


class _Overlay(types.ModuleType):
    """A module seen through replacements that apply within `seeded` only."""

    def __init__(self, module: Any, replacements: dict[str, Callable]):
        super().__init__(module.__name__)
        self._module = module
        self._replacements = replacements

    def __getattr__(self, name: str) -> Any:
        original = getattr(self._module, name)
        replacement = self._replacements.get(name)
        if replacement is None or getattr(_state, "draws", None) is None:
            return original
        return replacement


def _install(modules: Iterable[types.ModuleType]) -> None:
    v1 = tf.compat.v1
    overlay = _Overlay(v1, {"random_uniform": _uniform, "while_loop": _while_loop})
    overlay.random = _Overlay(
        v1.random, {"uniform": _uniform, "normal": _normal, "shuffle": _shuffle}
    )
    overlay.image = _Overlay(v1.image, {"sample_distorted_bounding_box": _distorted_box})
    for module in modules:
        module.tf = overlay


_install((preprocessor, inputs, autoaugment_utils))
