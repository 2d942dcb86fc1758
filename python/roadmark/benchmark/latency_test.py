"""A run over the quickstart's model, and what is made of it."""

import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from roadmark import manifest
from roadmark.benchmark import latency, latency_report, timing
from roadmark.benchmark.contenders import latency as contender
from roadmark.benchmark.contenders import runtimes
from roadmark.benchmark.latency_case import Case
from roadmark.benchmark.suite import Grid, Options
from roadmark.errors import UserError
from roadmark.testing import web_pages

_QUICKSTART = Path("tests/models/quickstart")
_EXPORT = _QUICKSTART / "export"


@pytest.fixture(scope="module")
def found():
    grid = Grid(
        models=(_EXPORT,),
        engines=("openvino",),
        precisions=("fp32",),
        records=str(_QUICKSTART / "records/val-*"),
        subset=8,
    )
    options = Options(timing.QUICK, (1,), (), Path("none"), Path("configs"), None, print, grid)
    with pytest.MonkeyPatch.context() as patch:
        # What a figure is worth is not tested.
        patch.setattr(latency, "_QUICK", latency._Effort(2, 2, 0.1, 8))
        return latency.run(options)


def test_both_sides_find_the_same_and_our_time_has_parts(found):
    assert not found.failures
    ours, stock = found.measured
    assert (ours.case.engine, stock.case.engine) == ("openvino", "stock SavedModel")
    assert [len(one) for one in ours.rounds] == [2, 2]
    parts = ours.parts
    assert min(parts["pre"], parts["network"], parts["post"]) > 0
    total = ours.samples[:, -1]
    assert (ours.samples[:, :-1].sum(axis=1) <= total * 1.001).all()
    assert 0 < ours.map < 1
    assert ours.facts["peak_mb"] > ours.size_mb > 0.5
    assert 0 < ours.facts["enqueue_ms"] < ours.median
    assert ours.input_size == (160, 256)
    (row,) = found.rows
    assert row.peer == "stock SavedModel"
    apart = float(row.agreement.split(" at most ")[1].split()[0])
    assert apart < 1e-4


def test_what_a_precision_costs_is_a_row_with_a_bound(found):
    exact = found.measured[0]
    half = dataclasses.replace(
        exact, case=dataclasses.replace(exact.case, precision="bf16"), map=exact.map - 0.01
    )
    row = _measuring(Grid())._lost(half, exact)
    assert row.ratio == pytest.approx(0.5)
    assert not row.meets_target


def test_the_texts_hold_all_cases(found, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(latency_report.to_json(found))
    content = latency_report.read(other)
    assert [case["engine"] for case in content["cases"]] == ["openvino", "stock SavedModel"]
    assert content["cases"][0]["scenarios"]["offline"]["pictures"] == 8
    lines = list(csv.DictReader(io.StringIO(latency_report.to_csv(found))))
    assert float(lines[0]["parts_ms.network"]) == found.measured[0].parts["network"]
    page = latency_report.to_markdown(found, "the command")
    widths = {line.count("|") for line in page.split("## All cases")[1].splitlines() if "|" in line}
    assert len(widths) == 2  # Of two whole tables.
    assert "stock SavedModel fp32" in page
    text = latency_report.to_html(found, "the command")
    assert not web_pages.complaints(text, tmp_path)
    assert text.count("<circle") >= 1
    assert "stock SavedModel" in text


def test_two_runs_are_compared_by_their_rounds(found):
    ours = found.measured[0]
    other = json.loads(latency_report.to_json(found))
    same, _ = latency_report.compare(found, other)
    assert same.endswith("no difference above noise")
    slow = [2.5 * max(ours.round_medians)] * 2
    other["cases"][0] |= {"round_medians_ms": slow, "median_ms": slow[0]}
    other["cases"].pop()
    other["machine"]["cores"] = 999
    differs, alone, machine = latency_report.compare(found, other)
    assert "times faster" in differs
    assert alone.endswith("not in the other run")
    assert machine.startswith("differs: cores here")
    assert machine.endswith("there 999")


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "found no JSON"), ('{"rows": []}', "found no cases of a latency run")],
)
def test_a_file_of_something_else_is_refused(text, problem, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=problem):
        latency_report.read(path)


def test_an_engine_that_the_export_lacks_is_refused():
    description = manifest.load(_EXPORT)
    with pytest.raises(UserError, match="--engines: found none of those asked for; here are"):
        latency.choices(description, Grid(engines=("onnxruntime",)))
    assert ("tensorflow", "fp32") in latency.choices(description, Grid())
    assert latency.choices(description, Grid(engines=("openvino",), precisions=("fp32",))) == [
        ("openvino", "fp32")
    ]


def test_a_foreign_engine_is_measured_only_when_it_is_trusted(tmp_path):
    folder = Path(shutil.copytree(_EXPORT, tmp_path / "export"))
    (folder / "tensorrt").mkdir()
    (folder / "tensorrt/model_fp16.engine").write_bytes(b"built by trtexec")
    refused = r"model_fp16.engine: found a file that the manifest does not list; .* with --trust"
    with pytest.raises(UserError, match=refused):
        next(_measuring(Grid(models=(folder,))).models())
    measuring = _measuring(Grid(models=(folder,), trust=True))
    model = next(measuring.models())
    assert "tensorrt/model_fp16.engine" in {one.path for one in model.description.engines}
    # The process of a case reads the folder again.
    terms = measuring._case_options(model, Case(model.name, "openvino", "fp32", 1))
    picture = {"picture": np.zeros((90, 160, 3), np.uint8)}
    contender.detecting(picture, terms, 1)
    with pytest.raises(UserError, match=refused):
        contender.detecting(picture, terms | {"trust": False}, 1)


def _measuring(grid):
    options = Options(timing.QUICK, (1,), (), Path("none"), Path("configs"), None, print, grid)
    return latency._Suite(options, Path("none"))


def test_runtimes_run_as_their_documentation_shows(tmp_path):
    spec = manifest.load(_EXPORT).input
    shape = (1, spec.height, spec.width, 3)
    value = helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Neg", [spec.name], ["y"])], "g", [value], [out])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "m.onnx")
    options = {
        "model": str(_EXPORT),
        "trust": False,
        "file": str(tmp_path / "m.onnx"),
        "calls": 3,
        "limit_s": 5,
    }
    for runtime in (runtimes.onnxruntime, runtimes.openvino):
        call, read = runtime({}, options, 1)
        samples = read(call())["samples"]
        assert samples.shape == (3, 6)
        assert np.all(samples[:, -1] > 0)


def test_what_is_promised_hangs_on_the_processor(monkeypatch):
    promise = latency._PROMISES["effdet_d1"]
    here = latency.machine.look()
    for has_amx, factor in ((True, 3.0), (False, 1.8)):
        features = here.cpu.features | {"amx_bf16": has_amx}
        there = dataclasses.replace(here, cpu=dataclasses.replace(here.cpu, features=features))
        monkeypatch.setattr(latency.machine, "look", lambda there=there: there)
        assert latency._faster(promise) == factor


def test_the_median_of_trtexec_is_found():
    said = (
        "[I] Enqueue Time: min = 0.01 ms, max = 0.2 ms, mean = 0.02 ms, median = 0.015 ms\n"
        "[I] GPU Compute Time: min = 1.2 ms, max = 2 ms, mean = 1.4 ms, median = 1.31 ms, perc"
    )
    assert runtimes.gpu_compute_ms(said) == 1.31
    with pytest.raises(RuntimeError, match="trtexec: &&&& FAILED"):
        runtimes.gpu_compute_ms("&&&& FAILED")
