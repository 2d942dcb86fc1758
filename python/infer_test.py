"""What //python:infer answers to mistakes, before it loads a model or TensorFlow."""

import shutil

import pytest
from PIL import Image

from roadmark.testing import app_process, clips


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    clips.make(folder / "street.mp4", frames=3)
    (folder / "notes.mp4").write_text("not a video")
    (folder / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "pictures" / "a.png")
    (folder / "empty").mkdir()
    for damage in ("altered", "missing"):
        shutil.copytree("tests/models/quickstart/export", folder / damage)
    (folder / "altered" / "label_map.pbtxt").write_text("item { id: 1 name: 'unicorn' }")
    (folder / "missing" / "anchors.npy").unlink()
    return folder


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "neither --video nor --images"),
        (["--video=street.mp4", "--images=pictures"], "both --video and --images"),
        (["street.mp4"], "give every value as --flag=value"),
        (["--video", "test.mp4"], "make it, and a model, with: bazel run //python:demo"),
        (["--video=none.mp4"], "none.mp4: no such video"),
        (["--video=notes.mp4"], "notes.mp4: is not a video"),
        (["--video=street.mp4", "--out=a.xyz"], "a.xyz: cannot write videos of type .xyz"),
        (["--images=none"], "none: no such folder or picture"),
        (["--images=empty"], "empty: holds no pictures"),
        (["--images=pictures", "--out=pictures"], "would replace the pictures themselves"),
        (["--video", "street.mp4"], "make one with: bazel run //python:demo"),
        (["--images", "pictures"], "make one with: bazel run //python:demo"),
        (["--video=street.mp4", "--model=none"], "none/manifest.json: not found"),
        (["--video=street.mp4", "--model=altered"], "label_map.pbtxt: altered: found SHA-256"),
        (["--video=street.mp4", "--model=missing"], "missing/anchors.npy: "),
        (["--video=street.mp4", "--score_threshold=7"], "--score_threshold=7"),
        (["--video=street.mp4", "--codec=vp9", "--out=a.mov"], "a.mov: .mov cannot hold vp9"),
        (["--video=street.mp4", "--start=1:2:3:4"], "--start: found '1:2:3:4'; give seconds"),
        (["--video=street.mp4", "--start=5"], "--start: found 5 s, street.mp4 has 0.10 s"),
        (["--video=street.mp4", "--start=0.05", "--end=0.01"], "which is not after --start"),
        (["--video=street.mp4", "--count_line=5,5,5,5"], "--count_line: found '5,5,5,5'; give two"),
        (["--video=street.mp4", "--count_zone=5,5,9,9"], "--count_zone: found '5,5,9,9'; give"),
        (["--video=street.mp4", "--fps=9"], "--fps: street.mp4 has a rate of its own"),
        (["--video=empty"], "empty: holds no pictures"),
        (["--video=pictures/%d.png"], "pictures/%d.png: no picture has such a name"),
        (["--images=pictures", "--side_by_side=a"], "--side_by_side: found --images"),
        (["--video=street.mp4", "--side_by_side=a", "--track"], "found --track, which is of one"),
        (["--video=street.mp4", "--detections=mot"], "found mot, which lists tracks; add --track"),
        (["--images=pictures", "--detections=jsonl"], "found jsonl, which is of videos"),
        (["--video=http://127.0.0.1:1/a.mp4"], "http://127.0.0.1:1/a.mp4: cannot be opened"),
    ],
)
def test_mistake_is_one_line_with_a_cure_and_leaves_nothing(folder, arguments, says):
    before = sorted(folder.rglob("*"))
    answer = app_process.run("infer", folder, *arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    assert says in answer.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--video=none.mp4"], ["--video=street.mp4"]], ids=str
)
def test_answers_come_without_loading_tensorflow(folder, arguments):
    imported = app_process.run("infer", folder, *arguments, python=["-X", "importtime"]).stderr
    assert " roadmark.app\n" in imported
    assert " tensorflow\n" not in imported


def test_help_lists_flags_of_files_and_of_clusters(folder):
    listed = app_process.run("infer", folder, "--help").stdout.partition("flags:")[2]
    for name in ("video", "model", "out", "cluster", "tries", "codec"):
        assert f"\n  --{name}: " in listed
