"""What the operations take for an array."""

from typing import Any

import numpy as np


def as_array(argument: Any, name: str) -> np.ndarray:
    """`argument` as an array, without a copy: NumPy's, or what has DLPack or a buffer.

    Args:
        argument: The user's.
        name: For the message.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(argument, np.ndarray):
        return argument
    try:
        if hasattr(argument, "__dlpack__"):
            return np.from_dlpack(argument)
        return np.asarray(memoryview(argument))
    except (TypeError, BufferError, RuntimeError) as error:
        found = type(argument).__name__
        raise ValueError(f"{name}: found {found}, expected an array") from error
