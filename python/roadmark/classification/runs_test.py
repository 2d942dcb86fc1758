"""The tree of runs: parents, results, and runs that were moved."""

import shutil

import pytest

from roadmark.classification import runs
from roadmark.errors import UserError


def _run(folder, parent=None, **result):
    folder.mkdir(parents=True)
    runs.Experiment(
        folder=folder,
        parent=None if parent is None else str(parent),
        weights="none",
        config_sha256="c" * 64,
        data_version="0123456789abcdef",
        class_set="data/cars",
        classes=("a", "b"),
        seed=0,
        versions={},
        result=result,
    ).save()
    return folder


def _family(root):
    first = _run(root / "exp_002", epochs=3, val_accuracy=0.52)
    _run(root / "exp_003", first, epochs=5, val_accuracy=0.61, test_accuracy=0.6)
    _run(root / "exp_004", root / "exp_003", epochs=2, val_accuracy=0.68)
    _run(root / "exp_005", first)
    _run(root / "exp_001", "/elsewhere/gone", epochs=1, val_accuracy=0.1)
    return root


_DRAWN = """\
exp_001          val 0.1000, 1 epochs, data 01234567, began from /elsewhere/gone
exp_002          val 0.5200, 3 epochs, data 01234567
├── exp_003      val 0.6100, test 0.6000, 5 epochs, data 01234567
│   └── exp_004  val 0.6800, 2 epochs, data 01234567
└── exp_005      not trained yet
"""


def test_the_tree_is_drawn_with_accuracies(tmp_path):
    assert runs.render(runs.tree(_family(tmp_path / "runs"))) == _DRAWN


def test_a_moved_folder_of_runs_has_the_same_tree(tmp_path):
    moved = shutil.move(_family(tmp_path / "runs"), tmp_path / "archive")
    assert runs.render(runs.tree(moved)) == _DRAWN


def test_runs_that_began_from_each_other_are_all_drawn(tmp_path):
    """As when the first was begun anew from the second."""
    first = _run(tmp_path / "runs" / "exp_001", tmp_path / "runs" / "exp_002", epochs=1)
    _run(tmp_path / "runs" / "exp_002", first, epochs=1)
    _run(tmp_path / "runs" / "exp_003", tmp_path / "runs" / "exp_003", epochs=1)
    drawn = runs.render(runs.tree(tmp_path / "runs"))
    assert [drawn.count(f"exp_00{n} ") for n in (1, 2, 3)] == [1, 1, 1]


def test_walk_visits_every_run_below_a_node(tmp_path):
    _, second = runs.tree(_family(tmp_path / "runs"))
    assert [node.name for node in second.walk()] == ["exp_002", "exp_003", "exp_004", "exp_005"]


@pytest.mark.parametrize("content", ["", "{}", "[", '{"classes": 3}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / runs.EXPERIMENT).write_text(content)
    with pytest.raises(UserError, match=r"experiment\.json"):
        runs.load(tmp_path)


def test_no_runs_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no runs of classifiers"):
        runs.tree(tmp_path)
