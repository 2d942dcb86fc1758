import collections
import http.server
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import av
import numpy as np
import psutil
import pytest

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.testing import clips, street_data
from roadmark.video import ByFunction, VideoOptions, annotate_video, codecs, reader, yuv_frame

_NAMES = {1: "square"}


def white_square(images):
    """Finds the white square of `clips.picture`, by looking."""
    found = []
    for image in images:
        white = image.min(axis=2) > 235
        rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
        box = np.array([[rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]], np.float32)
        found.append(Detections(box, np.array([0.9], np.float32), np.array([1], np.int32)))
    return found


def nothing(images):
    return [Detections.empty()] * len(images)


def pictures(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def stored(path):
    """The planes of every frame."""
    with av.open(str(path)) as container:
        return [
            [plane.copy() for plane in yuv_frame.planes(frame)]
            for frame in container.decode(video=0)
        ]


def times(path):
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("batch_size", [1, 5], ids=["frame by frame", "uneven batches"])
def test_every_frame_shows_its_own_box(tmp_path, batch_size):
    source = clips.make(tmp_path / "a.mp4", size=(192, 128), options={"crf": "5"})
    out, listing = tmp_path / "out.mp4", tmp_path / "out.json"
    result = annotate_video(
        source, out, ByFunction(white_square), _NAMES, listing, VideoOptions(batch_size)
    )
    assert result.frames == 24
    assert result.objects == collections.Counter(square=24)
    assert (result.skipped, result.concealed) == (0, 0)
    np.testing.assert_allclose(times(out), times(source), atol=1e-6)
    written = json.loads(listing.read_text())
    assert [image["frame_index"] for image in written["images"]] == list(range(24))
    np.testing.assert_allclose([i["time_s"] for i in written["images"]], times(source), atol=1e-5)
    for index, (shown, entry) in enumerate(zip(pictures(out), written["annotations"], strict=True)):
        np.testing.assert_allclose(entry["bbox"], [index * 2, 64, 16, 16], atol=1)
        # The frame of the box is blue; the inside of the square stays white.
        red, _, blue = shown[72, index * 2 + 1].astype(int)
        assert blue - red > 60, f"frame {index}"
        assert shown[72, index * 2 + 8].min() > 200, f"frame {index}"


def test_without_detections_the_picture_stays_as_it_was(tmp_path):
    source = clips.make(tmp_path / "a.mp4", size=(192, 128), sound="aac")
    annotate_video(source, tmp_path / "out.mp4", ByFunction(nothing), _NAMES)
    for before, after in zip(pictures(source), pictures(tmp_path / "out.mp4"), strict=True):
        difference = after.astype(int) - before
        assert abs(difference.mean()) < 0.7
        assert np.abs(difference).mean() < 4
    assert names_in(tmp_path) == ["a.mp4", "out.mp4"]


def test_samples_under_no_drawing_reach_the_encoder_as_they_were_decoded(tmp_path, monkeypatch):
    monkeypatch.setitem(codecs.OPTIONS, "libx264", {"qp": "0", "preset": "ultrafast"})
    source = clips.make(tmp_path / "a.mp4", size=(192, 128), options={"crf": "5"})
    annotate_video(source, tmp_path / "out.mp4", ByFunction(white_square), _NAMES)
    for index, (before, after) in enumerate(
        zip(stored(source), stored(tmp_path / "out.mp4"), strict=True)
    ):
        # The square and its tag, and nothing else.
        touched = np.zeros((128, 192), bool)
        touched[46:80, index * 2 : index * 2 + 120] = True
        for old, new, part in zip(before, after, (1, 2, 2), strict=True):
            kept = ~touched[::part, ::part]
            np.testing.assert_array_equal(new[kept], old[kept])
            assert (new != old).any()


def test_corrupt_packet_is_skipped_and_counted(tmp_path):
    source = clips.damage(clips.make(tmp_path / "a.mp4", sound="aac"), 11)
    result = annotate_video(source, tmp_path / "out.mp4", ByFunction(nothing), _NAMES)
    assert (result.skipped, result.frames) == (1, 23)
    assert len(times(tmp_path / "out.mp4")) == 23
    assert times(tmp_path / "out.mp4")[-1] == pytest.approx(23 * 1001 / 30000, abs=1e-5)


def test_truncated_video_leaves_a_playable_part_and_nothing_else(tmp_path):
    source = clips.make(tmp_path / "a.mp4", container_options={"movflags": "faststart"})
    clips.truncate(source, 16)
    with pytest.raises(UserError) as caught:
        annotate_video(
            source,
            tmp_path / "b.mp4",
            ByFunction(nothing),
            _NAMES,
            tmp_path / "b.json",
            VideoOptions(4),
        )
    assert names_in(tmp_path) == ["a.mp4", "b.partial.json", "b.partial.jsonl", "b.partial.mp4"]
    line = str(caught.value)
    assert "the stream ends at" in line
    assert str(tmp_path / "b.partial.mp4") in line
    played = len(times(tmp_path / "b.partial.mp4"))
    assert 14 <= played <= 17
    assert len(json.loads((tmp_path / "b.partial.json").read_text())["images"]) == played


def test_frame_size_that_changes_leaves_a_playable_part_and_nothing_else(tmp_path):
    small = clips.make(tmp_path / "small.ts", frames=8)
    large = clips.make(tmp_path / "large.ts", frames=8, size=(128, 64))
    (tmp_path / "a.ts").write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(UserError, match=r"frames change from 96x64 to 128x64 .*b\.partial\.mp4"):
        annotate_video(tmp_path / "a.ts", tmp_path / "b.mp4", ByFunction(nothing), _NAMES)
    assert len(times(tmp_path / "b.partial.mp4")) == 8
    parts = ["b.partial.jsonl", "b.partial.mp4"]
    assert names_in(tmp_path) == ["a.ts", *parts, "large.ts", "small.ts"]


class HalfAVideo(http.server.BaseHTTPRequestHandler):
    """Sends the first part of a film, and then closes the connection or falls silent."""

    film: bytes
    silent_s: float

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.film)))
        self.end_headers()
        self.wfile.write(self.film[: len(self.film) * 2 // 3])
        self.wfile.flush()
        time.sleep(self.silent_s)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("silent_s", [0, 6], ids=["is cut off", "falls silent"])
def test_stream_that_stops_leaves_a_playable_part_and_nothing_else(tmp_path, monkeypatch, silent_s):
    monkeypatch.setattr(reader, "_NETWORK_TIMEOUT_S", 1.0)
    clip = clips.make(tmp_path / "a.mkv", frames=120, size=(192, 128))
    film = {"film": clip.read_bytes(), "silent_s": silent_s}
    handler = type("Handler", (HalfAVideo,), film)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.mkv"
        with pytest.raises(UserError, match=r"a\.mkv: .*b\.partial\.mp4") as caught:
            annotate_video(url, tmp_path / "b.mp4", ByFunction(nothing), _NAMES)
        server.shutdown()
    assert "stops with" in str(caught.value) or "the stream ends" in str(caught.value)
    assert 40 <= len(times(tmp_path / "b.partial.mp4")) < 120
    assert names_in(tmp_path) == ["a.mkv", "b.partial.jsonl", "b.partial.mp4"]


class Queue(ByFunction):
    """Gives no result before it has the next batch; knows what was submitted and asked for."""

    def __init__(self, batches, fails_at=None):
        super().__init__(nothing)
        self.submitted, self.done, self.drained = [], 0, 0
        self._has = [threading.Event() for _ in range(batches)]
        self._fails_at = fails_at

    def submit(self, inputs):
        self._has[len(self.submitted)].set()
        self.submitted.append(inputs)
        return inputs

    def result(self, handle):
        self.done += 1
        if self.done == self._fails_at:
            raise ZeroDivisionError
        assert self.done == len(self._has) or self._has[self.done].wait(30), "it runs dry"
        return super().result(handle)

    def drain(self):
        self.drained += 1


def test_network_has_its_next_batch_before_anyone_waits_for_the_one_before(tmp_path):
    queue = Queue(12)
    options = VideoOptions(2)
    annotate_video(
        clips.make(tmp_path / "a.mp4"), tmp_path / "b.mp4", queue, _NAMES, options=options
    )
    assert (queue.done, queue.drained) == (12, 1)


def test_engine_is_waited_for_when_the_run_fails(tmp_path):
    queue = Queue(24, fails_at=3)
    with pytest.raises(ZeroDivisionError):
        annotate_video(clips.make(tmp_path / "a.mp4"), tmp_path / "b.mp4", queue, _NAMES)
    assert queue.drained == 1


def test_name_with_a_time_in_it_is_a_file_name(tmp_path, monkeypatch):
    clips.make(tmp_path / "a.mp4").rename(tmp_path / "12:30:00.mp4")
    monkeypatch.chdir(tmp_path)
    annotate_video("12:30:00.mp4", "12:30:00.annotated.mp4", ByFunction(nothing), _NAMES)
    assert names_in(tmp_path) == ["12:30:00.annotated.mp4", "12:30:00.mp4"]


def test_whole_video_removes_the_part_of_an_earlier_attempt(tmp_path):
    source = clips.make(tmp_path / "a.mp4")
    (tmp_path / "out.partial.mp4").write_bytes(b"old")
    annotate_video(source, tmp_path / "out.mp4", ByFunction(nothing), _NAMES)
    assert names_in(tmp_path) == ["a.mp4", "out.mp4"]


_SLOW_PROGRAM = """
import sys, time
from roadmark import app
from roadmark.detections import Detections
from roadmark.video import ByFunction, annotate_video

def slowly(images):
    print("batch", flush=True)
    time.sleep(0.02)
    return [Detections.empty()] * len(images)

def main():
    annotate_video(sys.argv[0], "out.mp4", ByFunction(slowly), {}, "out.json")

sys.argv = sys.argv[1:]
app.run(main)
"""


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_stopped_program_closes_the_file_so_that_it_plays(tmp_path, number, exit_code):
    source = clips.make(tmp_path / "a.mp4", frames=300)
    program = subprocess.Popen(
        [sys.executable, "-c", _SLOW_PROGRAM, str(source)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(20):
        program.stdout.readline()
    program.send_signal(number)
    _, errors = program.communicate(timeout=60)
    assert program.returncode == exit_code, errors
    assert "Traceback" not in errors
    assert "kept what was written: out.partial.mp4" in errors
    parts = [f"out.partial.{suffix}" for suffix in ("json", "jsonl", "mp4")]
    assert names_in(tmp_path) == ["a.mp4", *parts]
    assert 15 <= len(times(tmp_path / "out.partial.mp4")) < 300


def test_error_of_the_detector_surfaces_as_it_is(tmp_path):
    def broken(images):
        raise ZeroDivisionError("of the detector")

    with pytest.raises(ZeroDivisionError, match="of the detector"):
        annotate_video(
            clips.make(tmp_path / "a.mp4"), tmp_path / "out.mp4", ByFunction(broken), _NAMES
        )
    assert names_in(tmp_path) == ["a.mp4"]


def test_file_that_may_not_grow_is_one_line_and_leaves_nothing(tmp_path):
    # What a full disk does, without needing one: writing past 3 kB fails.
    source = clips.make(tmp_path / "a.mp4", frames=60)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"out\.mp4: cannot be written: .+; free some space"):
            annotate_video(source, tmp_path / "out.mp4", ByFunction(nothing), _NAMES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names_in(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize(
    ("source", "out", "says"),
    [
        ("none.mp4", "out.mp4", "no such video"),
        ("a.mp4", "out.xyz", "cannot write videos of type .xyz"),
        ("a.mp4", "a.mp4", "is the source itself"),
        ("a.mp4", "a.mp4/out.mp4", "cannot be written"),
        ("a.mp4", "/sys/out.mp4", "/sys/out.mp4: cannot be written"),
    ],
)
def test_wrong_names_are_one_line_and_leave_nothing(tmp_path, source, out, says):
    clip = clips.make(tmp_path / "a.mp4").read_bytes()
    with pytest.raises(UserError, match=says):
        annotate_video(tmp_path / source, tmp_path / out, ByFunction(nothing), _NAMES)
    assert names_in(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == clip


def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path):
    source = clips.make(
        tmp_path / "a.mp4", frames=300, size=(320, 240), options={"preset": "ultrafast"}
    )
    resident = []

    def watch(images):
        resident.append(psutil.Process().memory_info().rss)
        return white_square(images)

    annotate_video(source, tmp_path / "out.mp4", ByFunction(watch), _NAMES, tmp_path / "out.json")
    # 200 frames of 320x240 are 46 MB.
    assert resident[299] - resident[99] < 15e6


@pytest.mark.parametrize(
    ("clip", "frames"),
    [
        ("carnd_test_video.mp4", 38),
        ("intel_person-bicycle-car-detection_preview.gif", 41),
    ],
)
def test_real_clips_keep_their_times(tmp_path, clip, frames):
    source = street_data.folder("videos") / clip
    result = annotate_video(source, tmp_path / "out.mp4", ByFunction(nothing), _NAMES)
    assert result.frames == frames
    np.testing.assert_allclose(times(tmp_path / "out.mp4"), times(source), atol=1e-6)
