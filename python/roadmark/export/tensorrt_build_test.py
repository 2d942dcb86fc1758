"""What is refused before TensorRT is asked, on a machine that has none."""

import dataclasses
import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from roadmark import manifest
from roadmark.errors import UserError
from roadmark.export import tensorrt_build
from roadmark.export.tensorrt_build import Plan
from roadmark.inference.tensorrt_stamp import Here
from roadmark.manifest import EngineStamp

_EXPORT = Path("tests/models/quickstart/export")
_NO_DRIVER = pytest.mark.skipif(
    Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA driver"
)


def _network(operator):
    boxes = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, (1, 8, 4))
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, 1, 8))
    kept = helper.make_tensor_value_info("kept", TensorProto.INT64, ("n", 3))
    node = helper.make_node(operator, ["boxes", "scores"], ["kept"])
    return helper.make_model(helper.make_graph([node], "g", [boxes, scores], [kept]))


@pytest.fixture
def folder(tmp_path):
    """An export with an ONNX file that is not whole."""
    copy = tmp_path / "export"
    shutil.copytree(_EXPORT, copy)
    (copy / "onnx").mkdir()
    whole = _network("NonMaxSuppression").SerializeToString()
    (copy / "onnx/model.onnx").write_bytes(whole[:-20])
    description = manifest.load(_EXPORT)
    stamp = EngineStamp("onnxruntime", "onnx/model.onnx", "fp32", {})
    listed = (*description.engines, stamp)
    manifest.write(copy, dataclasses.replace(description, engines=listed))
    return copy


def test_a_truncated_file_is_refused_and_nothing_is_written(folder):
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=r"onnx/model\.onnx: is no ONNX file"):
        tensorrt_build.add(folder, Plan("fp16"))
    assert sorted(folder.rglob("*")) == before


_MISTAKE = (
    '{"mistake": ["m.onnx", "TensorRT builds no engine: out of memory", "lower --max_batch"]}'
)


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ("kill -SEGV $$", "no engine can be built: the process was ended by signal 11"),
        (f"echo '{_MISTAKE}'", "m.onnx: TensorRT builds no engine: out of memory; lower --max_b"),
    ],
    ids=["the process dies", "out of device memory"],
)
def test_a_build_that_fails_halfway_leaves_the_export_as_it_was(folder, monkeypatch, ends, says):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(helper.make_model(graph), folder / "onnx/model.onnx")
    stamp = EngineStamp("onnxruntime", "onnx/model.onnx", "fp32", {})
    manifest.write(folder, dataclasses.replace(manifest.load(_EXPORT), engines=(stamp,)))
    cache, python = folder.parent / "cache", folder.parent / "python"
    cache.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    # Its arguments: tensorrt_process.py build ONNX ENGINE ...
    python.write_text(f"#!/bin/sh\nprintf half > $4\n{ends}\n")
    python.chmod(0o755)
    here = Here("10.16.1.11", "NVIDIA H200", "9.0")
    monkeypatch.setattr(tensorrt_build.tensorrt_stamp, "probe", lambda _: here)

    def files():
        everything = sorted(folder.parent.rglob("*"))
        return {path: path.read_bytes() for path in everything if path.is_file()}

    before = files()
    with pytest.raises(UserError, match=says) as caught:
        tensorrt_build.add(folder, Plan("fp32", python=str(python)))
    assert "\n" not in str(caught.value)
    assert files() == before
    assert {path.name for path in folder.parent.iterdir()} == {"cache", "export", "python"}


def test_an_operator_that_tensorrt_lacks_is_named(tmp_path):
    onnx.save(_network("NonMaxSuppression"), tmp_path / "m.onnx")
    with pytest.raises(UserError, match=r"operator NonMaxSuppression \(1 times\) is not supported"):
        tensorrt_build.refuse_unsupported(tmp_path / "m.onnx")


def test_an_export_without_onnx_is_refused_with_what_to_do():
    with pytest.raises(UserError, match="export again with --format=onnx"):
        tensorrt_build.add(_EXPORT, Plan("fp16"))


@pytest.mark.parametrize("content", [b"an enginf", b"an eng"], ids=["altered", "truncated"])
def test_an_altered_engine_is_not_loaded(folder, content):
    (folder / "tensorrt").mkdir()
    path = folder / "tensorrt/model_fp16.engine"
    path.write_bytes(b"an engine")
    description = manifest.load(_EXPORT)
    stamp = EngineStamp("tensorrt", "tensorrt/model_fp16.engine", "fp16", {})
    manifest.write(folder, dataclasses.replace(description, engines=(stamp,)))
    manifest.load(folder)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model_fp16\.engine: altered: found SHA-256"):
        manifest.load(folder)


@pytest.mark.parametrize(
    ("formats", "precision", "says"),
    [
        (("onnx",), "fp16", "--precision: found fp16, which tensorrt alone has; add its --format"),
        (("tensorrt",), "int4", "--precision: found int4, tensorrt is built in fp32, fp16, bf16"),
        pytest.param(("tensorrt",), "fp16", "--engine: found tensorrt, but", marks=_NO_DRIVER),
    ],
    ids=["no format", "no precision of it", "no driver"],
)
def test_what_cannot_be_built_is_refused_before_anything_is_exported(formats, precision, says):
    with pytest.raises(UserError, match=f"^{says}"):
        tensorrt_build.plan(formats, precision, 8, None, ())


@pytest.mark.parametrize(
    ("formats", "portable", "says"),
    [
        (("onnx",), (), "found it without tensorrt; add its --format"),
        (("tensorrt", "triton"), (), "found it with triton, whose ensemble suppresses boxes"),
        (("tensorrt",), ("version",), "found it with --portable=version, whose engines bring no"),
    ],
    ids=["no format", "in an ensemble", "an engine with its own runtime"],
)
def test_nms_in_an_engine_that_cannot_have_it_is_refused(formats, portable, says):
    with pytest.raises(UserError, match=f"^--nms_in_engine: {says}"):
        tensorrt_build.plan(formats, "fp32", 8, None, portable, nms_in_engine=True)


def test_nothing_is_built_that_nobody_asked_for():
    assert tensorrt_build.plan(("onnx",), "fp32", 8, None, ()) is None


def test_what_was_timed_is_kept_by_version_and_gpu(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    here = Here("10.16.1.11", "NVIDIA A100-SXM4/80GB", "8.0")
    name = "10.16.1.11_NVIDIA_A100-SXM4_80GB.timing"
    assert tensorrt_build.timing_cache(here) == Path("/cache/roadmark/tensorrt", name)
