"""What a recipe does to a run: rates, averages, pruning, precision."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first

from roadmark.odapi import checkpoints, eval_step, pipeline_config, train_step  # noqa: E402
from roadmark.testing import tiny_runs  # noqa: E402
from roadmark.training import learning_rate, loop, metrics, pruning, recipe  # noqa: E402
from roadmark.training.averages import Averages  # noqa: E402
from roadmark.training.options import TrainOptions  # noqa: E402
from roadmark.training.pruning import Pruner  # noqa: E402
from roadmark.training.recipe import Pruning, Schedule  # noqa: E402

STEPS = 6
RECIPE = (
    "recipe.ema=0.9",
    "recipe.pruning.sparsity=0.5",
    "recipe.pruning.begin=0.1",
    "recipe.pruning.end=0.6",
    "recipe.pruning.every=1",
    "recipe.mosaic=0.5",
    "recipe.mixup=0.5",
    "recipe.repeat_threshold=0.9",
    "recipe.schedule.kind=one_cycle",
)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(), [0.2, 0.2, 0.2]),
        (Schedule(rate_for_batch_size=16), [0.1, 0.1, 0.1]),
        (Schedule(warmup=0.5), [0.02, 0.2, 0.2]),
        (Schedule(kind="one_cycle", rise=0.5), [0.2 / 25, 0.2, 0.2 / 25e4]),
        (Schedule(kind="one_cycle", rise=0.0), [0.2, 0.1, 0.2 / 25e4]),
    ],
    ids=["the config's", "for the batch size", "warm-up", "one cycle", "one cycle, falling only"],
)
def test_the_learning_rate_at_the_beginning_middle_and_end(schedule, expected):
    config = pipeline_config.TrainEvalPipelineConfig()
    config.train_config.num_steps = 101
    config.train_config.batch_size = 8
    rate = config.train_config.optimizer.momentum_optimizer.learning_rate
    rate.constant_learning_rate.learning_rate = 0.2
    change = learning_rate.change(config, schedule)
    found = [float(change(tf.constant(0.2), tf.constant(step, tf.int64))) for step in (0, 50, 100)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("constant_learning_rate {learning_rate: 0.2}", [0.2, 0.2, 0.2]),
        (
            "manual_step_learning_rate {initial_learning_rate: 0.1 warmup: true "
            "schedule {step: 10 learning_rate: 0.2} schedule {step: 60 learning_rate: 0.02}}",
            [0.1, 0.2, 0.02],
        ),
        (
            "exponential_decay_learning_rate {initial_learning_rate: 0.2 decay_steps: 50 "
            "decay_factor: 0.5 staircase: true burnin_learning_rate: 0.02 burnin_steps: 10}",
            [0.02, 0.2, 0.1],
        ),
        (
            "cosine_decay_learning_rate {learning_rate_base: 0.2 total_steps: 110 "
            "warmup_learning_rate: 0.02 warmup_steps: 10}",
            [0.02, 0.1 * (1 + np.cos(0.4 * np.pi)), 0.1 * (1 + np.cos(0.9 * np.pi))],
        ),
    ],
    ids=["constant", "step", "exponential", "cosine"],
)
@pytest.mark.parametrize(
    ("optimizer", "moved"),
    [
        # Of a gradient of 3, over the rate: 3; 3 / sqrt(0.1 * 3^2 + 1), its decay and epsilon being
        # 0.9 and 1; 1.
        ("momentum_optimizer", 3.0),
        ("rms_prop_optimizer", 3 / 1.9**0.5),
        ("adam_optimizer", 1.0),
    ],
)
def test_every_schedule_with_every_optimizer(kind, expected, optimizer, moved):
    config = pipeline_config.override(
        pipeline_config.TrainEvalPipelineConfig(),
        [f"train_config.optimizer={{{optimizer} {{learning_rate {{{kind}}}}} "
         "use_moving_average: false}"],
    )  # fmt: skip
    config.train_config.num_steps = 101
    config.train_config.batch_size = 8
    # Twice the config's rate, to see that the recipe has its say in each.
    change = learning_rate.change(config, Schedule(rate_for_batch_size=4))
    step, rates = tf.Variable(0, dtype=tf.int64), []
    found, rate = train_step.build_optimizer(config, None, step, change)
    weight = tf.Variable([10.0])
    found.apply_gradients([(tf.constant([3.0]), weight)])
    for done in (0, 50, 100):
        step.assign(done)
        rates.append(float(rate()))
    np.testing.assert_allclose(rates, 2 * np.array(expected), rtol=1e-5)
    assert 10 - weight.numpy()[0] == pytest.approx(rates[0] * moved, rel=1e-4)


def test_averages_follow_and_are_exchanged():
    weight = tf.Variable([1.0, 2.0])
    averages = Averages([weight], decay=0.5)
    weight.assign([3.0, 2.0])
    averages.update(tf.constant(100, tf.int64), tf.distribute.get_strategy())
    np.testing.assert_allclose(averages.values[0].numpy(), [2.0, 2.0])
    averages.update(tf.constant(0, tf.int64), tf.distribute.get_strategy())
    # The first steps count for more: a decay of 1 / 10 at most.
    np.testing.assert_allclose(averages.values[0].numpy(), [2.9, 2.0], rtol=1e-6)
    averages.swap()
    np.testing.assert_allclose(weight.numpy(), [2.9, 2.0], rtol=1e-6)
    np.testing.assert_allclose(averages.values[0].numpy(), [3.0, 2.0])


def test_the_smallest_weights_go_along_the_cubic_and_stay_gone():
    kernel = tf.Variable(np.linspace(-1, 1, 101, dtype=np.float32)[None], name="a/kernel")
    depthwise = tf.Variable(np.ones((1, 5), np.float32), name="a/depthwise_kernel")
    pruner = Pruner([kernel, depthwise], Pruning(0.8, 0.1, 0.6, every=10), steps=100)
    strategy = tf.distribute.get_strategy()
    found = {}
    for done in range(1, 101):
        kernel.assign_add(tf.fill(kernel.shape, 1e-4))  # As if the optimizer moved them.
        found[done] = float(pruner.update(tf.constant(done, tf.int64), strategy)["sparsity"])
    assert found[9] == 0
    assert found[20] == pytest.approx(0.8 * (1 - 0.8**3), abs=0.02)
    assert found[29] == found[20], "chosen every 10 steps"
    assert found[60] == found[100] == pytest.approx(0.8, abs=0.02)
    assert np.count_nonzero(kernel.numpy() == 0) == round(101 * found[100])
    kept = np.flatnonzero(kernel.numpy()[0])
    assert np.abs(np.linspace(-1, 1, 101)[kept]).min() > 0.75
    assert (depthwise.numpy() == 1).all()


def test_what_pruned_weights_take_after_gzip():
    """As the end of a run and an evaluation tell it."""
    draws = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    pruned = np.where(np.abs(draws) < np.quantile(np.abs(draws), 0.8), 0, draws)
    assert eval_step.gzipped([tf.Variable(draws)]) is None
    weights = [tf.Variable(pruned), tf.Variable([1.0])]
    found = pruning.size(weights)
    assert 8_000 < eval_step.gzipped(weights) == found.gzipped < 14_000
    assert found.line() == (
        "pruned: 8000 of 10001 weights are zero (80%); 0.04 MB of weights take 0.01 MB after gzip"
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> TrainOptions:
    options = tiny_runs.options(
        tmp_path_factory.mktemp("runs") / "whole",
        tmp_path_factory.mktemp("records"),
        steps=STEPS,
        overrides=RECIPE,
        checkpoint_every=3,
        check_learning_rate=False,
    )
    loop.train(options)
    return options


def _weights(prefix: Path, root: str = "model/") -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(prefix))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith(root)]
    return {
        name: reader.get_tensor(name)
        for name in sorted(names)
        if name.endswith("VARIABLE_VALUE") and "OPTIMIZER_SLOT" not in name
    }


def test_the_recipe_is_in_the_run_and_in_its_metrics(whole):
    saved = recipe.load(whole.model_dir / "recipe.yaml")
    assert (saved.ema, saved.mosaic, saved.pruning.sparsity) == (0.9, 0.5, 0.5)
    rows = metrics.read(whole.model_dir / "metrics.csv")
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates[0] == pytest.approx(1e-5 / 25)
    assert max(rates) > 9e-6
    assert rates[-1] < 1e-9
    assert float(rows[-1]["sparsity"]) == pytest.approx(0.5, abs=0.02)


def test_a_checkpoint_gives_pruned_averages_and_keeps_the_raw_weights(whole):
    prefix = checkpoints.latest(whole.model_dir)
    model = _weights(prefix)
    raw = list(_weights(prefix, "raw_weights/").values())
    averaged, others = (
        np.sort(np.concatenate([value.ravel() for value in values if value.size > 1]))
        for values in (model.values(), raw)
    )
    # The zeros are in both, all else differs by what the average lags behind.
    zeros = [np.count_nonzero(values == 0) for values in (averaged, others)]
    masks = np.concatenate([v.ravel() for v in _weights(prefix, "pruning_masks/").values()])
    assert np.count_nonzero(masks == 0) == pytest.approx(0.5 * masks.size, rel=0.05)
    assert min(zeros) >= np.count_nonzero(masks == 0)
    assert not np.array_equal(averaged, others)


def test_averages_and_masks_survive_a_resumption(whole, tmp_path):
    shutil.copytree(whole.model_dir, tmp_path / "run")
    checkpoints.remove(checkpoints.latest(tmp_path / "run"))
    resumed = loop.train(dataclasses.replace(whole, model_dir=tmp_path / "run"))
    assert resumed.step == STEPS
    for root in ("model/", "raw_weights/", "pruning_masks/"):
        ours, theirs = (
            _weights(prefix, root)
            for prefix in (resumed.checkpoint, checkpoints.latest(whole.model_dir))
        )
        assert ours.keys() == theirs.keys() != set()
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], rtol=2e-2, atol=1e-4, err_msg=name)


@pytest.fixture(scope="module")
def clipped(whole, tmp_path_factory) -> Path:
    """Two steps of plain gradient descent, a checkpoint after each, in float32."""
    optimizer = "train_config.optimizer.momentum_optimizer"
    options = dataclasses.replace(
        whole,
        model_dir=tmp_path_factory.mktemp("clipped"),
        steps=2,
        checkpoint_every=1,
        overrides=(
            *tiny_runs.OVERRIDES,
            f"{optimizer}.learning_rate.constant_learning_rate.learning_rate=0.5",
            f"{optimizer}.momentum_optimizer_value=0",
            "train_config.gradient_clipping_by_norm=0.01",
        ),
    )
    return loop.train(options).run


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_gives_nearly_the_loss_of_float32(whole, clipped, tmp_path, precision):
    options = dataclasses.replace(
        whole,
        model_dir=tmp_path,
        steps=1,
        overrides=(*tiny_runs.OVERRIDES, f"recipe.precision={precision}"),
    )
    half, full = (
        float(metrics.read(run / "metrics.csv")[0]["total_loss"])
        for run in (loop.train(options).run, clipped)
    )
    assert half == pytest.approx(full, rel=0.01)
    assert half != full


def test_gradients_are_clipped_to_the_config_s_norm(clipped):
    rows = metrics.read(clipped / "metrics.csv")
    assert float(rows[1]["gradient_norm"]) > 0.05, "told before clipping"
    first, second = map(_weights, checkpoints.complete(clipped))
    moved = [
        second[name] - first[name] for name in first if "/moving_" not in name and first[name].ndim
    ]
    norm = np.sqrt(sum(float((change.astype(np.float64) ** 2).sum()) for change in moved))
    # One step of plain gradient descent.
    assert norm == pytest.approx(0.5 * 0.01, rel=0.02)
