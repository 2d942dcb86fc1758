import dataclasses
import importlib.metadata
import types
from fractions import Fraction
from pathlib import Path

import pytest
from av.video.reformatter import Colorspace

from roadmark.errors import UserError
from roadmark.inference.detector import Detector
from roadmark.manifest import ONE_STAGE, TWO_STAGE
from roadmark.video import gpu_choice
from roadmark.video.colour import Colour
from roadmark.video.frame_detector import ByFunction, ByModel
from roadmark.video.options import VideoOptions
from roadmark.video.reader import Coded, VideoInfo

COLOUR = Colour(1, 1, 1, False, Colorspace.ITU709)
INFO = VideoInfo(1280, 720, Fraction(30), Fraction(1, 30), Fraction(1), COLOUR, 24)
CODED = Coded("h264", "yuv420p", 0, False, True)
OTHER_COLOUR = dataclasses.replace(COLOUR, matrix=9, conversion=Colorspace.BT2020)


def looks(engine="tensorrt", device="gpu", architecture=ONE_STAGE, shapes="", has_nms=False):
    description = types.SimpleNamespace(
        input=types.SimpleNamespace(true_shapes_name=shapes),
        postprocess=types.SimpleNamespace(architecture=architecture),
        names=lambda: {1: "car"},
    )
    network = types.SimpleNamespace(name=engine, device=device, has_nms=has_nms)
    return ByModel(Detector(description, network, None), 0)


def why_not(out="out.mp4", detector=None, options=None, is_live=False, info=INFO, **coded):
    return gpu_choice.why_not(
        Path(out),
        dataclasses.replace(CODED, **coded),
        info,
        detector or looks(),
        options or VideoOptions(),
        is_live,
    )


@pytest.mark.parametrize(
    ("case", "says"),
    [
        pytest.param({"detector": looks("tensorflow")}, "tensorflow takes", id="host engine"),
        pytest.param({"detector": looks(architecture=TWO_STAGE)}, "two stages", id="two stages"),
        pytest.param({"detector": looks(shapes="true_shapes")}, "two stages", id="true shapes"),
        pytest.param({"detector": looks(has_nms=True)}, "--nms_in_engine", id="NMS inside"),
        pytest.param({"is_live": True}, "live", id="live"),
        pytest.param({"options": VideoOptions(fps=10)}, "pictures", id="pictures"),
        pytest.param({"options": VideoOptions(crops=Path("c"))}, "--save_crops", id="crops"),
        pytest.param({"options": VideoOptions(side_by_side=1)}, "--side_by_side", id="two models"),
        pytest.param({"codec": "mpeg4"}, "mpeg4", id="codec"),
        pytest.param({"pixel_format": "yuv420p10le"}, "not 8-bit 4:2:0", id="10 bits"),
        pytest.param({"is_interlaced": True}, "interlaced", id="interlaced"),
        pytest.param({"quarter_turns": 1}, "upright", id="rotated"),
        pytest.param({"has_time": False}, "no times", id="no times"),
        pytest.param({"info": dataclasses.replace(INFO, width=853)}, "853x720", id="odd"),
        pytest.param({"info": dataclasses.replace(INFO, colour=OTHER_COLOUR)}, "BT.601", id="2020"),
        pytest.param({"out": "out.gif"}, ".gif", id="GIF"),
        pytest.param({"out": "out.webm"}, ".webm", id="WebM"),
        pytest.param({"options": VideoOptions(codec="av1")}, "av1", id="AV1"),
    ],
)
def test_what_the_gpu_cannot_do_is_named(case, says):
    assert says in why_not(**case)


@pytest.mark.parametrize("detector", [looks(device="cpu"), ByFunction(lambda images: [])])
def test_nothing_is_said_where_the_model_is_not_on_a_gpu(detector):
    assert why_not(detector=detector) == ""


@pytest.mark.parametrize(
    ("version", "says"),
    [(None, "is not installed (pip install PyNvVideoCodec"), ("2.1.0", "is 2.1.0, not 2.2")],
)
def test_a_package_that_is_missing_or_old_is_named(monkeypatch, version, says):
    def installed(name):
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)
    assert says in why_not()


def test_the_codec_is_that_of_the_file():
    assert gpu_choice.codec_of(Path("a.MP4"), "auto") == "h264"
    assert gpu_choice.codec_of(Path("a.mp4"), "hevc") == "hevc"


# As cuda-bindings 13.5 and PyNvVideoCodec 2.2.4 write them.
MESSAGES = [
    ("cudaMalloc: cudaErrorMemoryAllocation", "memory is full"),
    ("cuMemAlloc((CUdeviceptr *)&pFrame, GetOutputFrameSize()) returned error "
     "CUDA_ERROR_OUT_OF_MEMORY", "memory is full"),
    ("annotate: CUDA: out of memory", "memory is full"),
    ("cudaSetDevice: cudaErrorInsufficientDriver", "driver, or one too old"),
    ("Current Driver Version does not support this NvEncodeAPI version, please upgrade driver",
     "too old"),
    ("Failed to load NVENC library: libnvidia-encode.so.1: cannot open shared object file",
     "library is missing"),
    ("Could not dynamically load libnvcuvid.so.1. Please ensure Nvidia Graphics drivers are "
     "correctly installed!", "library is missing"),
    ("cudaSetDevice: cudaErrorNoDevice", "no NVIDIA driver"),
    ("Codec not supported on this GPU", "no NVENC or NVDEC"),
    ("m_nvenc.nvEncOpenEncodeSessionEx(&encodeSessionExParams, &hEncoder) returned error 2",
     "no NVENC or NVDEC"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "says"), MESSAGES)
def test_errors_of_the_libraries_become_one_line_with_a_cure(message, says):
    with pytest.raises(UserError) as raised, gpu_choice.explaining("drive.mp4"):
        raise RuntimeError(message)
    assert says in raised.value.problem
    assert raised.value.cure
    assert str(raised.value).startswith("drive.mp4: ")


@pytest.mark.parametrize("error", [ValueError("boxes: found ..."), OSError(28, "No space left")])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)), gpu_choice.explaining("drive.mp4"):
        raise error
