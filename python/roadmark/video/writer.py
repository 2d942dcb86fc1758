"""Encodes a video with the times, colours, pixel shape and sound of its source, and checks it."""

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from roadmark.errors import UserError
from roadmark.video import codecs, palette, yuv_frame
from roadmark.video.codecs import Encoder
from roadmark.video.palette import Palette
from roadmark.video.partial import Report
from roadmark.video.reader import VideoInfo

# Matroska and WebM keep times in milliseconds, GIF in hundredths.
_TIME_TOLERANCE_S, _GIF_TIME_TOLERANCE_S = 0.0015, 0.0055
_MOST_GIF_RATE = 50
# FFmpeg takes Opus for MOV and refuses when it writes the header.
_NO_SOUND = {(".mov", "opus")}
# Share of a frame's duration by which the frames of a constant rate may be off: Matroska's
# milliseconds are 0.06 of it at 120 frames/s.
_OFF_BEAT = Fraction(1, 10)


class VideoWriter:
    """Encodes frames into a file; a context manager, which closes the file in any case.

    A file into which no frame could be written is removed, so is one that the disk refused.

    Attributes:
        frames: Number of frames written.

    Args:
        path: The file to write: .mp4, .mov, .mkv, .webm, .avi or .gif.
        source: What the source looks like; the result looks the same.
        sound: Audio streams of the source, to be copied.
        report: Hears when another codec than the usual one has to do, when sound cannot be kept
            and when an odd size is padded.
        codec: A name in `codecs.ENCODERS`, or `auto` for the usual one of the file type.

    Raises:
        UserError: No encoder for this file type is there, or it cannot keep the frame rate.
        OSError: The file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        source: VideoInfo,
        sound: Sequence[av.AudioStream],
        report: Report,
        codec: str = codecs.AUTO,
    ) -> None:
        self.path = path.absolute()
        self._codec = codec
        self.frames = 0
        self._source = source
        self._failed = False
        self._first_tick = self._last_tick = 0
        self._last_sound: dict[int, int] = {}
        self._palette: Palette | None = None
        self._counts_frames = False
        self._container = av.open(str(self.path), "w")
        self._stream = self._add_video(report)
        self._tracks = self._add_sound(sound, report)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, picture: av.VideoFrame, pts: int) -> None:
        """Adds a frame.

        Args:
            picture: yuv420p in the colours and of the size of the source; its samples are encoded
                as they are.
            pts: Presentation time in ticks of the source's time base; must increase.

        Raises:
            UserError: The file can only hold a constant rate, and this frame is off it.
        """
        if not self.frames:
            self._first_tick = pts
        with self._noting_failure():
            self._container.mux(self._encode(picture, pts))
        self._last_tick = pts
        self.frames += 1

    def copy_sound(self, packet: av.Packet, start: int) -> None:
        """Adds a packet of a sound track as it is.

        Args:
            packet: From one of the streams of `sound`.
            start: The tick of its stream that is second 0.
        """
        track = self._tracks.get(packet.stream.index)
        if track is None or packet.dts is None:
            return
        # A damaged source may step back in time, which no container can hold.
        if packet.dts <= self._last_sound.get(track.index, packet.dts - 1):
            return
        if packet.dts < start and self._would_move_frames(packet):
            return
        self._last_sound[track.index] = packet.dts
        packet.stream = track
        packet.pts = (packet.dts if packet.pts is None else packet.pts) - start
        packet.dts -= start
        with self._noting_failure():
            self._container.mux(packet)

    def verify(self, name: Path) -> None:
        """Opens the closed file again and compares it with what was written.

        Args:
            name: What the file will be called, for the message.

        Raises:
            UserError: Size, frame count or times differ.
        """
        size, count, first, last = _look_into(self.path)
        if size != (self._stream.width, self._stream.height) or count != self.frames:
            raise _unfaithful(
                name,
                f"{count} frames of {size[0]}x{size[1]}",
                f"{self.frames} of {self._stream.width}x{self._stream.height}",
            )
        tolerance = _TIME_TOLERANCE_S if self._palette is None else _GIF_TIME_TOLERANCE_S
        if self._counts_frames:
            tolerance = max(tolerance, float(_OFF_BEAT / self._source.rate))
        for got, tick in ((first, self._first_tick), (last, self._last_tick)):
            wanted = (tick - self._zero) * self._source.time_base
            if abs(got - wanted) > tolerance:
                raise _unfaithful(name, f"a frame at {float(got):.3f} s", f"{float(wanted):.3f} s")

    def _encode(self, picture: av.VideoFrame, pts: int) -> list[av.Packet]:
        frame = self._padded(picture)
        frame.pts, frame.time_base = pts - self._zero, self._source.time_base
        if self._counts_frames:
            frame.pts, frame.time_base = self._position(frame), 1 / self._source.rate
        if self._palette is not None:
            frame = self._palette.convert(frame)
        return self._stream.encode(frame)

    def _flush(self) -> list[av.Packet]:
        return self._stream.encode(None)

    def _would_move_frames(self, packet: av.Packet) -> bool:
        """Whether sound before second 0, which encoders begin with, would move every frame."""
        if self._counts_frames or self.path.suffix.lower() != ".mkv":
            return self._counts_frames
        # Matroska has a way to say how much that is; only MP4's AAC and MP3 do not tell it.
        is_opus = packet.stream.codec_context.codec.canonical_name == "opus"
        return "mp4" in packet.stream.container.format.name and not is_opus

    @property
    def _zero(self) -> int:
        """The tick at which the file begins: in a GIF or AVI nothing can come before a frame."""
        at_first = self._palette is not None or self._counts_frames
        return self._first_tick if at_first else 0

    def _position(self, frame: av.VideoFrame) -> int:
        frames = frame.pts * frame.time_base * self._source.rate
        if abs(frames - round(frames)) > _OFF_BEAT:
            raise UserError(
                self.path.suffix,
                f"keeps a constant rate alone, and of {float(self._source.rate):.4g} frames/s one "
                f"is at {float(frame.pts * frame.time_base):.3f} s",
                "give --out=NAME.mp4",
            )
        return round(frames)

    def _add_video(self, report: Report) -> av.VideoStream:
        encoder = codecs.choose(self.path, self._codec, report)
        source = self._source
        self._counts_frames = encoder.counts_frames
        limit = encoder.max_ticks or source.time_base.denominator
        stream = self._container.add_stream(
            encoder.name,
            rate=source.rate,
            options=encoder.options,
            time_base=(
                1 / source.rate
                if encoder.counts_frames
                else max(source.time_base, Fraction(1, limit))
            ),
        )
        stream.width, stream.height = _encoded_size(source, encoder, report)
        stream.pix_fmt = yuv_frame.FORMAT
        # PyAV asks for threads that share a frame; x264 is a quarter faster with a frame for each.
        stream.thread_type = "AUTO"
        stream.sample_aspect_ratio = source.sample_aspect_ratio
        if encoder.has_palette:
            self._palette = self._paint(stream)
        else:
            source.colour.tag(stream.codec_context)
        return stream

    def _paint(self, stream: av.VideoStream) -> Palette:
        if self._source.rate > _MOST_GIF_RATE:
            raise UserError(
                self.path.suffix,
                f"has at most {_MOST_GIF_RATE} frames/s, not {float(self._source.rate):.4g}",
                f"add --max_fps={_MOST_GIF_RATE}",
            )
        stream.pix_fmt = palette.FORMAT
        return Palette(stream.width, stream.height, self._source.time_base)

    def _add_sound(
        self, sound: Sequence[av.AudioStream], report: Report
    ) -> dict[int, av.AudioStream]:
        tracks = {}
        for stream in sound:
            track = self._track_like(stream)
            if track is not None:
                tracks[stream.index] = track
                continue
            report(
                f"the sound ({stream.codec_context.name}) does not fit into "
                f"{self.path.suffix} and is left out; --out=NAME.mkv keeps it"
            )
        return tracks

    def _track_like(self, stream: av.AudioStream) -> av.AudioStream | None:
        """A track for copies of the packets of another, or None where the container has none."""
        name = stream.codec_context.name.removeprefix("lib")
        if (self.path.suffix.lower(), name) in _NO_SOUND:
            return None
        try:
            return self._container.add_stream_from_template(stream)
        except ValueError:
            return None

    def _padded(self, picture: av.VideoFrame) -> av.VideoFrame:
        width, height = self._stream.width, self._stream.height
        if (picture.width, picture.height) == (width, height):
            return picture
        padded = av.VideoFrame(width, height, yuv_frame.FORMAT)
        yuv_frame.fill(padded, yuv_frame.planes(picture))
        self._source.colour.tag(padded)
        return padded

    def _close(self) -> None:
        # After a failed write nothing can be completed, and closing only fails again.
        if self._failed or not self.frames:
            with contextlib.suppress(Exception):
                self._container.close()
            self.path.unlink(missing_ok=True)
            return
        with self._noting_failure():
            self._container.mux(self._flush())
            self._container.close()

    @contextlib.contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError:
            self._failed = True
            raise


def check_output(path: str | Path, codec: str = codecs.AUTO) -> None:
    """Raises UserError when no video of this codec can be written to a file of this name."""
    path = Path(path)
    codecs.check(path, codec)
    if path.is_dir():
        raise UserError(path, "is a folder", "give a file name for the video")


def _encoded_size(source: VideoInfo, encoder: Encoder, report: Report) -> tuple[int, int]:
    width, height = source.width, source.height
    if encoder.takes_odd_sizes or not (width % 2 or height % 2):
        return width, height
    even = width + width % 2, height + height % 2
    report(
        f"{width}x{height} becomes {even[0]}x{even[1]}: {encoder.name} has no odd sizes, "
        "so the last row or column is repeated"
    )
    return even


def _look_into(path: Path) -> tuple[tuple[int, int], int, Fraction, Fraction]:
    """Size, number of frames, first and last time in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        count, first, last = 0, None, None
        for packet in container.demux(stream):
            # AVI has but the order: FFmpeg reads H.264 in it as if each were shown a frame later.
            tick = packet.dts if container.format.name == "avi" else packet.pts
            if tick is None:
                continue
            count += 1
            first = tick if first is None else min(first, tick)
            last = tick if last is None else max(last, tick)
        if not count:
            return (stream.width, stream.height), 0, Fraction(0), Fraction(0)
        base = stream.time_base
        return (stream.width, stream.height), count, first * base, last * base


def _unfaithful(name: Path, found: str, expected: str) -> UserError:
    return UserError(
        name,
        f"the finished file holds {found}, expected {expected}",
        "repeat the command; if this line comes again, report it with the video",
    )
