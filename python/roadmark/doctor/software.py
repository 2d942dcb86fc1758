"""The installation: package versions, whether the OD API opens, codecs, tools outside the lock."""

import ctypes.util
import dataclasses
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

MISSING = "missing"

_TIMEOUT_S = 120
_NUMBER = re.compile(r"\d+\.\d+")

# What people ask for first; each line names alternatives of which one is installed.
_PACKAGES = (
    ("tensorflow-cpu", "tensorflow"),
    ("tf-keras",),
    ("tf-models-research-object-detection",),
    ("tf-models-official",),
    ("numpy",),
    ("protobuf",),
    ("opencv-python-headless",),
    ("av",),
    ("datumaro",),
    ("faster-coco-eval",),
)

_OPEN_THE_DOOR = """
import json
from roadmark.odapi import door
door.open()
import tensorflow as tf
print(json.dumps([device.name for device in tf.config.list_physical_devices("GPU")]))
"""


@dataclasses.dataclass(frozen=True)
class ObjectDetectionApi:
    """Whether the OD API can be used.

    Attributes:
        opens: Whether it does.
        gpus: Names of the GPUs that TensorFlow sees.
        problem: The last line of the error, or empty.
    """

    opens: bool
    gpus: tuple[str, ...]
    problem: str


@dataclasses.dataclass(frozen=True)
class Tool:
    """Something outside the lock that one feature needs.

    Attributes:
        name: What to look for.
        feature: What works only with it.
        found: Version or path, or None.
        get_it: How to get it, in one line.
    """

    name: str
    feature: str
    found: str | None
    get_it: str


# Programs: name, feature, how to get it.
_PROGRAMS = (
    ("bazel", "building and testing", "./bazelw installs it on Debian"),
    ("g++", "native operations", "apt-get install g++"),
    ("clang++", "builds with Clang", "apt-get install clang"),
    ("nvcc", "CUDA operations", "the CUDA 12 toolkit from NVIDIA's packages for your system"),
    ("ffmpeg", "looking into videos by hand", "apt-get install ffmpeg"),
    ("chromium", "tests of HTML reports", "apt-get install chromium"),
)


# Sources and headers, where //tools/cc:system_libraries.bzl looks for them.
_SYSTEM_LIBRARIES = (
    ("GoogleTest", "C++ tests, else skipped", "/usr/src/googletest", "apt-get install googletest"),
    (
        "Google Benchmark",
        "C++ benchmarks, else skipped",
        "/usr/include/benchmark",
        "apt-get install libbenchmark-dev",
    ),
)
_BUILDIFIER_FROM_NPM = "node_modules/@bazel/buildifier/buildifier-linux_amd64"
# Packages of the system's own Python, which this one does not see.
_SYSTEM_PACKAGES = ("/usr/lib/python3*/dist-packages", "/usr/local/lib/python3*/*-packages")


def versions() -> dict[str, str]:
    """Package to version, `missing` where the lock has it and the installation does not."""
    found = {"python": platform.python_version()}
    for names in _PACKAGES:
        name, version = _first_installed(names)
        found[name] = version
    found.update(_codec_versions())
    return found


def open_object_detection_api() -> ObjectDetectionApi:
    """Opens the door in another process, which may die of a missing instruction set."""
    command = [sys.executable, "-c", _OPEN_THE_DOOR]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, env=environment
        )
    except subprocess.TimeoutExpired:
        return ObjectDetectionApi(False, (), f"no answer within {_TIMEOUT_S} s")
    if done.returncode == 0:
        return ObjectDetectionApi(True, tuple(json.loads(done.stdout.splitlines()[-1])), "")
    lines = done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"]
    return ObjectDetectionApi(False, (), lines[-1])


def native_operations_problem() -> str:
    """Why the native operations do not load, or an empty text."""
    try:
        importlib.import_module("roadmark.ops._native")
    except ImportError as error:
        return f"{error}; build them with bazel"
    return ""


def h264_encoder() -> str | None:
    """The H.264 encoder that PyAV brings, or None."""
    try:
        import av.codec
    except ImportError:
        return None
    available = av.codec.codecs_available
    return next((name for name in ("libx264", "libopenh264") if name in available), None)


def tools() -> tuple[Tool, ...]:
    """What is here of all that the lock cannot bring."""
    programs = [Tool(name, what, _program(name), how) for name, what, how in _PROGRAMS]
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    headers = Tool(
        "Python headers",
        "native operations",
        str(header.parent) if header.is_file() else None,
        "apt-get install python3-dev",
    )
    driver = Tool(
        "NVIDIA driver",
        "anything on a GPU",
        _program("nvidia-smi"),
        "install the driver that your distribution has for your GPU",
    )
    tensorrt = Tool(
        "TensorRT",
        "TensorRT engines",
        _tensorrt(),
        "pip install tensorrt-cu12, with NVIDIA's own index as --extra-index-url",
    )
    video_codec = Tool(
        "PyNvVideoCodec",
        "videos that stay on the GPU",
        _version("PyNvVideoCodec"),
        "pip install PyNvVideoCodec cuda-python",
    )
    buildifier = Tool(
        "buildifier",
        "linting BUILD files",
        _buildifier(),
        "npm install --no-save @bazel/buildifier",
    )
    libraries = [
        Tool(name, what, path if Path(path).is_dir() else None, how)
        for name, what, path, how in _SYSTEM_LIBRARIES
    ]
    return (*programs, *libraries, buildifier, headers, driver, tensorrt, video_codec)


def _buildifier() -> str | None:
    from_npm = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."), _BUILDIFIER_FROM_NPM)
    return _program("buildifier") or (str(from_npm) if from_npm.is_file() else None)


def _tensorrt() -> str | None:
    """Its version or, where only its C++ library is installed, the library's name."""
    system = [str(path) for pattern in _SYSTEM_PACKAGES for path in Path("/").glob(pattern[1:])]
    for name in ("tensorrt", "tensorrt-cu12"):
        for found in metadata.distributions(name=name, path=[*sys.path, *system]):
            return found.version
    return ctypes.util.find_library("nvinfer")


def _first_installed(names: tuple[str, ...]) -> tuple[str, str]:
    for name in names:
        version = _version(name)
        if version is not None:
            return name, version
    return names[0], MISSING


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _codec_versions() -> dict[str, str]:
    try:
        import av
    except ImportError:
        return {}
    numbers = av.library_versions
    return {"ffmpeg libavcodec": ".".join(map(str, numbers["libavcodec"]))}


def _program(name: str) -> str | None:
    """What it says of its version, its path if it says nothing, None if it is absent."""
    path = shutil.which(name)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=20, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return path
    numbered = [line for line in done.stdout.splitlines() if _NUMBER.search(line)]
    return numbered[0].strip() if done.returncode == 0 and numbered else path
