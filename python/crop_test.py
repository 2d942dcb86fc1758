"""The command that crops class sets."""

import shutil
from pathlib import Path

import pytest

from roadmark.classification import class_set
from roadmark.testing import app_process, small_class_sets

EXPORT = Path("tests/models/quickstart/export")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data=none"], "none/class_set.json: not found"),
        (["--data=cars", "--out=cars"], "--out: found the class set itself"),
        (["--data=cars", "--use_annotations", "--detector=x"], "give one of the two"),
        (["--data=cars", "--detector=x"], "x/manifest.json: not found"),
        (["--data=cars"], "no exported model here"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, says):
    small_class_sets.write(tmp_path / "cars")
    answer = app_process.run("crop", tmp_path, *arguments)
    assert answer.returncode == 2, answer.stderr
    assert says in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_set_is_cropped_at_its_own_boxes(tmp_path):
    small_class_sets.write(tmp_path / "cars")
    answer = app_process.run("crop", tmp_path, "--data=cars", "--use_annotations")
    assert answer.returncode == 0, answer.stderr
    assert "32 pictures: 32 box of the set" in answer.stdout
    before, after = (class_set.load(tmp_path / name) for name in ("cars", "cars_cropped"))
    assert len(after.entries) == len(before.entries)
    assert after.about["cropped_from"] == before.data_version != after.data_version


def test_a_detector_with_a_foreign_engine_crops_only_when_it_is_trusted(tmp_path):
    small_class_sets.write(tmp_path / "cars")
    folder = Path(shutil.copytree(EXPORT, tmp_path / "export"))
    (folder / "tensorrt").mkdir()
    (folder / "tensorrt/model_fp16.engine").write_bytes(b"built by trtexec")
    arguments = ("--data=cars", "--detector=export", "--engine=openvino")
    refused = app_process.run("crop", tmp_path, *arguments)
    assert refused.returncode == 2, refused.stderr
    assert "model_fp16.engine: found a file that the manifest does not list" in refused.stderr
    assert refused.stderr.endswith("or load it all the same with --trust\n")
    taken = app_process.run("crop", tmp_path, *arguments, "--trust")
    assert taken.returncode == 0, taken.stderr
    assert "detector: export (openvino" in taken.stdout
