"""The demo and the two commands people type after it, run as programs in an empty folder."""

import json
import os
import subprocess
from pathlib import Path

import av
import cv2
import pytest

from roadmark import manifest

_CLIP_FRAMES = 10
_TIMEOUT_S = 600


def _app(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Runs an app as `bazel run` does: in its runfiles, told of the user's folder."""
    return subprocess.run(
        [str(Path("python", name).absolute()), *arguments],
        env=os.environ | {"BUILD_WORKING_DIRECTORY": str(folder)},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


def _video_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The user's checkout, of which only the configs matter here."""
    path = tmp_path_factory.mktemp("checkout")
    (path / "configs").symlink_to(Path("configs").absolute())
    return path


@pytest.fixture(scope="module")
def demo(folder):
    """A demo of a few steps on a few pictures."""
    return _app("demo", folder, "--num_images=24", "--steps=3", "--seconds=0.4")


@pytest.mark.parametrize(
    ("name", "arguments", "makes_it"),
    [
        ("train", ["--config=configs/effdet_d1.config"], "bazel run //python:prepare"),
        ("infer", ["--video", "test.mp4"], "bazel run //python:demo"),
    ],
)
def test_without_records_or_model_the_command_that_makes_them_is_printed(
    tmp_path, name, arguments, makes_it
):
    (tmp_path / "configs").symlink_to(Path("configs").absolute())
    answer = _app(name, tmp_path, *arguments)
    assert answer.returncode == 2
    lines = answer.stderr.splitlines()
    assert len(lines) == 1
    assert makes_it in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["configs"]


def test_demo_ends_well_and_says_where_everything_is(folder, demo):
    assert demo.returncode == 0, demo.stderr[-3000:]
    for expected in ("mAP@0.5 ", "side (root of area) in pixels", "test.mp4", "runs/demo/export"):
        assert expected in demo.stdout


def test_demo_leaves_records_and_a_checkpoint(folder, demo):
    records = folder / "data" / "records"
    card = json.loads((records / "dataset_card.json").read_text())
    assert sum(split["images"] for split in card["splits"].values()) == 24
    assert (records / "label_map.pbtxt").is_file()
    assert (folder / "runs/demo/checkpoints/ckpt-3.index").is_file()


def test_demo_leaves_metrics_and_pictures(folder, demo):
    run = folder / "runs" / "demo"
    summary = json.loads((run / "evaluation.json").read_text())["metrics"]["summary"]["bbox"]
    assert 0 <= summary["AP50"] <= 1
    sheet = cv2.imread(str(run / "contact_sheet.jpg"))
    assert sheet.shape[1] == 3 * 480


def test_demo_leaves_a_whole_export(folder, demo):
    described = manifest.load(folder / "runs" / "demo" / "export")
    assert described.names() == {1: "vehicle", 2: "pedestrian", 3: "cyclist"}


def test_demo_leaves_videos_that_play(folder, demo):
    assert _video_frames(folder / "test.mp4") == _CLIP_FRAMES
    assert _video_frames(folder / "runs/demo/test.annotated.mp4") == _CLIP_FRAMES


def test_infer_works_as_typed(folder, demo):
    answer = _app("infer", folder, "--video", "test.mp4")
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert _video_frames(folder / "test.annotated.mp4") == _CLIP_FRAMES


def test_train_works_as_typed(folder, demo):
    config = "ssd_mobilenet_v2_fpnlite_320"
    answer = _app("train", folder, f"--config=configs/{config}.config", "--steps=1")
    assert answer.returncode == 0, answer.stderr[-3000:]
    assert (folder / f"runs/{config}/checkpoints/ckpt-1.index").is_file()
