from fractions import Fraction

import av
import numpy as np
import pytest

from roadmark.errors import UserError
from roadmark.testing import clips
from roadmark.video import yuv_frame
from roadmark.video.reader import Frame, Span, VideoReader

_FASTSTART = {"movflags": "faststart"}


def read(path):
    with VideoReader(path) as reader:
        items = list(reader)
    frames = [item for item in items if isinstance(item, Frame)]
    return reader, frames, len(items) - len(frames)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", {}),
        ("mpeg4.avi", {"codec": "mpeg4"}),
        ("h264.mkv", {}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}),
        ("mjpeg.mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("h264.ts", {}),
    ],
)
def test_containers_and_codecs_give_every_frame_at_its_time(tmp_path, name, options):
    reader, frames, _ = read(clips.make(tmp_path / name, **options))
    assert (reader.info.width, reader.info.height) == (96, 64)
    assert reader.info.rate == clips.NTSC
    assert [frame.index for frame in frames] == list(range(24))
    steps = np.diff([frame.time_s for frame in frames])
    np.testing.assert_allclose(steps, 1001 / 30000, atol=0.0011)
    assert frames[0].time_s < 0.1
    assert (reader.skipped, reader.concealed, reader.stopped) == (0, 0, None)
    assert np.abs(frames[5].image.astype(int) - clips.picture(5, (96, 64))).mean() < 12


def test_gif_is_a_video(tmp_path):
    clip = clips.make(tmp_path / "a.gif", codec="gif", pix_fmt="rgb8", rate=Fraction(10))
    reader, frames, _ = read(clip)
    assert [frame.time_s for frame in frames[:3]] == [0.0, 0.1, 0.2]
    assert len(frames) == 24
    assert reader.stopped is None


def test_varying_frame_rate_keeps_its_times(tmp_path):
    times = [0, 40, 80, 200, 233, 900]
    clip = clips.make(tmp_path / "a.mkv", frames=6, pts=times, time_base=Fraction(1, 1000))
    reader, frames, _ = read(clip)
    np.testing.assert_allclose([frame.time_s * 1000 for frame in frames], times, atol=0.5)
    assert reader.stopped is None


@pytest.mark.parametrize(
    ("rotation", "turns"),
    [(90, 1), (-90, -1), (180, 2)],
    ids=["counterclockwise", "clockwise", "upside down"],
)
def test_rotated_clip_comes_out_upright(tmp_path, rotation, turns):
    plain, (first, *_), _ = read(clips.make(tmp_path / "plain.mp4", aspect=Fraction(4, 3)))
    clip = clips.make(tmp_path / "turned.mp4", rotation=rotation, aspect=Fraction(4, 3))
    reader, (turned, *_), _ = read(clip)
    np.testing.assert_array_equal(turned.image, np.rot90(first.image, turns))
    assert (reader.info.width, reader.info.height) == turned.image.shape[1::-1]
    sideways = abs(turns) == 1
    assert reader.info.sample_aspect_ratio == (Fraction(3, 4) if sideways else Fraction(4, 3))
    assert plain.info.sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize("rotation", [0, 90, 180])
def test_yuv_holds_the_decoded_samples_upright(tmp_path, rotation):
    clip = clips.make(tmp_path / "a.mp4", rotation=rotation)
    _, frames, _ = read(clip)
    with av.open(str(clip)) as container:
        for frame, decoded in zip(frames, container.decode(video=0), strict=True):
            for plane, stored in zip(
                yuv_frame.planes(frame.yuv), yuv_frame.planes(decoded), strict=True
            ):
                np.testing.assert_array_equal(plane, np.rot90(stored, rotation // 90))


def test_what_is_drawn_on_a_frame_does_not_show_in_later_ones(tmp_path):
    clip = clips.make(tmp_path / "a.mp4")
    _, clean, _ = read(clip)
    with VideoReader(clip) as reader:
        for frame, wanted in zip(reader, clean, strict=True):
            np.testing.assert_array_equal(frame.image, wanted.image)
            for plane in yuv_frame.planes(frame.yuv):
                plane[...] = 0


def test_other_sample_formats_become_yuv420p_of_the_same_colours(tmp_path):
    clip = clips.make(tmp_path / "a.mkv", pix_fmt="yuv444p10le")
    _, frames, _ = read(clip)
    for frame in frames:
        assert frame.yuv.format.name == "yuv420p"
        back = frame.yuv.to_ndarray(format="rgb24").astype(int)
        assert np.abs(back - frame.image).mean() < 4


def test_sound_comes_along(tmp_path):
    reader, frames, packets = read(clips.make(tmp_path / "a.mp4", sound="aac"))
    assert len(reader.sound) == 1
    assert len(frames) == 24
    assert packets >= 24 / clips.NTSC * 48000 // 1024


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_packet_that_cannot_be_decoded_is_skipped_and_counted(tmp_path, suffix):
    reader, frames, _ = read(clips.damage(clips.make(tmp_path / f"a{suffix}"), 11))
    assert (reader.skipped, len(frames)) == (1, 23)
    assert reader.stopped is None


def test_frame_that_the_decoder_patched_is_kept_and_counted(tmp_path):
    clip = clips.damage(clips.make(tmp_path / "a.avi", codec="mpeg4"), 11, start=0.5)
    reader, frames, _ = read(clip)
    assert (reader.skipped, reader.concealed, len(frames)) == (0, 1, 24)
    assert reader.stopped is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"container_options": _FASTSTART}),
        ("a.mp4", {"container_options": _FASTSTART, "sound": "aac"}),
        ("a.mkv", {}),
        ("a.mkv", {"sound": "aac"}),
        ("a.webm", {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
    ],
)
def test_truncated_file_gives_what_it_has_and_says_so(tmp_path, name, options):
    reader, frames, _ = read(clips.truncate(clips.make(tmp_path / name, **options), 16))
    assert 4 <= len(frames) <= 17
    assert "the stream ends" in reader.stopped


def test_frame_size_that_changes_ends_the_stream(tmp_path):
    small = clips.make(tmp_path / "small.ts", frames=8)
    large = clips.make(tmp_path / "large.ts", frames=8, size=(128, 64))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    reader, frames, _ = read(joined)
    assert len(frames) == 8
    assert reader.stopped == "the frames change from 96x64 to 128x64 pixels"


@pytest.mark.parametrize(
    "span", [Span(0.0, 0.2), Span(0.3, 0.5)], ids=["end stored above", "start stored below"]
)
def test_start_and_end_are_the_times_that_were_typed(tmp_path, span):
    clip = clips.make(tmp_path / "a.mp4", rate=Fraction(30))
    with VideoReader(clip, span=span) as reader:
        assert reader.info.frames == 6
        assert sum(isinstance(item, Frame) for item in reader) == 6


def test_clock_of_a_broadcast_starts_at_zero(tmp_path):
    late = [90_000 * 3600 + 3003 * index for index in range(24)]
    clip = clips.make(tmp_path / "a.ts", pts=late, time_base=Fraction(1, 90_000))
    _, frames, _ = read(clip)
    assert frames[0].pts == 0
    assert frames[-1].pts == 23 * 3003


def sound_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def no_index(path):
    clips.truncate(clips.make(path), 16)


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("none.mp4", lambda path: None, "no such video"),
        ("empty.mp4", lambda path: path.touch(), "is empty (0 bytes)"),
        ("noise.mp4", lambda path: path.write_bytes(b"\1\2\3" * 999), "is not a video"),
        ("notes.txt", lambda path: path.write_text("hello " * 99), "has no video stream"),
        ("sound.mp4", sound_only, "has no video stream (found audio)"),
        ("no_index.mp4", no_index, "has lost its index"),
        ("folder.mp4", lambda path: path.mkdir(), "holds no pictures"),
        (
            "still.png",
            lambda path: av.VideoFrame.from_ndarray(clips.picture(0, (96, 64)), "rgb24").save(path),
            "is a picture",
        ),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path, name, make, says):
    make(tmp_path / name)
    with pytest.raises(UserError) as caught:
        VideoReader(tmp_path / name)
    line = str(caught.value)
    assert line.startswith(str(tmp_path / name))
    assert says in line
    assert "\n" not in line


def test_video_without_one_good_frame_is_refused(tmp_path):
    clip = clips.damage(clips.make(tmp_path / "a.mp4", frames=1), 0)
    with pytest.raises(UserError, match="not one of its frames can be decoded"):
        VideoReader(clip)
