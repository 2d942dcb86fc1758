"""What is to be said about a backbone so that a detector can be built on it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

Pixels = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A classifier's network without its top, with the places where a pyramid begins.

    Attributes:
        name: In configs, as `ssd_NAME_fpn_keras` and `ssd_NAME_bifpn_keras`.
        make: Takes a file of weights, or None for random ones, and the config's
            `depth_multiplier`; gives a `tf_keras.Model` that takes float32 `[N, H, W, 3]` of any
            size, already normalised, and has no preprocessing of its own. Raises ValueError where
            it has no such width.
        levels: Name of the last layer of each level: level n has a stride of 2**n. Names must not
            depend on what was built before, as `multiply_7` does.
        mean: Of each channel, RGB, in pixel values of 0 to 255.
        scale: The network sees (pixel - mean) * scale.
    """

    name: str
    make: Callable[[str | None, float], Any]
    levels: Mapping[int, str]
    mean: Pixels
    scale: Pixels


def no_other_width(name: str, depth_multiplier: float) -> None:
    """Raises ValueError unless `depth_multiplier` is 1; for backbones that have one width."""
    if depth_multiplier != 1.0:
        raise ValueError(
            f"{name} has one width only: depth_multiplier is {depth_multiplier:g}, expected 1"
        )
