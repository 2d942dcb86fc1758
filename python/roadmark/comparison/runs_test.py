"""What is read of a run, and what is said when it cannot be."""

import json
import math

import pytest

from roadmark.comparison import runs
from roadmark.errors import UserError
from roadmark.testing import small_runs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_runs.write_records(tmp_path, 3)
    small_runs.write(tmp_path, "a", 1.0)
    (tmp_path / "found.json").write_text("[]")
    return tmp_path


def test_a_folder_without_a_checkpoint(folder):
    run = runs.of_folder(folder / "a")
    assert (run.name, run.step) == ("a", 40)
    assert run.cost.parameters == 2_600_000
    assert run.training_loss == pytest.approx((2 - 38 / 80 + 2 - 40 / 80) / 2)
    assert run.validation_loss == 1.5
    assert run.gap == pytest.approx(1.5 - run.training_loss)
    assert run.train_hours == pytest.approx(40 / 2 / 3600)


def test_without_an_evaluation_the_validation_loss_is_the_run_s_own(folder):
    (folder / "a" / "evaluation.json").unlink()
    run = runs.of_folder(folder / "a")
    assert (run.step, run.validation_loss, run.cost.parameters) == (None, 1.6, None)


def test_only_the_detections_are_a_must(folder):
    for path in (folder / "a").iterdir():
        if path.name != "detections.json":
            path.unlink()
    run = runs.of_folder(folder / "a")
    assert run.settings == {}
    assert math.isnan(run.train_hours)
    assert math.isnan(run.gap)


def test_a_resumed_run_counts_all_its_steps(folder):
    rows = "step,total_loss,steps_per_second\n10,2,1\n20,2,1\n30,2,2\n"
    (folder / "a" / "metrics.csv").write_text(rows)
    assert runs.of_folder(folder / "a").train_hours == pytest.approx(25 / 3600)


def test_an_external_result(folder):
    run = runs.external("yolo=found.json,ms=12.5,bytes=6200000,train_hours=3,flops=1e9")
    assert (run.name, run.train_hours) == ("yolo", 3)
    assert (run.cost.ms_per_image, run.cost.size_bytes, run.cost.flops) == (12.5, 6_200_000, 1e9)
    assert run.cost.parameters is None


@pytest.mark.parametrize(
    ("folders", "externals", "says"),
    [
        pytest.param([], [], "found nothing to compare", id="nothing"),
        pytest.param(["a"], [], "found a alone to compare", id="one"),
        pytest.param(["a", "a"], [], "a is given twice", id="twice"),
        pytest.param(["a"], ["a=found.json"], "a is given twice", id="one name"),
        pytest.param(["a", "none"], [], "none: no such run folder", id="no folder"),
        pytest.param(["a", "records"], [], "found no detections.json; make it with", id="no run"),
        pytest.param(["a"], ["yolo"], "found no name and file", id="no file given"),
        pytest.param(["a"], ["=found.json"], "found no name and file", id="no name"),
        pytest.param(["a"], ["yolo=none.json"], "no such file: none.json", id="no file"),
        pytest.param(["a"], ["b=found.json,fps=3"], "found 'fps=3'; give each of", id="no fact"),
        pytest.param(["a"], ["b=found.json,ms=1,ms=2"], "found 'ms=2'", id="a fact twice"),
        pytest.param(["a"], ["b=found.json,ms=fast"], "ms: found 'fast'", id="no number"),
        pytest.param(["a"], ["b=found.json,ms=-1"], "ms: found '-1'", id="a number below nothing"),
        pytest.param(["a"], ["b=found.json,bytes=inf"], "bytes: found 'inf'", id="infinity"),
    ],
)
def test_mistakes(folder, folders, externals, says):
    with pytest.raises(UserError) as refused:
        runs.load(folders, externals)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("evaluation.json", "{", "not what an evaluation writes"),
        ("evaluation.json", json.dumps({"cost": {"wheels": 4}}), "not what an evaluation writes"),
        ("evaluation.json", json.dumps({"step": "40"}), "found step '40'"),
        ("metrics.csv", "step,total_loss\nfour,2\n", "a row with the step 'four'"),
        ("metrics.csv", "step,total_loss\n4,low\n", "metrics.csv: step 4"),
        ("recipe.yaml", "weather: [", "recipe.yaml: cannot be read"),
        ("versions.json", "{", "versions.json: cannot be read"),
        ("pipeline.config", "model {", "pipeline.config"),
    ],
)
def test_damaged_files(folder, file, content, says):
    (folder / "a" / file).write_text(content)
    with pytest.raises(UserError) as refused:
        runs.of_folder(folder / "a")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
