"""An exponential moving average of the weights, which is what checkpoints then give.

In memory the model has the raw weights and this the averages. In a checkpoint it is the other way
round: `model/` holds the averages, so that evaluation, export and the stock tools use them as they
are, and the raw weights, which training goes on with, are kept aside.
"""

from collections.abc import Sequence

import tensorflow as tf


class Averages:
    """The averages of some variables.

    The decay of step t is at most (1 + t) / (10 + t), as in `tf.train.ExponentialMovingAverage`,
    so that a short run is not dominated by its random beginning.

    Args:
        variables: Of the model, weights and batch-norm statistics.
        decay: Of the average, below 1.

    Attributes:
        values: The averages, in the order of the variables.
    """

    def __init__(self, variables: Sequence[tf.Variable], decay: float):
        self._decay, self._weights = decay, list(variables)
        self.values = [
            tf.Variable(variable, trainable=False, name=f"average_{number}")
            for number, variable in enumerate(variables)
        ]

    def update(self, step: tf.Tensor, strategy: tf.distribute.Strategy) -> None:
        """Takes in the weights after a step.

        Args:
            step: int64, steps done before it.
            strategy: Whose cross-replica context this is called in.
        """
        done = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, (1 + done) / (10 + done))
        for average, weight in self.pairs():
            strategy.extended.update(average, _follow, args=(weight, decay))

    def begin(self) -> None:
        """Starts the averages from the weights as they are."""
        for average, weight in self.pairs():
            average.assign(weight)

    def swap(self) -> None:
        """Exchanges the averages and the weights."""
        for average, weight in self.pairs():
            # By way of the host: the value that is read shares its memory with the variable.
            was = average.numpy()
            average.assign(weight)
            weight.assign(was)

    def pairs(self) -> list[tuple[tf.Variable, tf.Variable]]:
        """Each average with its weight."""
        return list(zip(self.values, self._weights, strict=True))


def _follow(average: tf.Variable, weight: tf.Tensor, decay: tf.Tensor) -> tf.Tensor:
    share = tf.cast(1 - decay, average.dtype)
    return average.assign_sub(share * (average - tf.cast(weight, average.dtype)))
