"""A model without training, small enough for a test: the quickstart's config."""

import json
import shutil
from pathlib import Path

import pytest

from roadmark import locations, manifest
from roadmark.benchmark import untrained_models, video_models
from roadmark.benchmark.contenders import video
from roadmark.testing import clips

_CONFIGS = Path(__file__).parents[3] / "configs"
_TRAINED = Path("tests/models/quickstart")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    cache = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(video_models, "_TARGETS", {"quickstart": 3.0})
        patch.setattr(untrained_models, "_FORMATS", ("saved_model",))  # Converters take long.
        said = []
        first = video_models.make(cache, _CONFIGS, 1, said.append)
        stamp = first[0].folder.joinpath(locations.MANIFEST).stat().st_mtime_ns
        again = video_models.make(cache, _CONFIGS, 1, said.append)
    assert again == first
    assert again[0].folder.joinpath(locations.MANIFEST).stat().st_mtime_ns == stamp
    return first[0], said


def test_it_is_an_export_that_says_what_it_is(made):
    model, said = made
    assert not model.is_trained
    assert (model.weights, model.most_boxes, model.target) == ("random weights", 100, 3.0)
    assert model.names == {1: "vehicle", 2: "pedestrian", 3: "cyclist"}
    assert "making an export with random weights" in said[0]
    assert "made by an earlier run" in said[1]


def test_its_scores_spread_and_the_threshold_shows_as_many_boxes_as_asked_for(made, tmp_path):
    model, _ = made
    clip = str(clips.make(tmp_path / "a.mp4", size=(320, 240), frames=4))
    terms = {"model": str(model.folder), "clip": clip, "precision": "fp32"}
    call, read = video.scoring({}, {**terms, "boxes": 10}, 1)
    score = float(read(call())["score"])
    assert 0.05 < score < 1
    call, read = video.annotating({}, {**terms, "score_threshold": score, "batch_size": 1}, 1)
    found = read(call())
    assert (found["frame"] == 0).sum() == 10
    assert found["engine"].tobytes() == b"openvino fp32"


@pytest.fixture
def trained(tmp_path):
    shutil.copytree(_TRAINED / "export", tmp_path / "quickstart" / "export")
    (tmp_path / "quickstart" / "versions.json").write_text('{"batch_size": 8}')
    return tmp_path


def test_what_somebody_has_trained_is_measured_and_stays(trained, monkeypatch):
    monkeypatch.setattr(video_models, "_TARGETS", {"quickstart": 3.0})
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    said = []
    (model,) = video_models.make(trained, _CONFIGS, 1, said.append)
    assert model.is_trained
    steps = manifest.load(_TRAINED / "export").step
    assert model.weights == f"trained for {steps:,} steps of 8 pictures"
    assert "trained" in said[0]
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before


@pytest.mark.parametrize(
    ("of_step", "says"),
    [(0, ", mAP 0.123 on 50 pictures"), (1, "")],
    ids=["of these weights", "of others"],
)
def test_accuracy_is_told_where_the_run_knows_it(trained, of_step, says):
    run = trained / "quickstart"
    step = manifest.load(run / "export").step + of_step
    metrics = {"images": 50, "summary": {"bbox": {"mAP": 0.1234}}}
    (run / "evaluation.json").write_text(json.dumps({"step": step, "metrics": metrics}))
    (model,) = video_models.given(run / "export")
    assert model.weights.partition(" pictures")[2] == says
