"""Lengths, warm-ups and learning rates of schedules."""

import pytest

from roadmark.errors import UserError
from roadmark.odapi import pipeline_config
from roadmark.odapi.pipeline_config import TrainEvalPipelineConfig
from roadmark.training import schedule
from roadmark.training.recipe import Schedule

COSINE = "cosine_decay_learning_rate"
STEPWISE = "manual_step_learning_rate"
EXPONENTIAL = "exponential_decay_learning_rate"


def _config(kind: str = COSINE, optimizer: str = "momentum_optimizer", **rate):
    config = TrainEvalPipelineConfig()
    config.train_config.num_steps = 1000
    config.train_config.batch_size = 128
    chosen = getattr(config.train_config.optimizer, optimizer)
    getattr(chosen.learning_rate, kind).SetInParent()
    for name, value in rate.items():
        setattr(getattr(chosen.learning_rate, kind), name, value)
    return config, getattr(chosen.learning_rate, kind)


def test_rescaling_keeps_every_share_of_a_cosine_schedule():
    config, rate = _config(total_steps=1000, warmup_steps=100, hold_base_rate_steps=50)
    schedule.rescale(config, 200)
    assert config.train_config.num_steps == 200
    assert (rate.total_steps, rate.warmup_steps, rate.hold_base_rate_steps) == (200, 20, 10)


def test_rescaling_to_two_steps_leaves_a_schedule_that_passes():
    config, rate = _config(total_steps=1000, warmup_steps=100)
    schedule.rescale(config, 2)
    schedule.check_length(config, "x.config")
    assert (rate.total_steps, rate.warmup_steps) == (2, 0)


def test_rescaled_boundaries_stay_strictly_increasing():
    config, rate = _config(STEPWISE)
    for step in (300, 600, 900):
        rate.schedule.add(step=step, learning_rate=0.1)
    schedule.rescale(config, 3)
    assert [boundary.step for boundary in rate.schedule] == [1, 2, 3]


def test_rescaling_shortens_exponential_decay_and_its_burn_in():
    config, rate = _config(EXPONENTIAL, decay_steps=400, burnin_steps=10)
    schedule.rescale(config, 500)
    assert (rate.decay_steps, rate.burnin_steps) == (200, 5)


@pytest.mark.parametrize(
    ("rate", "steps", "problem"),
    [
        pytest.param({"total_steps": 1000}, 0, "num_steps is 0", id="no steps"),
        pytest.param(
            {"total_steps": 1000, "warmup_steps": 1000}, 1000, "warm-up", id="all of it warm-up"
        ),
        pytest.param({"total_steps": 999}, 1000, "ends at step 999", id="rate 0 at the end"),
    ],
)
def test_lengths_that_cannot_be_meant_are_refused(rate, steps, problem):
    config, _ = _config(**{"warmup_steps": 0} | rate)
    config.train_config.num_steps = steps
    with pytest.raises(UserError, match=problem):
        schedule.check_length(config, "x.config")


@pytest.mark.parametrize(
    ("optimizer", "batch", "rate", "problem"),
    [
        pytest.param("momentum_optimizer", 128, 0.08, None, id="the zoo's own"),
        pytest.param("momentum_optimizer", 8, 0.005, None, id="scaled to a small batch"),
        pytest.param("momentum_optimizer", 8, 0.08, "too high", id="unscaled: 16 times too high"),
        pytest.param("momentum_optimizer", 8, 1e-4, None, id="a low rate for fine-tuning"),
        pytest.param("momentum_optimizer", 128, 1e-5, "too low", id="nothing would be learnt"),
        pytest.param("adam_optimizer", 4, 2e-3, None, id="Adam at a usual rate"),
        pytest.param("adam_optimizer", 128, 0.08, "too high", id="Adam at the rate of SGD"),
        pytest.param("rms_prop_optimizer", 24, 0.004, None, id="RMSProp at a usual rate"),
    ],
)
def test_learning_rates_far_off_for_the_batch_size_are_refused(optimizer, batch, rate, problem):
    config, _ = _config(optimizer=optimizer, learning_rate_base=rate, total_steps=1000)
    config.train_config.batch_size = batch
    if problem is None:
        schedule.check_learning_rate(config, "x.config")
        return
    with pytest.raises(UserError, match=problem) as raised:
        schedule.check_learning_rate(config, "x.config")
    assert f"{optimizer}.learning_rate.{COSINE}.learning_rate_base=RATE" in str(raised.value)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        pytest.param(
            "train_config.optimizer={}",
            r"^train_config\.optimizer: it is not set; set one .* momentum_optimizer",
            id="no optimizer",
        ),
        pytest.param(
            "train_config.optimizer.adam_optimizer={}",
            r"^train_config\.optimizer\.adam_optimizer\.learning_rate: it is not set; "
            r".*constant_learning_rate",
            id="no rate",
        ),
        pytest.param(
            "train_config.optimizer.momentum_optimizer.momentum_optimizer_value=0.5",
            r"^train_config\.optimizer\.momentum_optimizer\.learning_rate: it is not set",
            id="momentum for Adam, which chooses another optimizer without a rate",
        ),
    ],
)
def test_an_optimizer_or_rate_that_is_not_set_is_named(assignment, expected):
    config, _ = _config(optimizer="adam_optimizer", total_steps=1000)
    changed = pipeline_config.override(config, [assignment])
    with pytest.raises(UserError, match=expected):
        schedule.check_length(changed, "x.config")


def test_momentum_counts_in_the_usual_rate():
    config, _ = _config(learning_rate_base=0.5, total_steps=1000)
    momentum = config.train_config.optimizer.momentum_optimizer
    momentum.momentum_optimizer_value = 0.0
    schedule.check_learning_rate(config, "x.config")
    momentum.momentum_optimizer_value = 0.99
    with pytest.raises(UserError, match="too high"):
        schedule.check_learning_rate(config, "x.config")


@pytest.mark.parametrize(
    ("kind", "fields", "recipe", "problem"),
    [
        (COSINE, {}, Schedule(warmup=0.1), "cosine_decay_learning_rate has warmup_steps"),
        (EXPONENTIAL, {"burnin_steps": 9}, Schedule(warmup=0.1), "has a warm-up of 9 steps"),
        (COSINE, {}, Schedule(kind="one_cycle", warmup=0.1), "one_cycle rises by itself"),
    ],
)
def test_a_second_warm_up_is_refused(kind, fields, recipe, problem):
    config, _ = _config(kind, **fields)
    with pytest.raises(UserError, match=rf"^recipe.schedule.warmup: found 0.1, but .*{problem}"):
        schedule.check_warmup(config, recipe)


def test_the_rate_for_a_batch_size_counts_in_the_check_of_the_rate():
    config, _ = _config(total_steps=1000, learning_rate_base=0.08 * 16)
    with pytest.raises(UserError, match="far too high"):
        schedule.check_learning_rate(config, "x.config")
    # Meant for 16 times as many images.
    schedule.check_learning_rate(config, "x.config", Schedule(rate_for_batch_size=2048))


def test_one_cycle_needs_nothing_of_the_length_of_the_config_s_schedule():
    config, _ = _config(total_steps=10, warmup_steps=2000)
    schedule.check_length(config, "x.config", Schedule(kind="one_cycle"))
