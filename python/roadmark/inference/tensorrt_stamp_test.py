"""What is said about engines and machines that do not fit, without TensorRT and without a GPU."""

import ast
import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from roadmark.errors import UserError
from roadmark.inference import (
    engine,
    engine_nms,
    tensorrt_engine,
    tensorrt_process,
    tensorrt_stamp,
)
from roadmark.inference.tensorrt_stamp import Here
from roadmark.manifest import TRUSTED, EngineStamp

_HERE = Here("10.16.1.11", "NVIDIA H200", "9.0")
_MODEL = SimpleNamespace(weights_sha256="aa", config_sha256="bb", engines=())
_BUILT = dataclasses.asdict(_HERE) | {
    "batch_min": "1",
    "batch_max": "8",
    "weights_sha256": "aa",
    "config_sha256": "bb",
}


def _stamp(**changes):
    return EngineStamp("tensorrt", "tensorrt/model_fp16.engine", "fp16", _BUILT | changes)


@pytest.mark.parametrize(
    ("stamp", "flags"),
    [
        (_stamp(), "--max_batch=8"),
        (_stamp(batch="4"), ""),
        (
            _stamp(nms="EfficientNMS_TRT", hardware_compatible="yes", version_compatible="no"),
            "--max_batch=8 --portable=hardware --nms_in_engine",
        ),
        (_stamp(version_compatible="yes"), "--max_batch=8 --portable=version"),
    ],
)
def test_the_command_that_rebuilds_has_all_that_was_asked_for(stamp, flags):
    start = "bazel run //python:export -- --engines_of=runs/a --format=tensorrt --precision=fp16"
    assert tensorrt_stamp.rebuild_command("runs/a", stamp) == f"{start} {flags}".rstrip()


_VERSION = {"version_compatible": "yes"}
_HARDWARE = {"hardware_compatible": "yes"}


@pytest.mark.parametrize(
    ("stamp", "says"),
    [
        (_stamp(), []),
        (_stamp(tensorrt="10.4.0"), ["built by TensorRT 10.4.0, here is 10.16.1.11"]),
        (_stamp(tensorrt="10.4.0", **_VERSION), []),
        (_stamp(tensorrt="11.4.0", **_VERSION), ["built by TensorRT 11.4.0, here is 10.16.1.11"]),
        (
            _stamp(gpu="Tesla T4", compute_capability="7.5"),
            ["built for Tesla T4 (compute capability 7.5), here is NVIDIA H200 (9.0)"],
        ),
        (_stamp(gpu="NVIDIA A10", compute_capability="8.6", **_HARDWARE), []),
        (_stamp(weights_sha256="cc"), ["built from another model (weights_sha256 differs)"]),
    ],
    ids=[
        "fits",
        "version",
        "later version",
        "earlier version",
        "GPU",
        "GPU from Ampere on",
        "another checkpoint",
    ],
)
def test_all_that_does_not_match_is_told(stamp, says):
    assert tensorrt_stamp.mismatches(stamp, _MODEL, _HERE) == says


def test_a_portable_engine_wants_ampere():
    here = dataclasses.replace(_HERE, gpu="Tesla T4", compute_capability="7.5")
    found = tensorrt_stamp.mismatches(_stamp(**_HARDWARE), _MODEL, here)
    assert found == ["built for Ampere or later, here is a Tesla T4"]


def test_the_error_has_everything_and_the_command_that_rebuilds():
    stamp = _stamp(tensorrt="8.6.1", gpu="Tesla T4")
    with pytest.raises(UserError) as caught:
        tensorrt_stamp.refuse_mismatch(Path("e"), stamp, _MODEL, _HERE, "the command")
    assert str(caught.value) == (
        "e: built by TensorRT 8.6.1, here is 10.16.1.11; built for Tesla T4 (compute capability "
        "9.0), here is NVIDIA H200 (9.0); build it here with: the command"
    )


@pytest.mark.parametrize(
    ("version", "precision", "flags"),
    [
        ("8.6.1", "fp32", (["EXPLICIT_BATCH"], [])),
        ("8.6.1", "fp16", (["EXPLICIT_BATCH"], ["FP16"])),
        ("10.16.1.11", "fp16", (["STRONGLY_TYPED"], [])),
        ("10.16.1.11", "bf16", (["STRONGLY_TYPED"], [])),
        ("11.4.0.106", "bf16", ([], [])),
    ],
)
def test_only_old_versions_are_told_what_the_file_says(version, precision, flags):
    assert tensorrt_process.flags_of(version, precision) == flags


def test_bf16_is_refused_where_the_builder_has_it_not():
    with pytest.raises(tensorrt_process.MistakeError, match=r"TensorRT 8\.6\.1 has no bf16"):
        tensorrt_process.flags_of("8.6.1", "bf16")


@pytest.mark.parametrize("attribute", ["plugin_creator_list", "all_creators"])
def test_a_plugin_is_looked_for_where_this_version_keeps_them(attribute):
    def trt(*names):
        creators = [SimpleNamespace(name=name) for name in names]
        registry = SimpleNamespace(**{attribute: creators})
        return SimpleNamespace(
            __version__="10.16.1.11",
            init_libnvinfer_plugins=lambda log, space: True,
            get_plugin_registry=lambda: registry,
        )

    tensorrt_process.require_plugin(trt("Proposal", engine_nms.PLUGIN), None, engine_nms.PLUGIN)
    with pytest.raises(tensorrt_process.MistakeError, match=r"10\.16\.1\.11 has no plugin Effic"):
        tensorrt_process.require_plugin(trt("Proposal"), None, engine_nms.PLUGIN)


def test_the_process_is_python_3_8():
    ast.parse(tensorrt_stamp.PROCESS.read_text(), feature_version=(3, 8))


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="this machine has TensorRT"
)
def test_no_library_is_one_line_with_a_cure():
    with pytest.raises(UserError, match=r"found no TensorRT .*--tensorrt_python") as caught:
        tensorrt_stamp.run_process(["probe"], "tensorrt", "cannot be used", None)
    assert "\n" not in str(caught.value)


def _interpreter(folder, script):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_library_that_ends_the_process_leaves_this_one_alive(tmp_path):
    python = _interpreter(tmp_path, "kill -SEGV $$")
    with pytest.raises(UserError, match="no engine can be built: the process was ended by sig"):
        tensorrt_stamp.run_process(["build"], "m.onnx", "no engine can be built", python)


# TensorRT's classes as far as a build gets that fails; its library is not to be had here.
_FAILING_LIBRARY = """
__version__ = "10.16.1.11"
class ILogger:
    class Severity:
        ERROR, INTERNAL_ERROR = range(2)
    def __init__(self): pass
class NetworkDefinitionCreationFlag: STRONGLY_TYPED = 1
class BuilderFlag: TF32 = 0
class Any:
    num_inputs = 0
    def __init__(self, *a): self.log = a[-1] if a else None
    def __getattr__(self, name): return lambda *a: Any()
class OnnxParser(Any):
    num_errors = 1
    def parse_from_file(self, path): return "unreadable" not in path
    def get_error(self, number): return self
    def desc(self): return "no importer for Magic\\nmore"
class Builder(Any):
    def create_network(self, flags): return Any()
    def build_serialized_network(self, network, config):
        self.log.log(ILogger.Severity.ERROR, "Requested amount of GPU memory (1 bytes) is too much")
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("m.onnx", r"builds no engine: Requested amount of GPU memory .*; free device memory, or"),
        ("unreadable.onnx", r"TensorRT cannot read it: no importer for Magic; leave --format=tens"),
    ],
    ids=["out of device memory", "an operator that its parser has not"],
)
def test_a_build_that_fails_is_one_line_and_leaves_no_engine(tmp_path, monkeypatch, name, says):
    library, out = tmp_path / "library", tmp_path / "out"
    library.mkdir()
    out.mkdir()
    (library / "tensorrt.py").write_text(_FAILING_LIBRARY)
    monkeypatch.syspath_prepend(str(library))
    arguments = ["build", name, str(out / "m.engine"), "--precision=fp16", "--min_batch=1"]
    arguments += ["--opt_batch=1", "--max_batch=1", f"--timing_cache={out}/cache"]
    with pytest.raises(UserError, match=says) as caught:
        tensorrt_stamp.run_process(arguments, name, "no engine can be built", None)
    assert "\n" not in str(caught.value)
    assert list(out.iterdir()) == []


def test_too_little_device_memory_for_a_loaded_engine_is_one_line():
    loaded = SimpleNamespace(create_execution_context=lambda: None)
    with pytest.raises(UserError, match="--device: found too little memory on the GPU for the"):
        tensorrt_engine.Network(None, loaded, None, 1)


def test_sizes_beyond_the_profile_of_a_loaded_engine_are_one_line():
    context = SimpleNamespace(set_input_shape=lambda name, shape: False)
    loaded = SimpleNamespace(
        num_io_tensors=1,
        create_execution_context=lambda: context,
        get_tensor_name=lambda number: "image",
        get_tensor_mode=lambda name: "input",
        get_tensor_shape=lambda name: (-1, 160, 256, 3),
    )
    trt = SimpleNamespace(TensorIOMode=SimpleNamespace(INPUT="input"))
    with pytest.raises(
        UserError, match=r"found \(99, 160, 256, 3\) for image, which the engine was"
    ):
        tensorrt_engine.Network(trt, loaded, None, 99)


class _RefusingLibrary:
    """TensorRT's classes as far as loading gets of an engine that it does not take."""

    class Logger:
        ERROR = 1

        def __init__(self, severity):
            pass

    class Runtime:
        def __init__(self, log):
            self.engine_host_code_allowed = False

        def deserialize_cuda_engine(self, content):
            assert content == b"ftrt"

    @staticmethod
    def init_libnvinfer_plugins(log, namespace):
        return True


@pytest.mark.parametrize(
    "built_for", [_BUILT, _BUILT | {"version_compatible": "yes"}, {TRUSTED: "yes"}]
)
def test_a_truncated_engine_that_is_loaded_all_the_same_is_one_line(
    tmp_path, monkeypatch, built_for
):
    monkeypatch.setitem(sys.modules, "tensorrt", _RefusingLibrary)
    path = tmp_path / "model_fp16.engine"
    path.write_bytes(b"ftrt")
    stamp = EngineStamp("tensorrt", "tensorrt/model_fp16.engine", "fp16", built_for)
    with pytest.raises(UserError) as refused:
        tensorrt_engine.deserialised(path, stamp, "the command")
    assert str(refused.value) == f"{path}: TensorRT cannot load it; build it here with: the command"


def test_8_6_builds_engines_and_runs_none(tmp_path, monkeypatch):
    here = dataclasses.replace(_HERE, tensorrt="8.6.1")
    monkeypatch.setattr(tensorrt_stamp, "probe", lambda: here)
    held = SimpleNamespace(**vars(_MODEL) | {"engines": (_stamp(tensorrt="8.6.1"),)})
    with pytest.raises(UserError, match=r"TensorRT 8\.6\.1 builds it, but does not run here; use"):
        engine.load(tmp_path, held, "tensorrt", "gpu")


def test_an_interpreter_that_is_not_there():
    with pytest.raises(UserError, match="--tensorrt_python: nowhere/python cannot be run"):
        tensorrt_stamp.run_process(["probe"], "tensorrt", "cannot be used", "nowhere/python")


def test_another_interpreter_does_not_see_our_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "ours")
    python = _interpreter(tmp_path, 'echo "{\\"seen\\": \\"$PYTHONPATH\\"}"')
    assert tensorrt_stamp.run_process(["probe"], "", "", python) == {"seen": ""}


@pytest.mark.parametrize(("batch", "fits"), [(0, False), (1, True), (8, True), (9, False)])
def test_a_batch_beyond_the_profile_is_refused(batch, fits):
    if fits:
        tensorrt_engine.require_batch(batch, _stamp())
        return
    with pytest.raises(UserError, match=f"found a batch of {batch}, the engine was built for 1 to"):
        tensorrt_engine.require_batch(batch, _stamp())


def test_the_batches_of_a_trusted_engine_are_for_tensorrt_to_know():
    stamp = EngineStamp("tensorrt", "tensorrt/model_fp16.engine", "fp16", {TRUSTED: "yes"})
    tensorrt_engine.require_batch(99, stamp)


_RAW = ("box_encodings", "class_logits")


@pytest.mark.parametrize(
    ("tensors", "is_refused"),
    [
        (("image", *_RAW), False),
        (("image", *engine_nms.OUTPUTS), False),
        (_RAW, True),
        (("image", "boxes"), True),
        (("input", *_RAW), True),
        (("image", "mask", *_RAW), True),
    ],
    ids=["raw", "with NMS inside", "no input", "other outputs", "another input", "one more"],
)
def test_a_trusted_engine_of_another_network_is_refused(tensors, is_refused):
    model = SimpleNamespace(
        input=SimpleNamespace(name="image", true_shapes_name=""),
        outputs=[SimpleNamespace(name=name) for name in _RAW],
    )
    if not is_refused:
        tensorrt_engine.refuse_another_network(Path("e"), tensors, model)
        return
    with pytest.raises(
        UserError, match=r"e: found inputs and outputs .*, expected box_encodings, "
    ):
        tensorrt_engine.refuse_another_network(Path("e"), tensors, model)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA driver")
def test_without_a_driver_nothing_is_loaded(tmp_path):
    held = SimpleNamespace(engines=(_stamp(),))
    with pytest.raises(UserError, match="found tensorrt, but this machine has no NVIDIA driver"):
        engine.load(tmp_path, held, "tensorrt")
    assert "tensorrt" not in sys.modules


def test_a_processor_is_no_place_for_it(tmp_path):
    with pytest.raises(UserError, match="--device: found cpu, which tensorrt has not"):
        engine.load(tmp_path, _MODEL, "tensorrt", "cpu")
