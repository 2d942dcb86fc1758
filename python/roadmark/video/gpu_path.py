"""What annotates a video on the GPU alone, where that is possible."""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import av

from roadmark.video import gpu_choice
from roadmark.video.frame_detector import ByModel, FrameDetector
from roadmark.video.options import VideoOptions
from roadmark.video.partial import Report
from roadmark.video.reader import VideoInfo, VideoReader
from roadmark.video.writer import VideoWriter

if TYPE_CHECKING:  # Else only imported where there is a GPU.
    from roadmark.video.gpu_frame import SurfacePool

Write = Callable[[Path, VideoInfo, Sequence[av.AudioStream], Report], VideoWriter]
"""Makes a writer; see `VideoWriter`."""


@dataclasses.dataclass(frozen=True)
class GpuPath:
    """The parts of a run whose frames stay on the GPU.

    Attributes:
        reader: Decodes there; to be closed.
        surfaces: Where its frames are.
        detector: Looks at them there.
        writer: Makes what encodes them there.
    """

    reader: VideoReader
    surfaces: "SurfacePool"
    detector: FrameDetector
    writer: Write


def begin(
    source: str | Path,
    reader: VideoReader,
    out: Path,
    detector: FrameDetector,
    options: VideoOptions,
    is_live: bool,
    report: Report,
) -> GpuPath | None:
    """Makes everything ready, or says in one line why frames go through host memory.

    Nothing is said when the model does not run on a GPU.

    Args:
        source: The video.
        reader: The video, as PyAV reads it.
        out: The file to write.
        detector: Looks at it.
        options: The user's choices.
        is_live: Whether the source does not wait.
        report: Hears why not.
    """
    why_not = gpu_choice.why_not(out, reader.coded, reader.info, detector, options, is_live)
    if why_not is None:
        try:
            return _begun(source, reader, out, detector, options)
        except Exception as error:  # Whatever it is: the processor can do it.
            meaning = gpu_choice.explanation(error)
            why_not = "; ".join(meaning) if meaning else str(error).strip().split("\n")[0]
    if why_not:
        report(f"the processor decodes, draws and encodes: {why_not}")
    return None


def _begun(
    source: str | Path, reader: VideoReader, out: Path, detector: ByModel, options: VideoOptions
) -> GpuPath:
    # It tells by logging, in many lines, what its exceptions tell too.
    logger = logging.getLogger("PyNvVideoCodec")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    from roadmark.video.gpu_detector import GpuDetector
    from roadmark.video.gpu_frame import SurfacePool
    from roadmark.video.gpu_reader import GpuReader
    from roadmark.video.gpu_writer import GpuWriter, NvEncoder

    info = reader.info
    surfaces = SurfacePool(info.width, info.height)
    encoder = NvEncoder(gpu_choice.codec_of(out, options.codec), info, surfaces)
    with contextlib.ExitStack() as stack:
        on_gpu = stack.enter_context(GpuReader(reader, source, surfaces, options.span))
        look = GpuDetector(detector, info, options.batch_size)
        look.warm_up([on_gpu.first_frame])
        stack.pop_all()
    return GpuPath(on_gpu, surfaces, look, functools.partial(GpuWriter, encoder=encoder))
