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
    versions={
        "python": "3.11.2",
        "numpy": "2.4.6",
        "datumaro": "missing",
        "opencv-python-headless": "4.13.0",
        "faster-coco-eval": "1.7.0",
    },
    object_detection_api=ObjectDetectionApi(True, (), ""),
    native_operations_problem="",
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
        "avx2; without amx_int8",
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
        {"native_operations_problem": "no module named _native"},
        {"h264_encoder": None},
        {"versions": {**_FOUND.versions, "faster-coco-eval": "missing"}},
        {"versions": {**_FOUND.versions, "opencv-python-headless": "missing"}},
    ],
    ids=["door", "native operations", "encoder", "COCO metrics", "pictures"],
)
def test_what_the_main_job_needs_makes_it_unhealthy(broken):
    found = dataclasses.replace(_FOUND, **broken)
    assert not found.healthy
    assert "cannot work here" in _screen(found)


def test_what_looks_like_markup_is_shown_as_it_is():
    text = "[/usr/lib/x] [red]"
    found = dataclasses.replace(
        _FOUND,
        machine=dataclasses.replace(
            _FOUND.machine,
            system=f"1{text}",
            cpu=dataclasses.replace(_FOUND.machine.cpu, model=f"2{text}"),
            gpus=(dataclasses.replace(_GPU, name=f"3{text}", memory_gb=None),),
        ),
        versions={**_FOUND.versions, "numpy": f"4{text}"},
        object_detection_api=ObjectDetectionApi(False, (), f"5{text}"),
        native_operations_problem=f"6{text}",
        tools=(Tool("a", "b", f"7{text}", "c"), Tool("d", "e", None, f"8{text}")),
    )
    screen = " ".join(_screen(found).split())
    for number in range(1, 9):
        assert f"{number}{text}" in screen
    assert "memory unknown" in screen


def test_json_holds_everything():
    read = json.loads(report.as_json(_FOUND))
    assert read["healthy"] is True
    assert read["machine"]["cpu"]["features"] == {"avx2": True, "amx_int8": False}
    assert read["tools"][0]["found"] is None
