import contextlib
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from roadmark.errors import UserError
from roadmark.testing import clips
from roadmark.video import codecs
from roadmark.video.reader import Frame, VideoReader
from roadmark.video.writer import VideoWriter, check_output


def copy(source, out, report=None):
    """Reads a clip and writes it again as it is."""
    heard = []
    with VideoReader(source) as reader:
        with VideoWriter(out, reader.info, reader.sound, report or heard.append) as writer:
            for item in reader:
                if isinstance(item, Frame):
                    writer.write(item.yuv, item.pts)
                else:
                    writer.copy_sound(item, reader.start_of(item.stream))
        writer.verify(out)
    return heard


def times(path):
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def sound_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [
            (float(packet.pts * stream.time_base), bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


@pytest.mark.parametrize("suffix", sorted(set(codecs.CONTAINERS) - {".gif"}))
def test_every_file_type_keeps_rate_times_and_picture(tmp_path, suffix):
    source = clips.make(tmp_path / "a.mp4")
    out = tmp_path / f"out{suffix}"
    assert copy(source, out) == []
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert abs(stream.average_rate - clips.NTSC) < 1e-3
        last = list(container.decode(stream))[-1]
    # FFmpeg reads H.264 in AVI, which has no times, as if each frame were shown one later.
    late = float(1 / clips.NTSC) if suffix == ".avi" else 0
    np.testing.assert_allclose(times(out), np.array(times(source)) + late, atol=0.001)
    assert (
        np.abs(last.to_ndarray(format="rgb24") - clips.picture(23, (96, 64)).astype(int)).mean()
        < 16
    )


@pytest.mark.parametrize("ticks", [None, [9, 40, 80, 200, 233, 900]], ids=["even", "varying"])
def test_gif_repeats_and_keeps_picture_and_times_to_a_hundredth(tmp_path, ticks):
    base = None if ticks is None else Fraction(1, 1000)
    frames = 24 if ticks is None else 6
    shape = {"size": (95, 63), "codec": "ffv1"}
    clip = clips.make(tmp_path / "a.mkv", frames=frames, pts=ticks, time_base=base, **shape)
    out = tmp_path / "out.gif"
    assert copy(clip, out) == []
    expected = np.array(times(clip)) - times(clip)[0]
    np.testing.assert_allclose(times(out), expected, atol=0.0055)
    with Image.open(out) as gif:
        assert (gif.info["loop"], gif.n_frames, gif.size) == (0, frames, (95, 63))
        gif.seek(5)
        shown = np.asarray(gif.convert("RGB")).astype(int)
    assert np.abs(shown - clips.picture(5, (95, 63))).mean() < 16


def test_gif_of_too_high_a_rate_is_one_line(tmp_path):
    clip = clips.make(tmp_path / "a.mp4", rate=Fraction(60))
    with pytest.raises(UserError, match=r"\.gif: has at most 50 frames/s, not 60; add --max_fps"):
        copy(clip, tmp_path / "out.gif")


# Matroska has rounded the times to milliseconds.
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_avi_keeps_a_constant_rate_and_sound(tmp_path, name):
    source = clips.make(tmp_path / name, sound="aac")
    assert copy(source, tmp_path / "out.avi") == []
    shown = np.array(times(tmp_path / "out.avi"))
    np.testing.assert_allclose(shown - shown[0], np.arange(24) * 1001 / 30000, atol=1e-6)
    # Without the silence that AAC puts before second 0.
    heard = [packet for time, packet in sound_of(source) if time >= 0]
    assert [packet for _, packet in sound_of(tmp_path / "out.avi")] == heard


# MP4's AAC and MP3 begin before second 0, where nothing in a Matroska may be; Opus' may.
@pytest.mark.parametrize(
    ("name", "sound"),
    [("a.mp4", "aac"), ("a.mov", "libmp3lame"), ("a.mp4", "libopus"), ("a.mkv", "aac")],
)
def test_sound_moves_no_frame_of_a_matroska(tmp_path, name, sound):
    source = clips.make(tmp_path / name, sound=sound)
    assert copy(source, tmp_path / "out.mkv") == []
    np.testing.assert_allclose(times(tmp_path / "out.mkv"), times(source), atol=0.001)
    heard = [packet for time, packet in sound_of(source) if time >= 0]
    assert [packet for _, packet in sound_of(tmp_path / "out.mkv")][-len(heard) :] == heard


def test_avi_of_a_varying_rate_is_one_line(tmp_path):
    clip = {"frames": 6, "pts": [0, 40, 80, 215, 233, 900], "time_base": Fraction(1, 1000)}
    source = clips.make(tmp_path / "a.mkv", **clip)
    with pytest.raises(UserError, match=r"\.avi: keeps a constant rate alone.*NAME\.mp4"):
        copy(source, tmp_path / "out.avi")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_mp4_keeps_2997_exactly(tmp_path, name):
    codec = "mpeg4" if name == "a.avi" else "libx264"
    copy(clips.make(tmp_path / name, codec=codec), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(30000, 1001)
        assert stream.duration * stream.time_base == 24 * Fraction(1001, 30000)


def test_varying_rate_stays_varying(tmp_path):
    ticks = [0, 40, 80, 200, 233, 900]
    source = clips.make(tmp_path / "a.mkv", frames=6, pts=ticks, time_base=Fraction(1, 1000))
    copy(source, tmp_path / "out.mp4")
    np.testing.assert_allclose(times(tmp_path / "out.mp4"), np.array(ticks) / 1000, atol=5e-4)


@pytest.mark.parametrize(
    ("name", "sound", "out"),
    [
        ("a.mp4", "aac", "o.mp4"),
        ("a.mkv", "aac", "o.mp4"),
        ("a.ts", "aac", "o.mp4"),
        ("a.mkv", "libopus", "o.webm"),
        ("a.mov", "pcm_s16le", "o.mkv"),
    ],
)
def test_sound_is_copied_bit_by_bit_at_its_times(tmp_path, name, sound, out):
    source = clips.make(tmp_path / name, sound=sound)
    assert copy(source, tmp_path / out) == []
    before, after = sound_of(source), sound_of(tmp_path / out)
    offset = times(source)[0] - times(tmp_path / out)[0]
    # A transport stream's AAC carries headers that MP4 keeps elsewhere.
    assert len(after) == len(before)
    assert all(kept.endswith(copied) for (_, copied), (_, kept) in zip(after, before, strict=True))
    np.testing.assert_allclose(
        [time + offset for time, _ in after], [time for time, _ in before], atol=0.0015
    )


@pytest.mark.parametrize(
    ("name", "sound", "out", "called"),
    [("a.mp4", "aac", "out.webm", "aac"), ("a.mkv", "libopus", "out.mov", "opus")],
)
def test_sound_that_does_not_fit_is_left_out_with_a_notice(tmp_path, name, sound, out, called):
    source = clips.make(tmp_path / name, sound=sound)
    (notice,) = copy(source, tmp_path / out)
    suffix = out.removeprefix("out")
    assert re.fullmatch(
        rf"the sound \(\w*{called}\) does not fit into \{suffix} and is left out; "
        r"--out=NAME\.mkv keeps it",
        notice,
    )
    assert len(times(tmp_path / out)) == 24


def test_pixel_shape_and_colour_tags_are_kept(tmp_path):
    source = clips.make(tmp_path / "a.mp4", aspect=Fraction(4, 3), colour=(9, 9, 2))
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert (context.colorspace, context.color_primaries, context.color_range) == (9, 9, 2)


def test_rotated_clip_is_written_upright(tmp_path):
    copy(clips.make(tmp_path / "a.mp4", rotation=90), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height, frame.rotation) == (64, 96, 0)
    upright = np.rot90(clips.picture(0, (96, 64)).astype(int))
    assert np.abs(frame.to_ndarray(format="rgb24") - upright).mean() < 16


@pytest.mark.parametrize(
    ("out", "size", "notices"), [("o.mp4", (86, 50), 1), ("o.webm", (85, 49), 0)]
)
def test_odd_sizes(tmp_path, out, size, notices):
    source = clips.make(
        tmp_path / "a.webm", size=(85, 49), codec="libvpx-vp9", options={"deadline": "realtime"}
    )
    heard = copy(source, tmp_path / out)
    assert len(heard) == notices
    with av.open(str(tmp_path / out)) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == size
    shown = frame.to_ndarray(format="rgb24")[:49, :85].astype(int)
    assert np.abs(shown - clips.picture(0, (85, 49))).mean() < 16


def test_another_encoder_does_where_the_usual_one_is_missing(tmp_path, monkeypatch):
    # FFmpeg builds without GPL parts have no libx264; the first name here exists in none.
    encoders = ("encoder_of_another_build", "mpeg4")
    monkeypatch.setitem(codecs.ENCODERS, "h264", encoders)
    source = clips.make(tmp_path / "a.mp4", time_base=Fraction(1, 90000), pts=range(0, 72072, 3003))
    (notice,) = copy(source, tmp_path / "out.mp4")
    assert "encoded with mpeg4" in notice
    np.testing.assert_allclose(times(tmp_path / "out.mp4"), times(source), atol=1e-4)


def test_no_encoder_at_all_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(codecs.ENCODERS, "h264", ("encoder_of_another_build",))
    with pytest.raises(UserError, match="this FFmpeg has none of encoder_of_another_build"):
        copy(clips.make(tmp_path / "a.mp4"), tmp_path / "out.mp4")


def test_file_without_frames_is_removed(tmp_path):
    with (
        VideoReader(clips.make(tmp_path / "a.mp4")) as reader,
        contextlib.suppress(KeyboardInterrupt),
        VideoWriter(tmp_path / "out.mp4", reader.info, reader.sound, print),
    ):
        raise KeyboardInterrupt
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"frames": 23}, "holds 23 frames of 96x64, expected 24 of 96x64"),
        ({"size": (64, 64)}, "holds 24 frames of 64x64, expected 24 of 96x64"),
        ({"rate": Fraction(25)}, "a frame at 0.920 s, expected 0.767 s"),
    ],
    ids=["frame lost", "size", "times"],
)
def test_file_that_does_not_hold_what_was_written_is_an_error(tmp_path, other, says):
    out = tmp_path / "out.mp4"
    with (
        VideoReader(clips.make(tmp_path / "a.mp4")) as reader,
        VideoWriter(out, reader.info, (), print) as writer,
    ):
        for frame in reader:
            writer.write(frame.yuv, frame.pts)
    clips.make(out, **other)
    with pytest.raises(UserError, match=says):
        writer.verify(out)


@pytest.mark.parametrize(
    ("name", "says"),
    [("out.xyz", "cannot write videos of type .xyz"), ("out", "without a file type")],
)
def test_file_types_that_cannot_be_written(tmp_path, name, says):
    with pytest.raises(UserError, match=says):
        check_output(tmp_path / name)


def test_folder_as_output(tmp_path):
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_output(tmp_path / "out.mp4")
