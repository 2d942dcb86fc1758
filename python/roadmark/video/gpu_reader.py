"""Reads a video whose frames are decoded on the GPU and stay there."""

import ctypes
import dataclasses
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from roadmark.inference.cuda_runtime import nv12_planes
from roadmark.video.gpu_choice import DECODED
from roadmark.video.gpu_frame import GpuFrame, Surface, SurfacePool
from roadmark.video.reader import Span, VideoReader

# NVDEC wants H.264 and HEVC as they are in a stream, with start codes.
_TO_STREAM = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A frame as NVDEC gives it, in memory of our own; see `av.VideoFrame`."""

    pts: int
    duration: int
    width: int
    height: int
    surface: Surface


class GpuReader(VideoReader):
    """A `VideoReader` that decodes by NVDEC: containers, times and sound are PyAV's as ever.

    A damaged packet from which no frame comes is counted when the video ends. NVDEC patches damaged
    frames without saying so.

    Args:
        like: The same video, whose first frame PyAV has decoded.
        source: See `VideoReader`.
        surfaces: Gives the memory of frames.
        span: See `VideoReader`.
    """

    _frame_type = GpuFrame

    def __init__(
        self, like: VideoReader, source: str | Path, surfaces: SurfacePool, span: Span
    ) -> None:
        import PyNvVideoCodec

        self._like, self._surfaces, self._nvc = like, surfaces, PyNvVideoCodec
        self._cuda = surfaces.cuda
        self._copies = self._cuda.stream()
        self._decoder = PyNvVideoCodec.CreateDecoder(
            gpuid=0,
            codec=getattr(PyNvVideoCodec.cudaVideoCodec, DECODED[like.coded.codec]),
            cudacontext=self._cuda.context(),
            cudastream=int(self._copies),
            usedevicememory=True,
        )
        self._filter: BitStreamFilterContext | None = None
        # Duration of a packet, and whether its frame is only there for others, by its time.
        self._known: dict[int, tuple[int, bool]] = {}
        self._fed = self._shown = 0
        super().__init__(source, span=span)

    def _note_format(self, frame: Decoded) -> tuple[int, int]:
        self.coded, self._colour = self._like.coded, self._like.info.colour
        self._aspect = self._like.info.sample_aspect_ratio
        return frame.width, frame.height

    def _upright(self, frame: Decoded) -> Surface:
        return frame.surface

    def _decode_packet(self, packet: av.Packet) -> list[Decoded]:
        if not packet.size:
            frames = self._decode_bytes(b"", 0)
            # Behind a start in the middle, frames that lean on what lies before it are no damage.
            if not self._span.start_s:
                self.skipped += max(0, self._fed - self._shown)
            return frames
        pts = packet.pts if packet.pts is not None else packet.dts or 0
        known = (packet.duration or 0, packet.is_discard)
        self.concealed += packet.is_corrupt
        try:
            data = b"".join(map(bytes, self._as_stream(packet)))
        except av.error.FFmpegError:
            data = b""
        if not data:  # Which would tell NVDEC that the video ends.
            self.skipped += 1
            return []
        self._known[pts] = known
        self._fed += 1
        return self._decode_bytes(data, pts)

    def _as_stream(self, packet: av.Packet) -> list[av.Packet]:
        name = _TO_STREAM.get(self._like.coded.codec)
        if name is None:
            return [packet]
        self._filter = self._filter or BitStreamFilterContext(name, self._stream)
        return self._filter.filter(packet)

    def _decode_bytes(self, data: bytes, pts: int) -> list[Decoded]:
        packet = self._nvc.PacketData()
        packet.bsl, packet.pts = len(data), pts
        packet.bsl_data = ctypes.cast(data, ctypes.c_void_p).value if data else 0
        taken = [self._taken(frame) for frame in self._decoder.Decode(packet)]
        self._cuda.synchronise(self._copies)
        return [frame for frame in taken if frame is not None]

    def _taken(self, frame: Any) -> Decoded | None:
        """Copies a frame, whose memory the decoder uses again with the next packet."""
        self._shown += 1
        pts = frame.getPTS()
        duration, is_hidden = self._known.pop(pts, (0, False))
        if is_hidden:
            return None
        planes = [plane.__cuda_array_interface__ for plane in frame.cuda()]
        height, width = planes[0]["shape"][:2]
        size = (self._like.info.width, self._like.info.height)
        surface = self._surfaces.take()
        if (width, height) == size:
            for source, target in zip(planes, nv12_planes(surface.memory), strict=True):
                origin, step = source["data"][0], source["strides"][0]
                sizes = (width, origin, step, width, target.shape[0])
                self._cuda.copy_rows(target.pointer, *sizes, self._copies)
        return Decoded(pts, duration, width, height, surface)
