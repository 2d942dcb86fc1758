"""A model without training, small enough for a test: the quickstart's config."""

from pathlib import Path

import pytest

from roadmark import locations, manifest
from roadmark.benchmark import untrained_models, video_models
from roadmark.benchmark.contenders import video
from roadmark.testing import clips

_CONFIGS = Path(__file__).parents[3] / "configs"


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
    assert manifest.load(model.folder).names() == {1: "vehicle", 2: "pedestrian", 3: "cyclist"}
    assert "making an export with random weights" in said[0]
    assert "made by an earlier run" in said[1]


def test_its_scores_spread_and_the_threshold_shows_as_many_boxes_as_asked_for(made, tmp_path):
    model, _ = made
    clip = str(clips.make(tmp_path / "a.mp4", size=(320, 240), frames=4))
    call, read = video.scoring({}, {"model": str(model.folder), "clip": clip, "boxes": 10}, 1)
    score = float(read(call())["score"])
    assert 0.05 < score < 1
    options = {"model": str(model.folder), "clip": clip, "score_threshold": score, "batch_size": 1}
    call, read = video.annotating({}, options, 1)
    assert read(call())["boxes"][0] == 10
