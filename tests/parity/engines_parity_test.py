"""Every engine finds in an exported folder what the stock SavedModel in it finds."""

import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest

from roadmark import manifest
from roadmark.data import synthetic
from roadmark.errors import UserError
from roadmark.export import (
    agreement,
    conversion_process,
    exporter,
    half_precision,
    quantisation,
    sampled_map,
    tensorrt_build,
    tensorrt_check,
)
from roadmark.export.quantisation import Plan
from roadmark.inference.detector import Detector
from roadmark.odapi import trained_model

RUN = Path("tests/models/quickstart")
EXPORT = RUN / "export"
HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(scope="module")
def scenes():
    return [synthetic.render_scene(2, index).image for index in range(30)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "export"
    sample = sampled_map.select(f"{RUN}/records/val-*", is_asked_for=True)
    formats = ("onnx", "openvino", "tflite")
    return exporter.export(trained_model.find(RUN), folder, formats, sample=sample)


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported.folder, tmp_path / "export")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "tensorflow"])
def test_fp32(exported, scenes, engine):
    found = agreement.measure(exported.folder, scenes, engine)
    assert found.boxes >= 50
    assert found.holds, str(found)


def test_openvino_on_the_raw_saved_model(scenes):
    found = agreement.measure(EXPORT, scenes, "openvino")
    assert found.boxes >= 50
    assert found.holds, str(found)


class _OfWholeNumbers(Detector):
    """As if the network took uint8: what the resizing gives is rounded before the normalisation."""

    def preprocess(self, *arguments):
        made = super().preprocess(*arguments)
        spec = self.manifest.input
        values = made.arrays[spec.name]
        values[:] = (np.rint(values / spec.scale + spec.mean) - spec.mean) * spec.scale
        return made


def test_a_uint8_input_would_be_beyond_the_bound_of_an_export(scenes):
    exact = Detector.load(EXPORT, engine="openvino", precision="fp32")
    rounded = _OfWholeNumbers(exact.manifest, exact.engine, exact.anchors)
    found = agreement.between(exact, rounded, scenes[:8])
    assert found.score > agreement.MAX_SCORE_DIFFERENCE, str(found)


def test_export_checked_its_formats_and_says_what_they_took(exported):
    assert {name: one.holds for name, one in exported.engines.items()} == {
        "onnxruntime": True,
        "openvino": True,
        "tflite": True,
    }
    assert list(exported.sampled.found) == ["stock", "tensorflow", *exported.engines]
    assert exported.sampled.found["stock"] > 0.05
    assert exported.sampled.holds
    stamps = {one.engine: one for one in manifest.load(exported.folder).engines}
    assert stamps["onnxruntime"].path == "onnx/model.onnx"
    assert stamps["openvino"].path == "openvino/model.xml"
    peak = int(stamps["onnxruntime"].making["peak_memory_bytes"])
    assert peak == exported.conversion.peak_bytes
    assert 2**28 < peak < 14 * 2**30
    assert exported.conversion.sites["upsamplings"] == 2


def test_onnx_has_nchw_inside_a_free_batch_and_no_anchors(exported):
    graph = onnx.load(exported.folder / "onnx/model.onnx").graph
    operations = [node.op_type for node in graph.node]
    # One for the picture, and one for each of two heads on four levels.
    assert operations.count("Transpose") == 1 + 2 * 4
    assert "BatchNormalization" not in operations
    assert [one.name for one in graph.output] == ["box_encodings", "class_logits"]
    assert all(one.type.tensor_type.shape.dim[0].dim_param for one in (*graph.input, *graph.output))


@pytest.mark.parametrize(("precision", "engine"), [("fp16", "onnxruntime"), ("bf16", "openvino")])
def test_halves_for_tensorrt_stay_within_their_bounds(copy, scenes, precision, engine):
    path = copy / "onnx/model.onnx"
    half = half_precision.convert(onnx.load(path), precision)
    assert not tensorrt_check.problems(half)
    onnx.save(half, path)
    _restamp(copy, engine, path="onnx/model.onnx")
    exact = Detector.load(EXPORT, engine="openvino")
    found = agreement.between_networks(exact, Detector.load(copy, engine=engine), scenes[:8])
    score, corner = tensorrt_build.BOUNDS[precision]
    assert found.boxes >= 50
    assert 0 < found.score <= score
    assert 0 < found.corner <= corner


def test_int8_for_tensorrt_is_signed_and_loses_little(copy, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = copy / "onnx/model_int8.onnx"
    records = RUN / "records"
    plan = Plan(f"{records}/train-*", 8, f"{records}/val-*", 12, 10.0, "entropy")
    found = quantisation.quantise(copy, made, plan, "onnxruntime")
    assert found.map_before > 0.1
    assert found.drop <= plan.max_map_drop
    model = onnx.load(made)
    assert not tensorrt_check.problems(model)
    types = {one.name: one.data_type for one in model.graph.initializer}
    zeros = [node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert len(zeros) > 50
    assert {types[name] for name in zeros} == {onnx.TensorProto.INT8}


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_tensorflow_is_not_imported_for(exported, engine):
    code = f"""
import sys, numpy
from roadmark.inference.detector import Detector
detector = Detector.load({str(exported.folder)!r}, engine={engine!r})
detector.detect([numpy.zeros((90, 160, 3), numpy.uint8)])
assert "tensorflow" not in sys.modules
print(detector.engine)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == f"{engine}, fp32, on the CPU\n", ran.stderr


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_fixed_batch_takes_any_number_of_pictures(copy, scenes, engine):
    path = copy / "onnx/model.onnx"
    model = onnx.load(path)
    conversion_process.fix_batch(model, 2)
    onnx.save(conversion_process.optimise(model)[0], path)
    _restamp(copy, engine, path="onnx/model.onnx", built_for={"batch": "2"})
    detector = Detector.load(copy, engine=engine)
    assert detector.engine.batch_size == 2
    expected = Detector.load(EXPORT, engine="openvino").detect(scenes[:3])
    for found, one in zip(detector.detect(scenes[:3]), expected, strict=True):
        assert agreement.match(found, one).holds


def _restamp(folder, engine, **changes):
    """Changes what the manifest says about an engine, and lets it list the files as they are."""
    description = manifest.load(EXPORT)
    (stamp,) = [one for one in description.engines if one.engine == "openvino"]
    stamp = dataclasses.replace(stamp, engine=engine, **changes)
    manifest.write(folder, dataclasses.replace(description, engines=(stamp,)))


@pytest.mark.skipif(not HAS_BF16, reason="this processor does not compute bfloat16")
def test_bf16_is_close(scenes):
    # Eight bits of precision. Where two boxes score alike, another one of them survives, which
    # may be anywhere between them: so the bounds are on the typical picture, not the worst.
    fast, exact = (
        Detector.load(EXPORT, engine="openvino", precision=precision).detect(scenes)
        for precision in ("bf16", "fp32")
    )
    compared = [agreement.match(*pair) for pair in zip(fast, exact, strict=True)]
    boxes = sum(one.boxes for one in compared)
    assert boxes >= 50
    assert sum(one.unmatched for one in compared) <= boxes / 10
    assert statistics.median(one.score for one in compared) <= 0.02
    assert statistics.median(one.corner for one in compared) <= 1


@pytest.mark.skipif(HAS_BF16, reason="this processor computes bfloat16")
def test_bf16_is_refused_where_there_is_none():
    with pytest.raises(UserError, match="found bf16, which this processor does not compute"):
        Detector.load(EXPORT, engine="openvino", precision="bf16")


def test_auto_takes_the_fastest_and_says_so(exported):
    detector = Detector.load(exported.folder, device="cpu", threads=1)
    expected = "openvino, fp32, on the CPU: first of openvino > onnxruntime > tensorflow"
    assert detector.engine.explained() == expected


def test_auto_falls_back_and_says_why(copy, scenes):
    description = manifest.load(copy)
    (copy / "openvino/model.xml").write_text("<net")
    manifest.write(copy, description)
    detector = Detector.load(copy, device="cpu")
    said = detector.engine.explained()
    assert said.startswith("onnxruntime, fp32, on the CPU: first of openvino > onnxruntime > ")
    assert "; openvino on the CPU does not work (openvino cannot run it: " in said
    assert "\n" not in said
    assert detector.detect(scenes[:1], score_threshold=0.3)[0].boxes.size


def test_a_truncated_onnx_is_one_line(copy):
    path = copy / "onnx/model.onnx"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"model\.onnx: altered: found SHA-256"):
        Detector.load(copy)
    _restamp(copy, "onnxruntime", path="onnx/model.onnx")
    with pytest.raises(UserError, match=r"model\.onnx: onnxruntime cannot run it: .*; export the "):
        Detector.load(copy, engine="onnxruntime")


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"engine": "openvino", "device": "gpu"}, "--device: found gpu, which openvino has not"),
        (
            {"engine": "tensorflow", "precision": "bf16"},
            "--precision: found bf16, which tensorflow has not",
        ),
        (
            {"engine": "onnxruntime"},
            "--engine: found onnxruntime in fp32, the export holds tensorflow fp32, openvino fp32; "
            "export again with --format=onnx",
        ),
        ({"engine": "tensorrt"}, "--engine: found tensorrt, but this (machine|release) has no"),
    ],
    ids=["device", "precision", "format", "tensorrt"],
)
def test_what_an_engine_has_not_is_refused(choice, says):
    with pytest.raises(UserError, match=says):
        Detector.load(EXPORT, **choice)


def test_onnxruntime_without_cuda_refuses_a_gpu(exported):
    with pytest.raises(UserError, match="--device: found gpu, which the installed onnxruntime"):
        Detector.load(exported.folder, engine="onnxruntime", device="gpu")
