"""Which checkpoints count, and which one a path means; nothing here needs TensorFlow."""

import hashlib
import sys
from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.odapi import checkpoints
from roadmark.odapi.checkpoints import Restored


def _write(run: Path, step: int, index: bool = True, data: bool = True) -> None:
    folder = checkpoints.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    if index:
        (folder / f"ckpt-{step}.index").touch()
    if data:
        (folder / f"ckpt-{step}.data-00000-of-00001").touch()


@pytest.mark.parametrize(
    ("index", "data"),
    [
        pytest.param(False, True, id="interrupted before its index"),
        pytest.param(True, False, id="copied without its data"),
    ],
)
def test_an_incomplete_checkpoint_is_never_picked(tmp_path, index, data):
    _write(tmp_path, 20)
    _write(tmp_path, 40, index=index, data=data)
    (checkpoints.folder(tmp_path) / ".writing").mkdir()
    assert checkpoints.latest(tmp_path).name == "ckpt-20"


def _write_with_sums(run: Path, step: int, spoil: str = "") -> None:
    _write(run, step)
    folder = checkpoints.folder(run)
    files = [folder / f"ckpt-{step}.{part}" for part in ("index", "data-00000-of-00001")]
    for path in files:
        path.write_text(f"{step}")
    digest = hashlib.sha256(f"{step}".encode()).hexdigest()
    (folder / f"ckpt-{step}.sha256").write_text(
        "".join(f"{digest}  {path.name}\n" for path in files)
    )
    if spoil:
        (folder / f"ckpt-{step}.{spoil}").write_text("other")


@pytest.mark.parametrize(
    ("spoilt", "newest"),
    [
        ({}, "ckpt-3"),
        ({3: "index"}, "ckpt-2"),
        ({3: "data-00000-of-00001", 2: "sha256"}, "ckpt-1"),
    ],
    ids=["all whole", "the newest index", "data, and the sums themselves"],
)
def test_damaged_checkpoints_are_passed_over(tmp_path, spoilt, newest):
    for step in (1, 2, 3):
        _write_with_sums(tmp_path, step, spoilt.get(step, ""))
    prefix, lines = checkpoints.newest_intact(tmp_path)
    assert prefix.name == newest
    assert len(lines) == len(spoilt)
    assert all("passed over" in line for line in lines)


def test_without_sums_a_checkpoint_is_taken_as_it_is(tmp_path):
    assert checkpoints.newest_intact(tmp_path) == (None, [])
    _write(tmp_path, 5)
    assert checkpoints.newest_intact(tmp_path) == (checkpoints.folder(tmp_path) / "ckpt-5", [])


def test_when_all_are_damaged_nothing_is_resumed(tmp_path):
    for step in (1, 2):
        _write_with_sums(tmp_path, step, "index")
    with pytest.raises(UserError, match="all of its 2 checkpoints are damaged"):
        checkpoints.newest_intact(tmp_path)


def test_steps_are_compared_as_numbers(tmp_path):
    for step in (1000, 200, 90):
        _write(tmp_path, step)
    assert [checkpoints.step_of(prefix) for prefix in checkpoints.complete(tmp_path)] == [
        90,
        200,
        1000,
    ]


@pytest.mark.parametrize("folder", ["", "checkpoints"], ids=["a plain folder", "a run's folder"])
def test_names_without_a_step_are_passed_over(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in ("ckpt-3", "ckpt-20", "ckpt-best", "ckpt-99-old"):
        (tmp_path / folder / f"{name}.index").touch()
        (tmp_path / folder / f"{name}.data-00000-of-00001").touch()
    assert checkpoints.resolve(tmp_path) == tmp_path / folder / "ckpt-20"


@pytest.mark.parametrize(
    ("name", "expected"), [("ckpt-7", True), ("model.ckpt-400", True), ("best", False)]
)
def test_a_name_may_or_may_not_tell_the_step(name, expected):
    assert checkpoints.has_step(Path(name)) is expected


def test_pruning_keeps_the_newest(tmp_path):
    for step in (1, 2, 3):
        _write(tmp_path, step)
    checkpoints.prune(tmp_path, keep=2)
    left = sorted(path.name for path in checkpoints.folder(tmp_path).iterdir())
    assert left == [
        "ckpt-2.data-00000-of-00001",
        "ckpt-2.index",
        "ckpt-3.data-00000-of-00001",
        "ckpt-3.index",
    ]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("", id="a run folder"),
        pytest.param("checkpoints", id="its folder of checkpoints"),
        pytest.param("checkpoints/ckpt-20", id="a prefix"),
        pytest.param("checkpoints/ckpt-20.index", id="an index file"),
    ],
)
def test_a_path_means_the_checkpoint_that_the_user_thinks_of(tmp_path, path):
    _write(tmp_path, 20)
    assert checkpoints.resolve(tmp_path / path) == checkpoints.folder(tmp_path) / "ckpt-20"


@pytest.mark.parametrize("path", ["", "ckpt-0", "absent"])
def test_a_path_without_a_checkpoint_is_named(tmp_path, path):
    with pytest.raises(UserError, match=str(tmp_path / path)):
        checkpoints.resolve(tmp_path / path)


def test_the_account_names_groups_and_shapes():
    account = Restored(
        Path("ckpt-0"),
        matched=("backbone/conv/kernel",),
        missing=("head/box/kernel", "head/box/bias"),
        mismatched={"head/class/kernel": ((3, 3, 8, 91), (3, 3, 8, 4))},
    )
    assert account.lines() == [
        "ckpt-0: restored 1 of 4 variables",
        "  not in the checkpoint: head/box (2 variables)",
        "  another shape: head/class (1 variables, such as (3, 3, 8, 91) there, (3, 3, 8, 4) here)",
    ]


def test_importing_it_does_not_import_tensorflow():
    assert "tensorflow" not in sys.modules
