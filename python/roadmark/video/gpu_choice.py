"""Whether a video can stay on the GPU from decoding to encoding; if not, why.

NVDEC and NVENC, a GPU's decoder and encoder, are used by NVIDIA's package PyNvVideoCodec.
"""

import contextlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from roadmark.errors import UserError
from roadmark.inference.detector import Detector
from roadmark.inference.engine import TENSORRT
from roadmark.manifest import ONE_STAGE
from roadmark.ops.preprocess import BT601, BT709
from roadmark.video import codecs, yuv_frame
from roadmark.video.frame_detector import ByModel, FrameDetector
from roadmark.video.options import VideoOptions
from roadmark.video.reader import Coded, VideoInfo

# PyNvVideoCodec's names in `cudaVideoCodec`, by FFmpeg's.
DECODED = {"h264": "H264", "hevc": "HEVC", "vp9": "VP9", "av1": "AV1"}
ENCODED = ("h264", "hevc")
_CONTAINERS = (".mp4", ".mov", ".mkv")
_PIXEL_FORMATS = yuv_frame.SAME_LAYOUT | {"nv12"}
_LEAST_VERSION = (2, 2)
# Whether each applies, and what it says.
_Reasons = tuple[tuple[bool, str], ...]
INSTALL = "pip install PyNvVideoCodec cuda-python"

# What the libraries say, in lower case, and what it means. The first that is found counts.
_MEANINGS = (
    (
        ("out of memory", "out_of_memory", "erroroutofmemory", "cudaerrormemoryallocation"),
        "the GPU's memory is full",
        "end other programs there, or give --batch_size=1",
    ),
    (
        ("insufficientdriver", "driver version", "nvencodeapi version"),
        "there is no NVIDIA driver, or one too old",
        "install the newest driver of your distribution",
    ),
    (
        ("libnvidia-encode", "libnvcuvid", "nvenc library", "cuvid"),
        "the driver's NVENC or NVDEC library is missing",
        "install it; in a container set NVIDIA_DRIVER_CAPABILITIES=compute,utility,video",
    ),
    (
        ("libcuda", "nodevice", "no_device", "nvidia driver library"),
        "there is no NVIDIA driver",
        "install the driver that your distribution has for your GPU",
    ),
    (
        ("not supported on this gpu", "nvencopenencodesessionex", "getencodercaps"),
        "this GPU has no NVENC or NVDEC for such a video",
        "use --device=cpu, or another GPU",
    ),
)


def why_not(
    out: Path,
    coded: Coded,
    info: VideoInfo,
    detector: FrameDetector,
    options: VideoOptions,
    is_live: bool,
) -> str | None:
    """What keeps a video from staying on the GPU, in words; None when nothing does.

    The GPU is not asked here. An empty text means that there is nothing to tell: the model does
    not run on a GPU either.

    Args:
        out: The file to write.
        coded: What the video is.
        info: What it looks like.
        detector: Looks at it.
        options: The user's choices.
        is_live: Whether the source does not wait.
    """
    model = detector.model if isinstance(detector, ByModel) else None
    if model is None or model.engine.device != "gpu":
        return ""
    reasons = (*_of_model(model), *_of_options(options, is_live), *_of_video(coded, info))
    reasons += (*_of_output(out, options.codec), *_of_packages())
    return next((reason for applies, reason in reasons if applies), None)


def codec_of(out: Path, codec: str) -> str:
    """The name in `codecs.ENCODERS` of the codec that a file gets."""
    return codecs.CONTAINERS[out.suffix.lower()][0] if codec == codecs.AUTO else codec


def explanation(error: BaseException) -> tuple[str, str] | None:
    """What an error of the GPU's libraries means, and a cure; None for any other."""
    text = f"{type(error).__name__}: {error}".lower()
    for signs, problem, cure in _MEANINGS:
        if any(sign in text for sign in signs):
            return problem, cure
    return None


@contextlib.contextmanager
def explaining(where: str | Path) -> Iterator[None]:
    """Turns errors of the GPU's libraries that are the user's into a `UserError`."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # PyNvVideoCodec's have no base class of their own.
        meaning = explanation(error)
        if meaning is None:
            raise
        raise UserError(where, *meaning) from error


def _of_model(model: object) -> _Reasons:
    spec = model.manifest if isinstance(model, Detector) else None
    is_one_stage = spec is not None and spec.postprocess.architecture == ONE_STAGE
    return (
        (spec is None, "--classify looks at pictures in host memory"),
        (
            model.engine.name != TENSORRT,
            f"{model.engine.name} takes its inputs from host memory; --engine=tensorrt does not",
        ),
        (model.engine.has_nms, "the engine was built with --nms_in_engine"),
        (
            not is_one_stage or bool(spec.input.true_shapes_name),
            "the model has two stages or masks",
        ),
    )


def _of_options(options: VideoOptions, is_live: bool) -> _Reasons:
    return (
        (is_live, "a live source is decoded by FFmpeg"),
        (options.fps is not None, "a film of pictures is decoded by FFmpeg"),
        (options.side_by_side is not None, "--side_by_side makes wider frames"),
        (options.crops is not None, "--save_crops wants pictures in host memory"),
    )


def _of_video(coded: Coded, info: VideoInfo) -> _Reasons:
    return (
        (coded.codec not in DECODED, f"NVDEC is not used for {coded.codec}"),
        (
            coded.pixel_format not in _PIXEL_FORMATS,
            f"the video is {coded.pixel_format}, not 8-bit 4:2:0",
        ),
        (coded.is_interlaced, "the video is interlaced"),
        (bool(coded.quarter_turns), "the video has to be turned upright"),
        (not coded.has_time, "the video's packets have no times"),
        (
            bool(info.width % 2 or info.height % 2),
            f"{info.width}x{info.height} has an odd side",
        ),
        (
            info.colour.model_matrix not in (BT601, BT709),
            "its colour matrix is neither BT.601 nor BT.709",
        ),
    )


def _of_output(out: Path, codec: str) -> _Reasons:
    name = codec_of(out, codec)
    return (
        (out.suffix.lower() not in _CONTAINERS, f"{out.suffix} is written by FFmpeg"),
        (name not in ENCODED, f"{name} is encoded by FFmpeg"),
    )


def _of_packages() -> _Reasons:
    try:
        version = importlib.metadata.version("PyNvVideoCodec")
    except importlib.metadata.PackageNotFoundError:
        return ((True, f"PyNvVideoCodec is not installed ({INSTALL})"),)
    numbers = tuple(int(part) for part in version.split(".")[:2])
    least = ".".join(map(str, _LEAST_VERSION))
    return (
        (numbers < _LEAST_VERSION, f"PyNvVideoCodec is {version}, not {least} or later"),
        (not _has("cuda.bindings"), f"cuda-python is not installed ({INSTALL})"),
        (not _has("roadmark.ops._cuda"), "the CUDA operations are not built (no nvcc)"),
    )


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
