"""Evaluation beside training, with made-up results: what is best, when to stop, resumption."""

import math
import os
from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.evaluation import evaluation
from roadmark.evaluation.coco import BOXES, CocoMetrics
from roadmark.evaluation.evaluation import Evaluation
from roadmark.training import evaluations, metrics
from roadmark.training.evaluations import Evaluations, Plan
from roadmark.training.run_folder import RunFolder


def _checkpoint(run: Path, step: int) -> Path:
    prefix = run / "checkpoints" / f"ckpt-{step}"
    prefix.parent.mkdir(exist_ok=True)
    for suffix in ("index", "data-00000-of-00001"):
        Path(f"{prefix}.{suffix}").write_text(f"{step} {suffix}")
    return prefix


def _found(step: int, value: float) -> Evaluation:
    """Losses fall as `value` rises."""
    summary = dict.fromkeys(evaluation.SUMMARY_METRICS, value)
    per_class = {"car": {"AP": value / 2, "AP50": value, "AR100": value, "objects": 3}}
    found = CocoMetrics(4, 3, {BOXES: summary}, {BOXES: per_class})
    return Evaluation("model", "val-*", step, found, {"total_loss": 1 - value})


def _validate(run: Path, values: dict[int, float], plan: Plan, resumed: int = 0) -> Evaluations:
    """Evaluates a checkpoint at each step and finds these values."""
    with Evaluations(
        RunFolder(run),
        plan,
        lambda path: _found(int(path.name[5:]), values[int(path.name[5:])]),
        resumed,
    ) as validation:
        for step in values:
            if validation.due(step):
                validation.add(_checkpoint(run, step))
    return validation  # fmt: skip


def _plan(best_by: str = "mAP", patience: int = 0) -> Plan:
    return Plan(every=10, last=45, best_by=best_by, patience=patience)


@pytest.mark.parametrize(
    ("every", "step", "due"),
    [(10, 10, True), (10, 15, False), (10, 45, True), (10, 0, False), (0, 45, False)],
    ids=["a multiple", "between", "the last", "before the first", "no evaluations"],
)
def test_when_it_is_due(every, step, due):
    assert Plan(every, 45, "mAP", 0).due(step) == due


@pytest.mark.parametrize(
    ("best_by", "values", "best"),
    [
        ("mAP", {10: 0.1, 20: 0.3, 30: 0.2}, 20),
        ("mAP", {10: 0.3, 20: 0.3}, 10),
        ("mAP", {10: math.nan, 20: 0.1}, 20),
        ("total_loss", {10: 0.1, 20: 0.3, 30: 0.2}, 20),
        ("AP/car", {10: 0.1, 20: 0.3, 30: 0.4}, 30),
    ],
    ids=["highest", "the earlier of equals", "not a number", "lowest loss", "of a class"],
)
def test_the_best_checkpoint_is_kept_alone(tmp_path, best_by, values, best):
    validation = _validate(tmp_path, values, _plan(best_by))
    assert validation.best()[0] == best
    assert validation.best_checkpoint() == tmp_path / "best" / f"ckpt-{best}"
    files = {path.name: path.read_text() for path in (tmp_path / "best").iterdir()}
    assert files == {
        f"ckpt-{best}.{suffix}": f"{best} {suffix}" for suffix in ("index", "data-00000-of-00001")
    }


def test_nothing_is_best_without_a_number(tmp_path):
    validation = _validate(tmp_path, {10: math.nan}, _plan())
    assert (validation.best(), validation.best_checkpoint()) == (None, None)
    assert validation.line() == "step 10: mAP nan"


@pytest.mark.parametrize(
    ("values", "stalled"),
    [
        ({10: 0.1, 20: 0.1, 30: 0.1}, True),
        ({10: 0.1, 20: 0.1, 30: 0.2}, False),
        ({10: 0.1, 20: 0.05}, False),
        ({10: math.nan, 20: math.nan}, True),
    ],
    ids=["none better", "a better one", "not long enough", "never a number"],
)
def test_patience(tmp_path, values, stalled):
    assert _validate(tmp_path, values, _plan(patience=2)).stalled() == stalled
    assert not _validate(tmp_path / "never", {}, _plan()).stalled()


def test_rows_hold_losses_summary_and_classes(tmp_path):
    _validate(tmp_path, {10: 0.5}, _plan())
    (row,) = metrics.read(tmp_path / "evaluations.csv")
    assert (row["step"], row["total_loss"], row["AP50"], row["AP/car"]) == (
        "10", "0.5", "0.5", "0.25",
    )  # fmt: skip
    assert set(evaluations.metric_names(["car"], with_masks=False)) <= set(row)


def test_resumed_it_goes_on_with_what_was_found(tmp_path):
    _validate(tmp_path, {10: 0.4, 20: 0.3, 30: 0.9}, _plan(patience=2))
    # Of step 30 the checkpoint is gone, say: the run goes on at 20.
    again = _validate(tmp_path, {10: 0.0, 20: 0.0, 30: 0.2, 40: 0.1}, _plan(patience=2), resumed=20)
    assert [row["step"] for row in metrics.read(tmp_path / "evaluations.csv")] == [
        "10", "20", "30", "40",
    ]  # fmt: skip
    assert again.best() == (10, 0.4)
    assert again.stalled()
    assert again.line() == "step 40: mAP 0.1000 (best 0.4000 at step 10)"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {10: 0.4, 20: 0.5, 30: 0.2, 40: 0.3},
            "mAP 0.5000 at step 20, before pruning, and 0.3000 at step 40; for what it costs train "
            "once without and compare",
        ),
        ({30: 0.2, 40: 0.3}, None),
        ({10: 0.4, 20: 0.5}, None),
    ],
    ids=["before and after", "not evaluated before", "not evaluated after"],
)
def test_what_pruning_did_to_the_metric(tmp_path, values, told):
    found = _validate(tmp_path, values, _plan()).cost_of_pruning(begins=20)
    assert found == ([told] if told else [])


def test_a_metric_that_nobody_measures_is_refused():
    with pytest.raises(UserError, match=r"--best_by: found 'map'; choose one of mAP, AP50, "):
        evaluations.check_metric("map", evaluations.metric_names(["car"], with_masks=True))


def test_the_best_is_told_by_its_step_and_not_by_the_clock(tmp_path):
    validation = _validate(tmp_path, {10: 0.5, 20: 0.4}, _plan())
    for name, moment in (("ckpt-10", 1), ("ckpt-20", 2)):
        # Both are left where a crash came between keeping one and removing the other.
        for path in (tmp_path / "checkpoints").glob(f"{name}.*"):
            copy = tmp_path / "best" / path.name
            copy.unlink(missing_ok=True)
            copy.write_bytes(path.read_bytes())
            os.utime(copy, (moment, moment))
    assert validation.best_checkpoint() == tmp_path / "best" / "ckpt-10"
