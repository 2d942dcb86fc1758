import dataclasses
import io
import json

import pytest
from rich.console import Console

from roadmark.doctor import report
from roadmark.doctor.machine import Cpu, Gpu, Machine
from roadmark.doctor.software import ObjectDetectionApi, Tool

_FOUND = report.Report(
    machine=Machine(
        "Debian 12",
        Cpu("Some Processor", 2, {"avx2": True, "amx_int8": False}),
        16.0,
        8.0,
        50.0,
        (),
    ),
    versions={"python": "3.11.2", "numpy": "2.4.6", "datumaro": "missing"},
    object_detection_api=ObjectDetectionApi(True, (), ""),
    h264_encoder="libx264",
    tools=(
        Tool("nvcc", "CUDA operations", None, "install the toolkit"),
        Tool("g++", "native operations", "g++ 12.2.0", "apt-get install g++"),
    ),
)
_GPU = Gpu("NVIDIA L4", 24.0, "550.54", "8.9")


def _screen(found: report.Report) -> str:
    printed = io.StringIO()
    report.show(found, Console(file=printed, width=100))
    return printed.getvalue()


def test_the_screen_says_what_is_here_and_how_to_get_the_rest():
    screen = _screen(_FOUND)
    for expected in (
        "Some Processor, 2 cores",
        "avx2",
        "numpy 2.4.6",
        "datumaro missing",
        "none found; everything runs on the processor",
        "opens on this TensorFlow",
        "install the toolkit",
        "g++ 12.2.0",
        "can work here",
    ):
        assert expected in screen
    assert "apt-get install g++" not in screen
    assert len(screen.splitlines()) < 40


@pytest.mark.parametrize(
    ("seen", "expected"),
    [((), "TensorFlow sees none"), (("GPU:0",), "TensorFlow sees 1")],
    ids=["driver without CUDA TensorFlow", "both"],
)
def test_gpus_are_shown_with_what_tensorflow_sees(seen, expected):
    found = dataclasses.replace(
        _FOUND,
        machine=dataclasses.replace(_FOUND.machine, gpus=(_GPU,)),
        object_detection_api=ObjectDetectionApi(True, seen, ""),
    )
    screen = " ".join(_screen(found).split())
    assert "NVIDIA L4, 24 GB" in screen
    assert expected in screen


@pytest.mark.parametrize(
    "broken",
    [
        {"object_detection_api": ObjectDetectionApi(False, (), "ImportError: nothing")},
        {"h264_encoder": None},
    ],
    ids=["door", "encoder"],
)
def test_what_the_main_job_needs_makes_it_unhealthy(broken):
    found = dataclasses.replace(_FOUND, **broken)
    assert not found.healthy
    assert "cannot work here" in _screen(found)


def test_json_holds_everything():
    read = json.loads(report.as_json(_FOUND))
    assert read["healthy"] is True
    assert read["machine"]["cpu"]["features"] == {"avx2": True, "amx_int8": False}
    assert read["tools"][0]["found"] is None
