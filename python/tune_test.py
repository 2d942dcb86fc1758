"""//python:tune: its mistakes, and a search over real training runs."""

from pathlib import Path

import pytest

from roadmark.odapi import pipeline_config
from roadmark.testing import app_process, small_records

_CONFIG = Path(__file__).resolve().parents[1] / "configs" / "quickstart.config"
_FOG = "--search=recipe.weather.fog=uniform(0,0.5)"
_RATE = "train_config.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate"
_TINY = (
    "model.ssd.image_resizer.fixed_shape_resizer.height=64",
    "model.ssd.image_resizer.fixed_shape_resizer.width=64",
    "model.ssd.feature_extractor.depth_multiplier=0.25",
    f"{_RATE}.warmup_steps=1",
)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "--search: found nothing to search", id="nothing"),
        pytest.param(["--search=a=b"], "found no field and values", id="no values"),
        pytest.param(["--search=model.no=uniform(0,1)"], "no", id="no field"),
        pytest.param([_FOG, "--trials=0"], "--trials", id="no trials"),
        pytest.param([_FOG, "--recipe=none.yaml"], "none.yaml", id="no recipe"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, arguments, says):
    answer = app_process.run("tune", tmp_path, f"--config={_CONFIG}", *arguments)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    assert says in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_two_trials_of_real_training(tmp_path):
    small_records.write(tmp_path / "records", 6)
    answer = app_process.run(
        "tune",
        tmp_path,
        f"--config={_CONFIG}",
        "--search=recipe.weather.fog=uniform(0,0.5)",
        "--trials=2",
        "--steps=4",
        "--eval_every=2",
        "--batch_size=2",
        "--train_records=records/train-*",
        "--eval_records=records/train-*",
        "--label_map=records/label_map.pbtxt",
        *(f"--set={one}" for one in _TINY),
        "--out=search",
        timeout_s=900,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "trials, the best first" in answer.stdout
    assert pipeline_config.load(tmp_path / "search" / "best.config").train_config.batch_size == 2
    assert "fog: 0." in (tmp_path / "search" / "best_recipe.yaml").read_text()
    assert len(list((tmp_path / "search" / "runs").glob("*/evaluations.csv"))) == 2
