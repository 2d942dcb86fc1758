"""Graphs of the OD API's functions, built as fast as they allow."""

from collections.abc import Callable
from typing import Any

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first


def trace(function: Callable, *arguments: Any) -> Any:
    """The graph of a function for arguments of one kind, without running it.

    AutoGraph more than doubles the time and few of the OD API's functions need it, such as
    `random_square_crop_by_scale`: it is used only where the plain way fails.

    Args:
        function: Takes and returns tensors, in any nesting.
        arguments: `tf.TypeSpec`s, in the same nesting.

    Returns:
        A `tf.types.experimental.ConcreteFunction`.
    """
    try:
        return tf.function(function, autograph=False).get_concrete_function(*arguments)
    except tf.errors.OperatorNotAllowedInGraphError:
        return tf.function(function).get_concrete_function(*arguments)
