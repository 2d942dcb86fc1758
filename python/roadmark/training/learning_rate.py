"""The learning rate of a step as the recipe changes it, in the training graph."""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from roadmark.training import schedule as schedules
from roadmark.training.recipe import ONE_CYCLE, Schedule

Change = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Takes the config's rate and the steps done; gives the rate."""

# Of the highest rate: where one cycle begins and ends (as in PyTorch's OneCycleLR), and a warm-up.
_CYCLE_BEGIN, _CYCLE_END = 1 / 25, 1 / 25e4
_WARMUP_BEGIN = 0.1


def change(config: Any, schedule: Schedule) -> Change:
    """What a recipe makes of the config's learning rate.

    Args:
        config: The as-run `TrainEvalPipelineConfig`.
        schedule: Of the recipe.

    Returns:
        A function of the config's rate, float32, and the steps done, that gives the rate.
    """
    steps = config.train_config.num_steps
    scale = schedules.factor(config, schedule)
    peak = schedules.peak_learning_rate(config)

    def changed(rate: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step, tf.float32) / max(1, steps - 1)
        if schedule.kind == ONE_CYCLE:
            return scale * peak * _one_cycle(done, schedule.rise)
        if not schedule.warmup:
            return scale * rate
        risen = tf.minimum(1.0, done / schedule.warmup)
        return scale * rate * (_WARMUP_BEGIN + (1 - _WARMUP_BEGIN) * risen)

    return changed


def _one_cycle(done: tf.Tensor, rise: float) -> tf.Tensor:
    """Share of the highest rate after this share of the run."""
    rising = _cosine(_CYCLE_BEGIN, 1.0, done / rise if rise else tf.ones_like(done))
    falling = _cosine(1.0, _CYCLE_END, (done - rise) / (1 - rise))
    return tf.where(done < rise, rising, falling)


def _cosine(first: float, last: float, share: tf.Tensor) -> tf.Tensor:
    share = tf.clip_by_value(share, 0.0, 1.0)
    return last + (first - last) * (1 + tf.cos(math.pi * share)) / 2
