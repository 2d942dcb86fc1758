"""What a run's folder holds besides checkpoints, and who may go on with it."""

import json
from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.odapi import pipeline_config
from roadmark.testing import small_records
from roadmark.training.run_folder import RunFolder

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "quickstart.config"


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    label_map = small_records.write(tmp_path / "records", count=0) / "label_map.pbtxt"
    folder = RunFolder(tmp_path / "run")
    folder.begin(pipeline_config.load(CONFIG), label_map, seed=7)
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
    ("asked", "expected"),
    [pytest.param(None, 7, id="that of the run"), pytest.param(7, 7, id="the same again")],
)
def test_a_resumed_run_keeps_its_seed(folder, asked, expected):
    assert folder.choose_seed(asked) == expected


def test_another_seed_needs_a_restart(folder):
    with pytest.raises(UserError, match=r"began with --seed=7, found --seed=8.*--restart"):
        folder.choose_seed(8)
    folder.remove_training()
    assert folder.choose_seed(8) == 8
    assert folder.choose_seed(None) == 0


def test_restarting_removes_training_and_says_what(folder):
    checkpoints = folder.path / "checkpoints"
    checkpoints.mkdir()
    for step in (20, 40):
        (checkpoints / f"ckpt-{step}.index").touch()
        (checkpoints / f"ckpt-{step}.data-00000-of-00001").touch()
    folder.metrics.touch()
    (folder.path / "export").mkdir()
    removed = folder.remove_training()
    assert removed == ["2 checkpoints (the last of step 40)", "metrics.csv", "versions.json"]
    left = {path.name for path in folder.path.iterdir()}
    assert left == {"pipeline.config", "label_map.pbtxt", "export"}
