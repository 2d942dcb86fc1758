import av
import pytest

from roadmark.errors import UserError
from roadmark.testing import clips
from roadmark.video import codecs
from roadmark.video.reader import Frame, VideoReader
from roadmark.video.writer import VideoWriter


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [(codec, suffix) for suffix, held in codecs.CONTAINERS.items() for codec in held],
)
def test_every_codec_in_every_container_that_is_said_to_hold_it(tmp_path, codec, suffix):
    out, heard = tmp_path / f"out{suffix}", []
    with VideoReader(clips.make(tmp_path / "a.mp4")) as reader:
        with VideoWriter(out, reader.info, (), heard.append, codec) as writer:
            for item in reader:
                if isinstance(item, Frame):
                    writer.write(item.yuv, item.pts)
        writer.verify(out)
    with av.open(str(out)) as container:
        found = container.streams.video[0].codec_context.codec.canonical_name
    assert found == codec or heard


@pytest.mark.parametrize(
    ("name", "codec", "says"),
    [
        ("a.webm", "h264", r"\.webm cannot hold h264; end the name in \.mp4, \.mov, \.mkv, \.avi"),
        ("a.mov", "vp9", r"\.mov cannot hold vp9; end the name in \.mp4, \.mkv, \.webm"),
        ("a.avi", "vp9", r"\.avi cannot hold vp9; end the name in \.mp4, \.mkv, \.webm"),
        ("a.wmv", "auto", r"cannot write videos of type \.wmv"),
    ],
)
def test_container_that_cannot_hold_the_codec_is_one_line(tmp_path, name, codec, says):
    with pytest.raises(UserError, match=says):
        codecs.check(tmp_path / name, codec)


def test_another_encoder_does_where_the_usual_one_is_missing(tmp_path, monkeypatch):
    # The first name here exists in no build of FFmpeg.
    monkeypatch.setitem(codecs.ENCODERS, "hevc", ("encoder_of_another_build", "libx264"))
    heard = []
    assert codecs.choose(tmp_path / "a.mp4", "hevc", heard.append).name == "libx264"
    assert heard == [
        "this FFmpeg has no encoder_of_another_build; the video is encoded with libx264"
    ]
