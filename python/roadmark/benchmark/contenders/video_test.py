import shutil
import tempfile

import av
import numpy as np
import pytest

from roadmark.benchmark.contenders import ffmpeg, video
from roadmark.testing import clips

_ENCODER = {"preset": "veryfast", "crf": "23"}


@pytest.fixture
def options(tmp_path):
    clip = clips.make(tmp_path / "a.mp4", frames=30, size=(320, 240))
    return {"clip": str(clip), "batch_size": 4, "encoder": _ENCODER, "sleep_s": 0.0, "boxes": 3}


def test_annotating_says_what_every_frame_shows_and_what_took_how_long(options):
    call, read = video.annotating({}, options, 1)
    found = read(call())
    assert found["frames"] == 30
    assert np.bincount(found["frame"]).tolist() == [3] * 30
    assert found["boxes"].shape == (90, 4)
    assert {len(found[name]) for name in ("classes", "scores")} == {90}
    assert b'"bottleneck"' in found["speed"].tobytes()
    assert found["first_frame_s"] > 0


@pytest.mark.parametrize("part", [video.decoding, video.encoding])
def test_parts_tell_the_processor_time_of_a_frame(options, part):
    call, read = part({}, options, 1)
    assert 0 < read(call())["cpu_s"] < 1


@pytest.mark.parametrize("transcode", [ffmpeg._by_program, ffmpeg._by_library])
def test_both_ways_to_transcode_write_every_frame(options, tmp_path, transcode):
    if transcode is ffmpeg._by_program and shutil.which(ffmpeg.PROGRAM) is None:
        pytest.skip("there is no ffmpeg program here")
    transcode(options["clip"], str(tmp_path / "out.mp4"), _ENCODER)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30


def test_transcoding_leaves_nothing(options, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    call, read = ffmpeg.transcoding({}, options, 1)
    assert read(call()) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
