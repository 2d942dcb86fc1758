import os
from pathlib import Path

import pytest

from roadmark import locations
from roadmark.errors import UserError


def test_run_folder_is_named_like_the_config():
    assert locations.model_dir("configs/effdet_d1.config") == Path("runs/effdet_d1")


def test_newest_export_is_the_one_written_last(tmp_path):
    for age, name in ((10, "old"), (5, "new"), (20, "older")):
        manifest = tmp_path / name / "export" / "manifest.json"
        manifest.parent.mkdir(parents=True)
        manifest.touch()
        os.utime(manifest, (1_000_000 - age, 1_000_000 - age))
    (tmp_path / "unfinished" / "export").mkdir(parents=True)
    assert locations.newest_export(tmp_path) == tmp_path / "new" / "export"


def test_no_export_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(UserError, match="bazel run //python:demo"):
        locations.newest_export(tmp_path / "runs")
