"""What becomes of packets that are encoded elsewhere: here by x264 and x265, in NVENC's place."""

from fractions import Fraction

import av
import pytest

from roadmark.testing import clips
from roadmark.video.gpu_writer import Encoded, GpuWriter
from roadmark.video.reader import Frame, VideoReader


class ByFfmpeg:
    """An `Encoder` without B-frames that gives packets some frames later, as NVENC does."""

    def __init__(self, codec, info):
        self.codec, self._info = codec, info
        context = self._begin()
        frame = av.VideoFrame(info.width, info.height, "yuv420p")
        self.sample = b"".join(map(bytes, [*context.encode(frame), *context.encode(None)]))
        self._context = self._begin()

    def encode(self, picture, number):
        picture.pts, picture.time_base = number, Fraction(1, 30)
        return self._encoded(self._context.encode(picture))

    def flush(self):
        return self._encoded(self._context.encode(None))

    def _begin(self):
        name = {"h264": "libx264", "hevc": "libx265"}[self.codec]
        context = av.CodecContext.create(name, "w")
        context.width, context.height = self._info.width, self._info.height
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 30)
        context.options = {"bf": "0", "x265-params": "bframes=0:log-level=none"}
        return context

    def _encoded(self, packets):
        return [Encoded(bytes(one), one.pts, one.is_keyframe) for one in packets]


def copy(source, out, codec="h264"):
    with VideoReader(source) as reader:
        encoder = ByFfmpeg(codec, reader.info)
        with GpuWriter(out, reader.info, reader.sound, print, encoder) as writer:
            for item in reader:
                if isinstance(item, Frame):
                    writer.write(item.yuv, item.pts)
                else:
                    writer.copy_sound(item, reader.start_of(item.stream))
        writer.verify(out)
        return reader.info


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_times_shape_colours_and_sound_are_kept(tmp_path, suffix, codec):
    # At a varying rate, so that no time can be guessed.
    ticks = [0, 1, 2, 4, 7, 8, 9, 12]
    source = clips.make(
        tmp_path / "a.mp4",
        frames=len(ticks),
        pts=ticks,
        time_base=Fraction(1, 30),
        sound="aac",
        aspect=Fraction(4, 3),
        colour=(1, 1, 2),
    )
    out = tmp_path / f"out{suffix}"
    was = copy(source, out, codec)
    with VideoReader(out) as again:
        frames = [item for item in again if isinstance(item, Frame)]
        assert len(again.sound) == 1
    assert [round(frame.time_s * 30, 1) for frame in frames] == ticks
    assert again.coded.codec == codec
    assert again.info.sample_aspect_ratio == was.sample_aspect_ratio == Fraction(4, 3)
    assert again.info.colour == was.colour
    assert again.info.colour.full_range


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_29_97_frames_a_second_stay_that(tmp_path, suffix, codec):
    out = tmp_path / f"out{suffix}"
    copy(clips.make(tmp_path / "a.mp4"), out, codec)
    with VideoReader(out) as again:
        assert float(again.info.rate) == pytest.approx(float(clips.NTSC), abs=1e-3)
        times = [item.time_s for item in again if isinstance(item, Frame)]
    assert times == pytest.approx([index / clips.NTSC for index in range(24)], abs=1e-6)


def test_packets_out_of_order_are_refused(tmp_path):
    source = clips.make(tmp_path / "a.mp4")
    with VideoReader(source) as reader:
        encoder = ByFfmpeg("h264", reader.info)
        encoder._encoded = lambda packets: [Encoded(bytes(one), 7, True) for one in packets]
        writer = GpuWriter(tmp_path / "out.mp4", reader.info, (), print, encoder)
        with pytest.raises(RuntimeError, match="the encoder gave frame 7, expected 0"), writer:
            writer.write(reader.first_frame.yuv, 0)
