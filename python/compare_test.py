"""What //python:compare answers, as a program and without TensorFlow."""

import pytest

from roadmark.testing import app_process, small_class_sets, small_runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    small_runs.write_records(folder, 6)
    small_runs.write(folder, "a", 0.9)
    small_runs.write(folder, "b", 0.5)
    small_class_sets.write(folder / "set")
    small_class_sets.write_run(folder / "cars", folder / "set", 0.5)
    small_class_sets.write_run(folder / "cropped", folder / "set", 1.0)
    (folder / "bad.json").write_text('[{"image_id": 0}]')
    return folder


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "found nothing to compare", id="nothing"),
        pytest.param(["--tree"], "runs/classify: no runs of classifiers", id="no tree"),
        pytest.param(["--tree", "a", "b"], "--tree: found 2 folders", id="two trees"),
        pytest.param(["a", "cars"], "compare runs of one kind", id="two kinds"),
        pytest.param(["cars", "cars"], "cars is given twice", id="a classifier twice"),
        pytest.param(["a", "c"], "c: no such run folder", id="no run"),
        pytest.param(["a", "--external=x=bad.json"], "bad.json: detection 0", id="bad detections"),
        pytest.param(["a", "b", "--eval_records=none-*"], "none-*", id="no records"),
        pytest.param(["a", "b", "--label_map=none"], "none", id="no label map"),
        pytest.param(["a", "b", "--group_by=("], "--group_by: not a regular", id="no expression"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(folder, arguments, says):
    before = sorted(folder.rglob("*"))
    answer = app_process.run("compare", folder, *arguments, python=["-X", "importtime"])
    lines = [line for line in answer.stderr.splitlines() if not line.startswith("import time:")]
    assert answer.returncode == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert " tensorflow\n" not in answer.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("cars", "cropped")])
def test_two_runs(folder, tmp_path, first, second):
    answer = app_process.run("compare", folder, first, second, f"--out={tmp_path}")
    assert answer.returncode == 0, answer.stderr
    assert f"{second} less {first}" in answer.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "comparison.html",
        "comparison.json",
    ]


def test_the_tree_of_classifiers(folder):
    answer = app_process.run("compare", folder, "--tree", ".")
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["cars", "cropped"]
    assert lines[-1].startswith("to run one again: bazel run //python:classify -- train --again=")
