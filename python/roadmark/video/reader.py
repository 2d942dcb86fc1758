"""Reads a video file: upright frames with their times, sound packets, and what is damaged."""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.format import Flags
from av.stream import Disposition

from roadmark.errors import UserError
from roadmark.ops import annotate
from roadmark.ops.preprocess import YuvPicture
from roadmark.video import picture_film, yuv_frame
from roadmark.video.clock import Clock
from roadmark.video.colour import Colour
from roadmark.video.frame_pool import FramePool

_GIF_TRAILER = b";"
# FFmpeg reads text as a film of a terminal, and a picture as a film of one frame.
_TEXT_FORMATS = {"tty"}
_FILM_FORMAT = "image2"
_PICTURE_FORMATS = ("image2", "_pipe")
_MICROSECONDS = 1_000_000
_CAMERA_FORMAT = "v4l2"
_NETWORK_TIMEOUT_S = 20.0


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video looks like when it is played.

    Attributes:
        width: In pixels, after rotation.
        height: In pixels, after rotation.
        rate: Frames per second, exact (30000/1001 for 29.97); the average where it varies.
        time_base: Seconds per tick of the frames' `pts`.
        sample_aspect_ratio: Width over height of one pixel, after rotation.
        colour: What the samples mean.
        frames: Number of frames, where the file says or implies it.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    sample_aspect_ratio: Fraction
    colour: Colour
    frames: int | None


@dataclasses.dataclass(frozen=True)
class Span:
    """Which frames of a video are read.

    Attributes:
        start_s: Seconds into the video; times count from there.
        end_s: Seconds into the video; None for its end.
        max_fps: Frames are left out so that there are at most so many a second; None for all.
    """

    start_s: float = 0.0
    end_s: float | None = None
    max_fps: float | None = None


WHOLE = Span()


@dataclasses.dataclass(frozen=True)
class Coded:
    """What the first frame is in the file.

    Attributes:
        codec: FFmpeg's name of the codec.
        pixel_format: FFmpeg's name, as it was decoded.
        quarter_turns: By how many times 90 degrees it has to be turned.
        is_interlaced: Whether it is two fields.
        has_time: Whether it says when it is shown.
    """

    codec: str
    pixel_format: str
    quarter_turns: int
    is_interlaced: bool
    has_time: bool


@dataclasses.dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        index: Position among the frames that are read and could be decoded, from 0.
        pts: Presentation time in ticks of `VideoInfo.time_base`; strictly increasing.
        time_s: Presentation time in seconds.
        yuv: yuv420p, upright, in memory of its own: to be looked at, drawn on and encoded.
        colour: What the samples mean.
    """

    index: int
    pts: int
    time_s: float
    yuv: av.VideoFrame
    colour: Colour

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.yuv.height, self.yuv.width

    @property
    def canvas(self) -> annotate.Yuv420 | annotate.Canvas:
        """What drawing changes: the samples themselves."""
        planes = yuv_frame.planes(self.yuv)
        return annotate.Yuv420(planes, self.colour.luma_weights, self.colour.full_range)

    @property
    def image(self) -> np.ndarray:
        """uint8 `[H, W, 3]` RGB of what `yuv` shows now; made anew each time."""
        return self.colour.to_rgb(self.yuv)

    @property
    def picture(self) -> np.ndarray | YuvPicture:
        """For the model: the samples themselves, or RGB where their matrix asks for that."""
        matrix = self.colour.model_matrix
        if matrix is None:
            return self.image
        return YuvPicture(yuv_frame.planes(self.yuv), matrix, self.colour.full_range)


class VideoReader:
    """Iterates over a video file; a context manager.

    Iterating yields `Frame`s, and the packets of the sound tracks where they stand between them
    (`av.Packet`, to be copied). Memory does not depend on the length of the video.

    A packet that cannot be decoded is skipped and counted. When the file ends before it should,
    the iteration ends too and `stopped` says why.

    Attributes:
        info: What the video looks like.
        coded: What its first frame is in the file.
        sound: The audio streams.
        skipped: Packets that could not be decoded, so far.
        concealed: Frames that the decoder had to patch up, so far.
        stopped: None, or in words why the stream ended early; set when the iteration has ended.

    Args:
        path: The video: a file, a URL such as rtsp://..., a camera such as /dev/video0, a folder of
            pictures, or a pattern of numbered ones such as `in/%05d.jpg`.
        pool: Where the memory of frames comes from, and goes back when they are written.
        span: Which frames to read.
        fps: Frames per second of a film that is made of pictures, 25 by default.

    Raises:
        UserError: No such file, not a video, nothing in it can be decoded, the span begins after
            its end, or `fps` is given for what has a rate of its own.
    """

    _frame_type: type[Frame] = Frame

    def __init__(
        self,
        path: str | Path,
        pool: FramePool | None = None,
        span: Span = WHOLE,
        fps: float | None = None,
    ) -> None:
        self.path = Path(path)
        self._source = str(path)
        self._pool = pool or FramePool()
        self._span = span
        self.skipped = self.concealed = 0
        self.stopped: str | None = None
        self._ends_damaged = False
        self._container = _open(self._source, fps)
        try:
            self._stream = _video_stream(self._container, self.path)
            self.sound = tuple(self._container.streams.audio)
            # Several frames at a time; by itself PyAV has threads share one.
            self._stream.thread_type = "AUTO"
            self._clock = Clock(self._stream.time_base, self._rate)
            self._seek()
            self._items = self._read()
            self.info, self._first = self._look_at_first_frame()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._container.close()

    def __iter__(self) -> Iterator[Frame | av.Packet]:
        return itertools.chain(self._first, self._items)

    @property
    def first_frame(self) -> Frame:
        """The first frame of the video, which iterating yields too."""
        return next(item for item in self._first if isinstance(item, Frame))

    def start_of(self, stream: av.stream.Stream) -> int:
        """The tick of `stream` that is second 0 of what is read.

        Broadcast formats count from an arbitrary moment, which nobody wants to wait for.
        """
        return round((self._zero + Fraction(self._span.start_s)) / stream.time_base)

    @property
    def _zero(self) -> Fraction:
        """The time, as the container counts, at which the video begins."""
        if not self._container.format.flags & Flags.ts_discont.value:
            return Fraction(0)
        return Fraction(self._container.start_time or 0, _MICROSECONDS)

    def _seek(self) -> None:
        """Goes to the key frame before the start; what lies between is decoded and left out."""
        start = self._span.start_s
        if not start:
            return
        whole = self._declared_end()
        if whole is not None and start >= whole:
            raise UserError(
                "--start",
                f"found {start:g} s, {self.path} has {float(whole):.2f} s",
                "start earlier",
            )
        try:
            offset = round((self._zero + Fraction(start)) / self._stream.time_base)
            self._container.seek(offset, stream=self._stream)
        except (av.error.FFmpegError, OSError):
            # Not every source can be searched; then everything before is decoded.
            return

    def _look_at_first_frame(self) -> tuple[VideoInfo, list[Frame | av.Packet]]:
        seen: list[Frame | av.Packet] = []
        for item in self._items:
            seen.append(item)
            if isinstance(item, Frame):
                return self._describe(item), seen
        raise UserError(
            self._source, "not one of its frames can be decoded", "get a whole copy of the file"
        )

    def _describe(self, first: Frame) -> VideoInfo:
        height, width = first.size
        return VideoInfo(
            width=width,
            height=height,
            rate=self._read_rate,
            time_base=self._clock.time_base,
            sample_aspect_ratio=self._aspect,
            colour=self._colour,
            frames=self._frame_count(),
        )

    @property
    def _rate(self) -> Fraction:
        return self._stream.average_rate or self._stream.guessed_rate or Fraction(25)

    @property
    def _read_rate(self) -> Fraction:
        limit = self._span.max_fps
        return min(self._rate, Fraction(limit).limit_denominator(1001)) if limit else self._rate

    def _frame_count(self) -> int | None:
        if self._span == WHOLE and self._stream.frames:
            return self._stream.frames
        end = self._declared_end()
        if self._span.end_s is not None:
            end = min(end or Fraction(self._span.end_s), Fraction(self._span.end_s))
        return round((end - Fraction(self._span.start_s)) * self._read_rate) if end else None

    def _read(self) -> Iterator[Frame | av.Packet]:
        start, index = self.start_of(self._stream), 0
        previous, longest, end = None, Fraction(0), Fraction(0)
        # Some videos begin a little before 0, and all of them is read unless a start is given.
        due = Fraction(0) if self._span.start_s else None
        for item in self._decode():
            if isinstance(item, av.Packet):
                if self._is_heard(item):
                    yield item
                continue
            pts = self._clock.tick(None if item.pts is None else item.pts - start)
            seconds = pts * self._clock.time_base
            if self._is_past(seconds):
                return
            if previous is not None:
                longest = max(longest, seconds - previous)
            previous = seconds
            end = seconds + (item.duration * self._stream.time_base or 1 / self._rate)
            if due is not None and seconds < due:
                continue
            due = self._next_due(seconds)
            yield self._frame_type(index, pts, float(seconds), self._upright(item), self._colour)
            index += 1
        self.stopped = self.stopped or self._missing_end(end, longest)

    def _is_past(self, seconds: Fraction) -> bool:
        end = self._span.end_s
        return end is not None and seconds + _typed(self._span.start_s) >= _typed(end)

    def _next_due(self, seconds: Fraction) -> Fraction | None:
        """When the next frame may come; half a frame early will do."""
        if not self._span.max_fps:
            return None
        step, slack = 1 / Fraction(self._span.max_fps), 1 / (2 * self._rate)
        slot = math.floor((seconds + slack) / step) + 1
        return slot * step - slack

    def _is_heard(self, packet: av.Packet) -> bool:
        """Whether a packet of sound belongs to the span."""
        if packet.pts is None or (not self._span.start_s and self._span.end_s is None):
            return True
        seconds = (packet.pts - self.start_of(packet.stream)) * packet.stream.time_base
        return seconds >= 0 and not self._is_past(seconds)

    def _upright(self, frame: av.VideoFrame) -> av.VideoFrame:
        return self._colour.to_yuv420p(frame, self._pool, _quarter_turns(frame))

    def _decode(self) -> Iterator[av.VideoFrame | av.Packet]:
        size = None
        for packet in self._packets():
            if packet.stream is not self._stream:
                yield packet
                continue
            for frame in self._decode_packet(packet):
                size = size or self._note_format(frame)
                if (frame.width, frame.height) != size:
                    self.stopped = (
                        f"the frames change from {size[0]}x{size[1]} to "
                        f"{frame.width}x{frame.height} pixels"
                    )
                    return
                yield frame

    def _note_format(self, frame: av.VideoFrame) -> tuple[int, int]:
        self._colour = Colour.of(frame)
        self.coded = Coded(
            self._stream.codec_context.codec.canonical_name,
            frame.format.name,
            _quarter_turns(frame),
            bool(frame.interlaced_frame),
            frame.pts is not None,
        )
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        self._aspect = 1 / aspect if self.coded.quarter_turns % 2 else aspect
        return frame.width, frame.height

    def _packets(self) -> Iterator[av.Packet]:
        streams = [self._stream, *self.sound]
        try:
            yield from self._container.demux(streams)
        except (av.error.FFmpegError, OSError) as error:
            self.stopped = f"reading stops with {error.strerror!r}"
            # What the decoder still holds.
            flush = av.Packet()
            flush.stream = self._stream
            yield flush

    def _decode_packet(self, packet: av.Packet) -> list[av.VideoFrame]:
        try:
            frames = self._stream.codec_context.decode(packet if packet.size else None)
        except av.error.FFmpegError:
            self.skipped += 1
            self._ends_damaged = True
            return []
        self.concealed += max(packet.is_corrupt, sum(frame.is_corrupt for frame in frames))
        if frames:
            self._ends_damaged = frames[-1].is_corrupt
        return frames

    def _missing_end(self, end: Fraction, longest: Fraction) -> str | None:
        """Says what is missing at the end of the file, if anything is."""
        declared = self._declared_end()
        # The last frame of a stream of varying rate may stay for as long as any other.
        slack = max(2 / self._rate, longest * Fraction(3, 2))
        end += Fraction(self._span.start_s)
        if declared is not None and end + slack < declared:
            return f"the stream ends at {float(end):.2f} s of {float(declared):.2f} s"
        if self._ends_damaged:
            return f"the stream ends damaged at {float(end):.2f} s"
        if self._container.format.name == "gif" and not _has_gif_trailer(self.path):
            return f"the stream ends without its end mark at {float(end):.2f} s"
        return None

    def _declared_end(self) -> Fraction | None:
        """When the video should end, in seconds, where the file says so."""
        stream = self._stream
        if stream.duration is not None:
            return ((stream.start_time or 0) + stream.duration) * stream.time_base - self._zero
        if "DURATION" in stream.metadata:
            return _seconds(stream.metadata["DURATION"])
        if len(self._container.streams) == 1 and self._container.duration is not None:
            return Fraction(self._container.duration, _MICROSECONDS)
        return None


def _open(source: str, fps: float | None) -> av.container.InputContainer:
    path = Path(source)
    if "://" not in source and picture_film.is_film(path):
        return _open_pictures(path, picture_film.RATE if fps is None else fps)
    if fps is not None:
        raise UserError("--fps", f"{path} has a rate of its own", "leave --fps out")
    if "://" in source:
        return _opened(source, source, timeout=_NETWORK_TIMEOUT_S)
    if not path.exists():
        raise UserError(path, "no such video", "check the path given to --video")
    if path.is_file() and not path.stat().st_size:
        raise UserError(path, "is empty (0 bytes)", "get a whole copy of the file")
    # Absolute, because FFmpeg takes what stands before a colon for the name of a protocol.
    kind = _CAMERA_FORMAT if path.is_char_device() else None
    return _opened(source, str(path.absolute()), format=kind)


def _open_pictures(path: Path, fps: float) -> av.container.InputContainer:
    where, options = picture_film.source(path)
    rate = picture_film.exact_rate(fps)
    options["framerate"] = f"{rate.numerator}/{rate.denominator}"
    return _opened(str(path), where, format=_FILM_FORMAT, options=options)


def _opened(name: str, where: str, **options: Any) -> av.container.InputContainer:
    try:
        return av.open(where, **options)
    except av.error.InvalidDataError:
        raise UserError(
            name, "is not a video that can be read, or has lost its index", "get a whole copy of it"
        ) from None
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            name, f"cannot be opened: {error.strerror}", "check the file or address"
        ) from None


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    name = container.format.name
    if name.endswith(_PICTURE_FORMATS) and not picture_film.is_film(path):
        raise UserError(path, "is a picture, not a video", f"give it as --images={path}")
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not films or name in _TEXT_FORMATS:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        found = "text" if name in _TEXT_FORMATS else kinds
        raise UserError(path, f"has no video stream (found {found})", "give a file with pictures")
    if films[0].codec_context is None:
        raise UserError(path, "its video codec is unknown here", "convert it to H.264 first")
    return films[0]


def _quarter_turns(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) % 4


def _has_gif_trailer(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-min(64, path.stat().st_size), 2)
        return file.read().rstrip(b"\0").endswith(_GIF_TRAILER)


def _typed(seconds: float) -> Fraction:
    """The time that was meant: the float next to 0.2 is more than six frames of thirty."""
    return Fraction(seconds).limit_denominator(_MICROSECONDS)


def _seconds(clock: str) -> Fraction | None:
    """`01:02:03.456` in seconds, or None where it is not written so."""
    with contextlib.suppress(ValueError):
        hours, minutes, seconds = clock.split(":")
        return (int(hours) * 60 + int(minutes)) * 60 + Fraction(seconds)
    return None
