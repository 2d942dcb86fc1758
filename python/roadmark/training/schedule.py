"""The learning-rate schedule of a config: its length, its peak, and whether they make sense.

Needs no TensorFlow.
"""

from typing import Any

from roadmark.errors import UserError
from roadmark.training.recipe import FROM_CONFIG, Schedule

# The TF2 model zoo trains its one-stage detectors with momentum 0.9 at 0.08 for batches of 128,
# its two-stage ones at 0.2 to 0.8 of that rate per image; the linear scaling rule (Goyal et al.
# 2017, arXiv:1706.02677, section 2.1) carries it to other batch sizes.
_RATE_PER_IMAGE = 0.08 / 128
_MOMENTUM = 0.9
_TIMES_TOO_HIGH = 8
_TIMES_TOO_LOW = 1000
# Optimizers that normalise the gradient: the rate hardly depends on the batch size.
_ADAPTIVE_RANGES = {"adam_optimizer": (1e-7, 1e-2), "rms_prop_optimizer": (1e-7, 5e-2)}


_CONFIGS_OWN = Schedule()


def rescale(config: Any, steps: int) -> None:
    """Makes a run `steps` long, stretching or shrinking the whole schedule with it.

    Warm-up, decay and every boundary keep their share of the run.

    Args:
        config: A `TrainEvalPipelineConfig`, changed in place.
        steps: The new `train_config.num_steps`.
    """
    before = config.train_config.num_steps
    config.train_config.num_steps = steps
    if before <= 0 or before == steps:
        return
    kind, rate = _learning_rate(config)
    share = steps / before
    if kind == "cosine_decay_learning_rate":
        rate.total_steps = max(1, round(rate.total_steps * share))
        rate.warmup_steps = min(int(rate.warmup_steps * share), rate.total_steps - 1)
        rate.hold_base_rate_steps = int(rate.hold_base_rate_steps * share)
    elif kind == "exponential_decay_learning_rate":
        rate.decay_steps = max(1, round(rate.decay_steps * share))
        rate.burnin_steps = int(rate.burnin_steps * share)
    elif kind == "manual_step_learning_rate":
        _rescale_boundaries(rate.schedule, share)


def _rescale_boundaries(boundaries: Any, share: float) -> None:
    last = 0
    for boundary in boundaries:
        # The OD API wants them strictly increasing.
        last = boundary.step = max(last + 1, round(boundary.step * share))


def warmup_steps(config: Any) -> int:
    """Steps in which the learning rate rises to its base."""
    kind, rate = _learning_rate(config)
    if kind == "cosine_decay_learning_rate":
        return rate.warmup_steps
    if kind == "exponential_decay_learning_rate":
        return rate.burnin_steps
    if kind == "manual_step_learning_rate" and rate.warmup and rate.schedule:
        return rate.schedule[0].step
    return 0


def peak_learning_rate(config: Any) -> float:
    """The highest learning rate of the schedule."""
    kind, rate = _learning_rate(config)
    if kind == "cosine_decay_learning_rate":
        return rate.learning_rate_base
    if kind == "constant_learning_rate":
        return rate.learning_rate
    rates = [rate.initial_learning_rate]
    if kind == "manual_step_learning_rate":
        rates += [boundary.learning_rate for boundary in rate.schedule]
    return max(rates)


def factor(config: Any, schedule: Schedule) -> float:
    """What a recipe multiplies the config's learning rate by, for the batch size."""
    if not schedule.rate_for_batch_size:
        return 1.0
    return config.train_config.batch_size / schedule.rate_for_batch_size


def check_warmup(config: Any, schedule: Schedule) -> None:
    """Refuses a second warm-up.

    Raises:
        UserError: The recipe has one, and so has the config's schedule or `one_cycle`.
    """
    if not schedule.warmup:
        return
    kind, _ = _learning_rate(config)
    if schedule.kind != FROM_CONFIG:
        problem, cure = f"{schedule.kind} rises by itself", "set recipe.schedule.rise"
    elif kind == "cosine_decay_learning_rate":
        problem, cure = f"the config's {kind} has warmup_steps", "set those, with --set"
    elif warmup_steps(config):
        problem = f"the config's {kind} has a warm-up of {warmup_steps(config)} steps"
        cure = "keep one of the two"
    else:
        return
    raise UserError("recipe.schedule.warmup", f"found {schedule.warmup:g}, but {problem}", cure)


def check_length(config: Any, where: str, schedule: Schedule = _CONFIGS_OWN) -> None:
    """Checks that the run is long enough for its schedule and no longer.

    Args:
        config: A `TrainEvalPipelineConfig`.
        where: The config's file, for messages.
        schedule: What the recipe makes of the config's.

    Raises:
        UserError: The run has no steps, its warm-up does not end, or its rate falls to 0 early.
    """
    steps = config.train_config.num_steps
    if steps < 1:
        raise UserError(where, f"train_config.num_steps is {steps}", "give the length as --steps=N")
    if schedule.kind != FROM_CONFIG:
        return
    warmup = warmup_steps(config)
    if warmup >= steps:
        raise UserError(
            where,
            f"the warm-up takes {warmup} steps, but the run has only {steps}",
            "give the length as --steps=N, which scales the whole schedule, or set the warm-up "
            "with --set",
        )
    kind, rate = _learning_rate(config)
    if kind == "cosine_decay_learning_rate" and rate.total_steps < steps:
        raise UserError(
            where,
            f"the cosine schedule ends at step {rate.total_steps}, after which the learning rate "
            f"is 0, but the run has {steps} steps",
            "give the length as --steps=N, which scales the whole schedule, or set total_steps "
            "to the number of steps",
        )


def check_learning_rate(config: Any, where: str, schedule: Schedule = _CONFIGS_OWN) -> None:
    """Checks that the peak learning rate is of a plausible size for the batch size.

    For SGD with momentum m the rate per image, times (1 - 0.9) / (1 - m), may be up to 8 times
    and down to a thousandth of the model zoo's 0.08 / 128. Adam may use 1e-7 to 1e-2 and RMSProp
    1e-7 to 5e-2 at any batch size.

    Args:
        config: A `TrainEvalPipelineConfig`.
        where: The config's file, for messages.
        schedule: What the recipe makes of the config's.

    Raises:
        UserError: It is not.
    """
    kind = config.train_config.optimizer.WhichOneof("optimizer")
    batch = config.train_config.batch_size
    peak = factor(config, schedule) * peak_learning_rate(config)
    if kind == "momentum_optimizer":
        momentum = config.train_config.optimizer.momentum_optimizer.momentum_optimizer_value
        usual = _RATE_PER_IMAGE * batch * (1 - momentum) / (1 - _MOMENTUM)
        low, high = usual / _TIMES_TOO_LOW, usual * _TIMES_TOO_HIGH
        advice = f"about {usual:.2g} is usual"
    else:
        low, high = _ADAPTIVE_RANGES[kind]
        advice = f"{low:g} to {high:g} is usual"
    if low <= peak <= high:
        return
    raise UserError(
        where,
        f"a learning rate of {peak:.4g} is far too {'high' if peak > high else 'low'} for a batch "
        f"size of {batch} with {kind}: {advice}",
        f"set it with --set {rate_path(config)}=RATE, or train it all the same with "
        "--nocheck_learning_rate",
    )


def rate_path(config: Any) -> str:
    """The path of the peak learning rate, as `--set` takes it."""
    optimizer = config.train_config.optimizer.WhichOneof("optimizer")
    kind, _ = _learning_rate(config)
    field = {
        "cosine_decay_learning_rate": "learning_rate_base",
        "constant_learning_rate": "learning_rate",
    }.get(kind, "initial_learning_rate")
    return f"train_config.optimizer.{optimizer}.learning_rate.{kind}.{field}"


def _learning_rate(config: Any) -> tuple[str, Any]:
    field = "train_config.optimizer"
    optimizer = _chosen(config.train_config.optimizer, "optimizer", field)
    field = f"{field}.{optimizer}.learning_rate"
    rate = getattr(config.train_config.optimizer, optimizer).learning_rate
    kind = _chosen(rate, "learning_rate", field)
    return kind, getattr(rate, kind)


def _chosen(message: Any, oneof: str, field: str) -> str:
    kind = message.WhichOneof(oneof)
    if kind is None:
        kinds = ", ".join(option.name for option in message.DESCRIPTOR.oneofs_by_name[oneof].fields)
        raise UserError(field, "it is not set", f"set one of its fields: {kinds}")
    return kind
