"""What the choices about an annotated video do to it."""

import functools
import http.server
import json
import threading

import av
import numpy as np
import pytest
from PIL import Image

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.testing import clips
from roadmark.video import ByFunction, Span, VideoOptions, annotate_video, codecs
from roadmark.video.counting import CountLine, CountZone
from roadmark.video.side_by_side import SideBySide
from roadmark.video.tracking import Tracker

_NAMES = {1: "square"}


class Looking:
    """Finds the white square of `clips.picture`, and counts the pictures that it is shown."""

    def __init__(self, fails_at=None):
        self.pictures, self._fails_at = 0, fails_at

    def __call__(self, images):
        found = []
        for image in images:
            if self.pictures == self._fails_at:
                raise KeyboardInterrupt
            self.pictures += 1
            white = image.min(axis=2) > 235
            rows, columns = (np.flatnonzero(white.any(axis=axis)) for axis in (1, 0))
            box = np.array([[rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]], np.float32)
            found.append(Detections(box, np.array([0.9], np.float32), np.array([1], np.int32)))
        return found


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "a.mp4", size=(192, 128), options={"crf": "5"}, sound="aac")


def annotate(clip, looking, listing="out.jsonl", **options):
    out = clip.with_name("out.mp4")
    quiet = [].append
    return annotate_video(
        clip,
        out,
        ByFunction(looking),
        _NAMES,
        clip.with_name(listing),
        VideoOptions(**options),
        quiet,
    )


def lines(clip, name="out.jsonl"):
    return [json.loads(line) for line in clip.with_name(name).read_text().splitlines()][1:]


def names(clip):
    return sorted(path.name for path in clip.parent.iterdir())


def pictures(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_stride_shows_what_was_found_last(clip, batch_size):
    looking = Looking()
    result = annotate(clip, looking, stride=3, batch_size=batch_size)
    assert (result.frames, looking.pictures) == (24, 8)
    assert [line["frame_index"] for line in lines(clip)] == list(range(0, 24, 3))
    for index, shown in enumerate(pictures(clip.with_name("out.mp4"))):
        red, _, blue = shown[72, index // 3 * 3 * 2 + 1].astype(int)
        assert blue - red > 60, f"frame {index}"


def test_span_counts_from_its_start(clip):
    looking = Looking()
    result = annotate(clip, looking, span=Span(start_s=0.2, end_s=0.5))
    # Frames 6 (at 0.2002 s) to 14.
    assert result.frames == looking.pictures == 9
    assert [line["frame_index"] for line in lines(clip)] == list(range(9))
    assert [line["boxes"][0][1] for line in lines(clip)] == [12 + 2 * number for number in range(9)]
    with av.open(str(clip.with_name("out.mp4"))) as container:
        sound = container.streams.audio[0]
        heard = [packet.pts * sound.time_base for packet in container.demux(sound) if packet.size]
    assert 0 <= heard[0] < 0.03
    assert 0.27 < heard[-1] < 0.3


@pytest.mark.parametrize(("limit", "frames"), [(15, 12), (10, 8), (60, 24), (29.97, 24)])
def test_limit_of_frames_a_second(clip, limit, frames):
    result = annotate(clip, Looking(), span=Span(max_fps=limit))
    assert result.frames == frames
    times = [line["time_s"] for line in lines(clip)]
    assert np.diff(times).std() < 1e-3


def test_start_after_the_end_is_one_line(clip):
    with pytest.raises(UserError, match=r"--start: found 9 s, .*a.mp4 has 0.80 s; start earlier"):
        annotate(clip, Looking(), span=Span(start_s=9))
    assert names(clip) == ["a.mp4"]


def test_interrupted_run_goes_on_where_it_stopped_with_the_same_result(clip, monkeypatch):
    # Without loss, because x264 on a busy machine does not give the same bytes twice.
    monkeypatch.setitem(codecs.OPTIONS, "libx264", {"qp": "0", "preset": "ultrafast"})
    annotate(clip, Looking())
    whole, film = lines(clip), pictures(clip.with_name("out.mp4"))
    clip.with_name("out.jsonl").unlink()
    clip.with_name("out.mp4").unlink()
    first = Looking(fails_at=15)
    with pytest.raises(KeyboardInterrupt):
        annotate(clip, first)
    assert names(clip) == ["a.mp4", "out.partial.jsonl", "out.partial.mp4"]
    kept = len(lines(clip, "out.partial.jsonl"))
    assert kept > 0
    second = Looking()
    result = annotate(clip, second, resume=True)
    assert second.pictures == 24 - kept
    assert lines(clip) == whole
    for before, after in zip(film, pictures(clip.with_name("out.mp4")), strict=True):
        np.testing.assert_array_equal(after, before)
    assert result.objects["square"] == 24
    assert names(clip) == ["a.mp4", "out.jsonl", "out.mp4"]


def test_resuming_another_job_is_refused_and_loses_nothing(clip):
    with pytest.raises(KeyboardInterrupt):
        annotate(clip, Looking(fails_at=15))
    before = lines(clip, "out.partial.jsonl")
    with pytest.raises(UserError, match="was made with stride 1, this run has 2"):
        annotate(clip, Looking(), resume=True, stride=2)
    assert lines(clip, "out.partial.jsonl") == before


def test_crops_show_the_objects_as_they_were(clip):
    folder = clip.with_name("out.crops")
    annotate(clip, Looking(), crops=folder, stride=4)
    found = sorted(folder.rglob("*.jpg"))
    expected = [f"square/{number:06d}_0.jpg" for number in range(0, 24, 4)]
    assert [path.relative_to(folder).as_posix() for path in found] == expected
    for path in found:
        with Image.open(path) as crop:
            assert crop.size == (16, 16)
            assert np.asarray(crop).mean() > 240


def test_crops_of_another_run_are_not_mixed_in(clip):
    folder = clip.with_name("out.crops")
    folder.mkdir()
    (folder / "old.jpg").touch()
    with pytest.raises(UserError, match=r"out.crops: is there already; remove it"):
        annotate(clip, Looking(), crops=folder)


def test_gif_repeats_and_shows_the_boxes(clip):
    annotate(clip, Looking(), gif=clip.with_name("out.gif"))
    with Image.open(clip.with_name("out.gif")) as gif:
        assert gif.info["loop"] == 0
        assert gif.size == (192, 128)
        # 0.8 s at 10 frames a second.
        assert gif.n_frames == 8
        assert gif.info["duration"] == 100
        red, _, blue = gif.convert("RGB").getpixel((1, 72))
    assert blue - red > 30


@pytest.mark.parametrize("stride", [1, 3])
def test_tracked_objects_have_an_id_a_trail_and_are_counted(clip, stride):
    options = {"tracker": Tracker(0.4), "counters": (CountLine.parse("20,0,20,120"),)}
    result = annotate(clip, Looking(), stride=stride, **options)
    ids = [line["track_ids"] for line in lines(clip)]
    assert ids == [[0]] + [[1]] * (24 // stride - 1)
    # The square's middle passes 20 in frame 6, from the right hand of who looks down the line.
    assert result.counted == {"crossed the line": {"to the left": 1, "to the right": 0}}
    last = pictures(clip.with_name("out.mp4"))[-1].astype(int)
    # The trail leads to where the square stands, on its lower edge.
    red, _, blue = last[78:82, 30:38].mean(axis=(0, 1))
    assert blue - red > 40


def test_file_of_detections_says_what_took_how_long_and_what_crossed_the_line(clip):
    options = {"tracker": Tracker(0.4), "counters": (CountLine.parse("20,0,20,120"),)}
    result = annotate(clip, Looking(), listing="out.json", **options)
    written = json.loads(clip.with_name("out.json").read_text())
    assert written["info"]["crossed_the_line"] == {
        "to the left": {"square": 1},
        "to the right": {},
    }
    assert written["info"]["speed"]["bottleneck"] == result.speed.bottleneck
    tracked = [annotation.get("track_id") for annotation in written["annotations"]]
    assert tracked == [None] + [1] * 23


def test_tracks_in_the_format_of_the_mot_challenge(clip):
    annotate(clip, Looking(), listing="out.txt", tracker=Tracker(0.4))
    rows = [line.split(",") for line in clip.with_name("out.txt").read_text().splitlines()]
    assert [row[:2] for row in rows] == [[str(frame), "1"] for frame in range(2, 25)]
    assert [float(value) for value in rows[0][2:7]] == [2.0, 64.0, 16.0, 16.0, 0.9]
    assert rows[0][7:] == ["1", "-1", "-1"]


def test_tracks_of_a_run_that_was_taken_up_again_are_the_same(clip):
    annotate(clip, Looking(), tracker=Tracker(0.4))
    whole = lines(clip)
    with pytest.raises(KeyboardInterrupt):
        annotate(clip, Looking(fails_at=15), tracker=Tracker(0.4))
    annotate(clip, Looking(), tracker=Tracker(0.4), resume=True)
    assert lines(clip) == whole


def test_speed_is_shown_in_the_corner(clip):
    annotate(clip, Looking())
    without = pictures(clip.with_name("out.mp4"))
    annotate(clip, Looking(), show_fps=True)
    shown = pictures(clip.with_name("out.mp4"))
    corners = [
        np.abs(one[:12, :60].astype(int) - other[:12, :60]).mean()
        for one, other in zip(without, shown, strict=True)
    ]
    assert corners[0] < 5
    assert min(corners[1:]) > 10


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_video_may_come_from_a_url(clip):
    # Matroska can be read from its beginning to its end, without going back.
    clips.make(clip.with_name("b.mkv"), size=(192, 128))
    handler = functools.partial(_Quiet, directory=clip.parent)
    out = clip.with_name("out.mp4")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        result = annotate_video(f"{url}/b.mkv", out, ByFunction(Looking()), _NAMES)
        with pytest.raises(UserError, match=f"{url}/c.mp4: cannot be opened"):
            annotate_video(f"{url}/c.mp4", out, ByFunction(Looking()), _NAMES)
        server.shutdown()
    assert result.frames == 24


def test_zone_counts_and_is_drawn(clip):
    # Shares of the picture of 192 x 128: the square stands at its lower edge, 80.
    zone = CountZone.parse("0.1,0.5,0.2,0.5,0.2,0.7,0.1,0.7")
    result = annotate(clip, Looking(), listing="out.json", tracker=Tracker(0.4), counters=(zone,))
    assert result.counted["in the zone"]["so far"] == 1
    written = json.loads(clip.with_name("out.json").read_text())
    assert written["info"]["in_the_zone"] == {"so far": {"square": 1}}


@pytest.mark.parametrize("batch_size", [1, 4])
def test_two_models_side_by_side(clip, batch_size):
    class Elsewhere(Looking):
        def __call__(self, images):
            box = np.array([[8, 8, 40, 40]], np.float32)
            one = Detections(box, np.array([0.8], np.float32), np.array([2], np.int32))
            self.pictures += len(images)
            return [one] * len(images)

    other = Elsewhere()
    second = SideBySide(ByFunction(other), {2: "other"}, ("first", "second"))
    result = annotate(clip, Looking(), side_by_side=second, batch_size=batch_size, stride=2)
    assert other.pictures == 12
    assert (result.objects, result.objects_beside) == ({"square": 12}, {"other": 12})
    # Only the first one's are written down, in pixels of the video.
    assert [line["boxes"][0][1] for line in lines(clip)] == [4 * number for number in range(12)]
    before, after = pictures(clip), pictures(clip.with_name("out.mp4"))
    for index, (plain, wide) in enumerate(zip(before, after, strict=True)):
        assert wide.shape == (128, 384, 3)
        left, right = (
            np.abs(half.astype(int) - plain).mean(axis=2) > 40
            for half in (wide[:, :192], wide[:, 192:])
        )
        seen = index // 2 * 4
        assert left[64:80, seen + 1].mean() > 0.5, index
        assert right[10:38, 9].mean() > 0.5, index
        assert right[64:80, seen + 60 : seen + 80].mean() < 0.1
        assert left[10:38, 9].mean() < 0.1
        assert min(left[118:].sum(), right[118:].sum()) > 50, "their names"


def test_page_of_the_run(clip):
    page = clip.with_name("out.html")
    annotate(clip, Looking(), page=page, about="a model")
    text = page.read_text()
    assert "a.mp4" in text
    assert "a model" in text
    assert "square" in text
    assert names(clip) == ["a.mp4", "out.html", "out.jsonl", "out.mp4"]


def test_gif_may_be_the_video_itself(clip):
    result = annotate_video(clip, clip.with_name("b.gif"), ByFunction(Looking()), _NAMES)
    with Image.open(clip.with_name("b.gif")) as gif:
        assert gif.n_frames == result.frames == 24


def test_pictures_become_a_video(clip):
    folder = clip.with_name("stills")
    folder.mkdir()
    for number, picture in enumerate(pictures(clip)[:6]):
        Image.fromarray(picture).save(folder / f"{number:05d}.png")
    looking = Looking()
    annotate_video(
        folder / "%05d.png",
        clip.with_name("b.mp4"),
        ByFunction(looking),
        _NAMES,
        options=VideoOptions(fps=5),
    )
    with av.open(str(clip.with_name("b.mp4"))) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert looking.pictures == 6
