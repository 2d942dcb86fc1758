"""Whether a run is long enough for batch norm to forget what it began with. Needs no TensorFlow."""

import math
from collections.abc import Iterator
from typing import Any

from roadmark.odapi import pipeline_config

# Running variances begin at 1. Weights drawn with the zoo's deviations of 0.01 to 0.03 make inputs
# whose variance is 0.01 and less; more than this of the 1 would be a large part of it.
_FORGOTTEN = 1e-4


def notices(config: Any) -> list[str]:
    """A line where the running statistics keep too much of their beginning.

    Training normalises by each batch, evaluation and export by the running variance, which after n
    steps of a decay d still holds d^n of its first value, 1.

    Args:
        config: A `TrainEvalPipelineConfig` of the whole run. Statistics that a checkpoint brings
            along, or that are frozen, are not looked at.
    """
    model = pipeline_config.architecture(config)
    steps = config.train_config.num_steps
    if config.train_config.fine_tune_checkpoint or getattr(model, "freeze_batchnorm", False):
        return []
    kind = config.model.WhichOneof("model")
    slow = [
        (path, norm.decay)
        for path, norm in _batch_norms(model, f"model.{kind}")
        if norm.train and norm.decay**steps > _FORGOTTEN
    ]
    if not slow:
        return []
    decay = max(decay for _, decay in slow)
    # Two digits, rounded down; no smaller than averages over a few batches.
    enough = max(0.9, math.floor(100 * _FORGOTTEN ** (1 / max(steps, 1))) / 100)
    cure = " ".join(f"--set {path}.decay={enough:g}" for path, _ in slow)
    return [
        f"notice: after {steps} steps batch norm's running variances still hold "
        f"{decay**steps:.2g} of the 1 they begin with (decay {decay:g}), which may be more than "
        "the variances themselves: evaluation and export would fall far short of training. Train "
        f"for {math.ceil(math.log(_FORGOTTEN) / math.log(decay))} steps or more, or {cure}"
    ]


def _batch_norms(message: Any, path: str) -> Iterator[tuple[str, Any]]:
    for field, value in message.ListFields():
        if field.message_type is None or field.is_repeated:
            continue
        if field.message_type.name == "BatchNorm":
            yield f"{path}.{field.name}", value
        else:
            yield from _batch_norms(value, f"{path}.{field.name}")
