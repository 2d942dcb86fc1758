"""What a run's folder holds besides checkpoints, and who may go on with it."""

import contextlib
import json
from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.odapi import pipeline_config
from roadmark.testing import small_records
from roadmark.training import run_folder
from roadmark.training.recipe import Recipe
from roadmark.training.run_folder import Beginning, RunFolder

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "quickstart.config"


BEGINNING = Beginning(seed=7, batch_size=4, records="digest")


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    label_map = small_records.write(tmp_path / "records", count=0) / "label_map.pbtxt"
    folder = RunFolder(tmp_path / "run")
    folder.begin(pipeline_config.load(CONFIG), label_map, Recipe(), BEGINNING)
    for step in (20, 40):
        for name in (f"ckpt-{step}.index", f"ckpt-{step}.data-00000-of-00001"):
            checkpoint = folder.path / "checkpoints" / name
            checkpoint.parent.mkdir(exist_ok=True)
            checkpoint.touch()
    return folder


def test_begin_writes_config_label_map_and_versions(folder):
    assert pipeline_config.load(folder.path / "pipeline.config") == pipeline_config.load(CONFIG)
    assert (folder.path / "label_map.pbtxt").read_text() == small_records.LABEL_MAP
    versions = json.loads((folder.path / "versions.json").read_text())
    assert versions["seed"] == 7
    assert {"numpy", "protobuf", "tf-models-research-object-detection"} <= versions[
        "packages"
    ].keys()


@pytest.mark.parametrize(
    "asked",
    [pytest.param(None, id="that of the run"), pytest.param(7, id="the same again")],
)
def test_a_resumed_run_keeps_its_seed(folder, asked):
    assert folder.beginning(asked, 4, "digest") == BEGINNING


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((8, 4, "digest"), r"began with --seed=7, found --seed=8; give --seed=7 .*--restart"),
        ((None, 8, "digest"), r"began with --batch_size=4, found --batch_size=8.*--restart"),
        ((None, 4, "other"), r"began with other training records.*--restart"),
    ],
    ids=["seed", "batch size", "records"],
)
def test_a_run_that_began_otherwise_needs_a_restart(folder, asked, message):
    with pytest.raises(UserError, match=message):
        folder.beginning(*asked)
    folder.remove_training()
    seed, *rest = asked
    assert folder.beginning(*asked) == Beginning(seed or 0, *rest)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="missing"),
        pytest.param('{"seed": 7, "batch', id="cut short"),
        pytest.param("[]", id="no object"),
        pytest.param('{"batch_size": 4, "records": "digest"}', id="no seed"),
        pytest.param('{"seed": 7}', id="no batch size and records"),
        pytest.param('{"seed": "7", "batch_size": 4, "records": "digest"}', id="a text"),
    ],
)
def test_a_run_that_does_not_say_how_it_began_needs_a_restart(folder, text):
    path = folder.path / "versions.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UserError, match=r"versions\.json: does not say .*--restart"):
        folder.beginning(7, 4, "digest")


def test_one_process_at_a_time_trains_into_a_folder(folder, monkeypatch):
    monkeypatch.setattr(run_folder, "_ENDING_S", 0.0)
    # A lock is of the opened folder, so one process stands for two here.
    other, said = RunFolder(folder.path), []
    with folder.held(said.append):
        with pytest.raises(UserError, match="run: another process is training into this folder"):
            other.held(said.append).__enter__()
        new = folder.path.with_name("new")
        with RunFolder(new).held(said.append):
            assert new.is_dir()
    said.clear()
    with other.held(said.append):
        assert said == []


def test_a_process_that_is_ending_is_waited_for(folder):
    ending, said = contextlib.ExitStack(), []
    ending.enter_context(folder.held(print))

    def hear(line):
        said.append(line)
        ending.close()

    with RunFolder(folder.path).held(hear):
        (line,) = said
    assert line.endswith("another process is training into this folder; waiting 30 s for it to end")


def test_restarting_removes_training_and_says_what(folder):
    folder.metrics.touch()
    (folder.path / "tracking.json").touch()
    (folder.path / "tensorboard").mkdir()
    (folder.path / "export").mkdir()
    removed = folder.remove_training()
    files = ["metrics.csv", "versions.json", "tracking.json"]
    assert removed == ["2 checkpoints (the last of step 40)", *files]
    left = {path.name for path in folder.path.iterdir()}
    assert left == {"pipeline.config", "label_map.pbtxt", "recipe.yaml", "export"}


def test_what_cannot_be_removed_is_not_called_removed(folder, tmp_path):
    checkpoints = folder.path / "checkpoints"
    # shutil.rmtree removes no symbolic link.
    checkpoints.symlink_to(checkpoints.rename(tmp_path / "big_disk"))
    with pytest.raises(UserError, match=r"run/checkpoints: cannot be removed .* by hand"):
        folder.remove_training()
    assert (folder.path / "versions.json").exists()
