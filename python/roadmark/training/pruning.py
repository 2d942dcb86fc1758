"""Magnitude pruning in the course of training: the smallest weights of each kernel become zero.

After Zhu and Gupta 2017 (arXiv:1710.01878): the sparsity rises along a cubic, so that most weights
go early, while there are many, and the network has time to recover. Which weights are gone is part
of the checkpoint.
"""

import dataclasses
import gzip
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from roadmark.training.recipe import Pruning

# As in TensorFlow's model optimisation toolkit: depthwise kernels are small and needed.
_KERNELS = ("kernel", "pointwise_kernel")
SPARSITY = "sparsity"


class Pruner:
    """The masks of a model's kernels.

    Args:
        variables: The trained variables; those that are kernels of convolutions or dense layers
            are pruned.
        pruning: The recipe's.
        steps: Of the run.

    Attributes:
        masks: 0 or 1 for each weight of each kernel.
        first: Steps before the first weights are chosen.
    """

    def __init__(self, variables: Sequence[tf.Variable], pruning: Pruning, steps: int):
        self._pruning = pruning
        self.first = int(pruning.begin * steps)
        self._last = max(self.first + 1, int(pruning.end * steps))
        self._kernels = [one for one in variables if _name(one) in _KERNELS and one.shape.rank > 1]
        self.masks = [
            tf.Variable(tf.ones(kernel.shape), trainable=False, name=f"mask_{number}")
            for number, kernel in enumerate(self._kernels)
        ]

    def target(self, step: tf.Tensor) -> tf.Tensor:
        """The sparsity, float32, that a step aims for."""
        share = (tf.cast(step, tf.float32) - self.first) / (self._last - self.first)
        left = 1 - tf.clip_by_value(share, 0.0, 1.0)
        return self._pruning.sparsity * (1 - left**3)

    def update(self, step: tf.Tensor, strategy: tf.distribute.Strategy) -> dict[str, tf.Tensor]:
        """Chooses weights when they are due, and sets those that were chosen to zero.

        Args:
            step: int64, steps done.
            strategy: Whose cross-replica context this is called in.

        Returns:
            The share of the kernels' weights that is zero, float32.
        """
        chosen = (step - self.first) % self._pruning.every == 0
        due = tf.logical_and(step >= self.first, tf.logical_or(chosen, step == self._last))
        # Once the sparsity is reached, the weights that are gone stay gone.
        due = tf.logical_and(due, step <= self._last)
        target = self.target(step)
        for kernel, mask in self._pairs():
            strategy.extended.update(mask, _choose, args=(kernel, target, due))
            strategy.extended.update(kernel, _apply, args=(mask,))
        left = tf.add_n([tf.reduce_sum(mask) for mask in self.masks])
        return {SPARSITY: 1 - left / float(sum(mask.shape.num_elements() for mask in self.masks))}

    def mask(
        self, pairs: Sequence[tuple[tf.Variable, tf.Variable]], strategy: tf.distribute.Strategy
    ) -> None:
        """Sets to zero in others what is zero in the kernels.

        Args:
            pairs: Variables to change, each with the weight that it belongs to.
            strategy: As for `update`.
        """
        masks = {kernel.ref(): mask for kernel, mask in self._pairs()}
        for variable, weight in pairs:
            if weight.ref() in masks:
                strategy.extended.update(variable, _apply, args=(masks[weight.ref()],))

    def _pairs(self) -> list[tuple[tf.Variable, tf.Variable]]:
        return list(zip(self._kernels, self.masks, strict=True))


@dataclasses.dataclass(frozen=True)
class Size:
    """What pruned weights take.

    Attributes:
        weights: Number of all weights.
        zeros: Number of those that are zero.
        bytes: Of the weights as float32.
        gzipped: Of the same after gzip.
    """

    weights: int
    zeros: int
    bytes: int
    gzipped: int

    def line(self) -> str:
        """For the user."""
        return (
            f"pruned: {self.zeros} of {self.weights} weights are zero "
            f"({self.zeros / self.weights:.0%}); {self.bytes / 1e6:.2f} MB of weights take "
            f"{self.gzipped / 1e6:.2f} MB after gzip"
        )


def size(variables: Sequence[tf.Variable]) -> Size:
    """Measures the weights as they are."""
    values = [variable.numpy().astype(np.float32) for variable in variables]
    content = b"".join(value.tobytes() for value in values)
    return Size(
        weights=sum(value.size for value in values),
        zeros=sum(int(np.count_nonzero(value == 0)) for value in values),
        bytes=len(content),
        gzipped=len(gzip.compress(content, 6)),
    )


def _choose(mask: tf.Variable, kernel: tf.Tensor, target: tf.Tensor, due: tf.Tensor) -> tf.Tensor:
    def chosen() -> tf.Tensor:
        sizes = tf.sort(tf.reshape(tf.abs(kernel), [-1]))
        count = tf.cast(target * float(mask.shape.num_elements()), tf.int32)
        limit = tf.where(count > 0, sizes[tf.maximum(count - 1, 0)], -1.0)
        return tf.cast(tf.abs(kernel) > limit, mask.dtype)

    return mask.assign(tf.cond(due, chosen, lambda: tf.identity(mask)))


def _apply(kernel: tf.Variable, mask: tf.Tensor) -> tf.Tensor:
    return kernel.assign(kernel * tf.cast(mask, kernel.dtype))


def _name(variable: tf.Variable) -> str:
    return variable.name.partition(":")[0].rpartition("/")[2]
