"""Writes a video whose frames are encoded on the GPU."""

import collections
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import av
from av.bitstream import BitStreamFilterContext

from roadmark.video.gpu_frame import Surface, SurfacePool
from roadmark.video.partial import Report
from roadmark.video.reader import VideoInfo
from roadmark.video.writer import VideoWriter

# About the quality of x264's crf 23: QP of P, B and I frames. No B-frames, so that packets come in
# the order of the frames.
_OPTIONS = {
    "preset": "P4",
    "tuning_info": "high_quality",
    "rc": "constqp",
    "constqp": "26,28,24",
    "gop": "250",
    "bf": "0",
}
_IDR = 3  # NV_ENC_PIC_TYPE_IDR in nvEncodeAPI.h.


@dataclasses.dataclass(frozen=True)
class Encoded:
    """An encoded frame.

    Attributes:
        data: H.264 or HEVC with start codes.
        number: What was given with the frame.
        is_key: Whether decoding can begin here.
    """

    data: bytes
    number: int
    is_key: bool


class Encoder(Protocol):
    """Encodes frames; packets come later, in the order of the frames.

    Attributes:
        codec: A name in `gpu_choice.ENCODED`.
        sample: A key frame of some picture, with the parameter sets of all others.
    """

    codec: str
    sample: bytes

    def encode(self, picture: Any, number: int) -> list[Encoded]:
        """Takes a frame and gives packets that are ready."""

    def flush(self) -> list[Encoded]:
        """The other packets."""


class NvEncoder:
    """NVENC.

    Args:
        codec: A name in `gpu_choice.ENCODED`.
        info: What the frames look like.
        surfaces: Gives one for the sample.
    """

    def __init__(self, codec: str, info: VideoInfo, surfaces: SurfacePool) -> None:
        import PyNvVideoCodec

        self.codec = codec
        self._nvc, self._info = PyNvVideoCodec, info
        self._cuda = surfaces.cuda
        self._stream = self._cuda.stream()
        session = self._begin()
        packets = [*session.Encode(surfaces.take(), self._numbered(0)), *session.EndEncode()]
        self.sample = b"".join(packet.data for packet in _encoded(packets))
        # One session at a time: drivers for cheaper cards allow only a few.
        del session
        self._session = self._begin()

    def encode(self, picture: Surface, number: int) -> list[Encoded]:
        """See `Encoder`; the surface is read until its packet has come."""
        return _encoded(self._session.Encode(picture, self._numbered(number)))

    def flush(self) -> list[Encoded]:
        """See `Encoder`."""
        return _encoded(self._session.EndEncode())

    def _begin(self) -> Any:
        return self._nvc.CreateEncoder(
            self._info.width,
            self._info.height,
            "NV12",
            False,
            gpu_id=0,
            cudacontext=self._cuda.context(),
            cudastream=int(self._stream),
            codec=self.codec,
            fps=str(max(1, round(self._info.rate))),
            **_OPTIONS,
        )

    def _numbered(self, number: int) -> Any:
        parameters = self._nvc.NV_ENC_PIC_PARAMS()
        parameters.inputTimeStamp = number
        return parameters


class GpuWriter(VideoWriter):
    """A `VideoWriter` of frames that an `Encoder` takes: container, sound and checks are PyAV's.

    Args:
        path: See `VideoWriter`; .mp4, .mov or .mkv.
        source: See `VideoWriter`; its sides are even.
        sound: See `VideoWriter`.
        report: See `VideoWriter`.
        encoder: Encodes the frames.
    """

    def __init__(
        self,
        path: Path,
        source: VideoInfo,
        sound: Sequence[av.AudioStream],
        report: Report,
        encoder: Encoder,
    ) -> None:
        self._encoder = encoder
        # Frames are held until their packets have come.
        self._held: collections.deque[tuple[int, int, Any]] = collections.deque()
        super().__init__(path, source, sound, report, encoder.codec)

    def _add_video(self, report: Report) -> av.VideoStream:
        del report
        self._filter = _tagging(self._encoder.codec, self._source)
        # A filter remembers parameter sets, so the sample has one of its own.
        sample = _tagging(self._encoder.codec, self._source)
        first = b"".join(map(bytes, sample.filter(av.Packet(self._encoder.sample))))
        # The container wants to know size, shape and parameter sets before the first packet.
        with av.open(io.BytesIO(first), format=self._encoder.codec) as template:
            stream = self._container.add_stream_from_template(
                template.streams.video[0], opaque=True
            )
        stream.time_base = self._source.time_base
        return stream

    def _encode(self, picture: Any, pts: int) -> list[av.Packet]:
        self._held.append((self.frames, pts, picture))
        return self._packets(self._encoder.encode(picture, self.frames))

    def _flush(self) -> list[av.Packet]:
        return self._packets(self._encoder.flush())

    def _packets(self, encoded: Sequence[Encoded]) -> list[av.Packet]:
        return [packet for one in encoded for packet in self._timed(one)]

    def _timed(self, encoded: Encoded) -> list[av.Packet]:
        number, pts, _ = self._held.popleft()
        if encoded.number != number:
            raise RuntimeError(f"the encoder gave frame {encoded.number}, expected {number}")
        packets = self._filter.filter(av.Packet(encoded.data))
        for packet in packets:
            packet.stream = self._stream
            packet.pts = packet.dts = pts
            packet.time_base = self._source.time_base
            packet.duration = round(1 / self._source.rate / self._source.time_base)
            packet.is_keyframe = encoded.is_key
        return packets


def _encoded(packets: Sequence[dict[str, Any]]) -> list[Encoded]:
    return [
        Encoded(bytes(one["data"]), int(one["timestamp"]), int(one["picture_type"]) == _IDR)
        for one in packets
    ]


def _tagging(codec: str, source: VideoInfo) -> BitStreamFilterContext:
    """Writes colours, rate and the shape of pixels into the parameter sets of H.264 or HEVC."""
    colour, aspect = source.colour, source.sample_aspect_ratio
    # H.264 counts fields.
    ticks = source.rate * (2 if codec == "h264" else 1)
    options = {
        "colour_primaries": colour.primaries,
        "transfer_characteristics": colour.transfer,
        "matrix_coefficients": colour.matrix,
        "video_full_range_flag": int(colour.full_range),
        "tick_rate": f"{ticks.numerator}/{ticks.denominator}",
        "sample_aspect_ratio": f"{aspect.numerator}/{aspect.denominator}",
    }
    text = ":".join(f"{name}={value}" for name, value in options.items())
    return BitStreamFilterContext(f"{codec}_metadata={text}", codec)
