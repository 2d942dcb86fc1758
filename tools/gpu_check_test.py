"""What of tools/gpu_check runs without a GPU."""

import json
import os
import sys

import pytest

from tools import gpu_check

REPORT = {
    "date": "2026-01-02",
    "device": {"name": "Some GPU (80GB)", "capability": "9.0"},
    "parts": [
        {"name": "build", "outcome": "passed", "detail": "for sm_90", "seconds": 61.2},
        {"name": "times", "outcome": "failed", "detail": "a | b\nc", "seconds": 3.0},
    ],
    "cases": [
        {"name": "one", "ok": True, "detail": ""},
        {"name": "two", "ok": False, "detail": "output 0 differs"},
    ],
    "bandwidth_gb_s": 4000.0,
    "rows": [
        {
            "operation": "nms",
            "size": "1000 boxes",
            "peer": "torchvision nms",
            "ours": 0.0123456,
            "ours_graph": 0.01,
            "theirs": 0.2,
            "ratio": 16.2,
            "floor": 0.0001,
        },
        {
            "operation": "preprocess",
            "size": "to 640",
            "peer": "",
            "ours": 0.02,
            "ours_graph": 0.01,
            "theirs": None,
            "ratio": None,
            "floor": 0.001,
        },
    ],
}


def test_report_is_written_as_json_and_as_a_page(tmp_path):
    json_path, page = gpu_check.write_report(tmp_path / "new", REPORT)
    assert json_path.name == "some_gpu_80gb.json"
    assert json.loads(json_path.read_text()) == REPORT
    lines = page.read_text().splitlines()
    assert lines[2] == "2026-01-02, `tools/gpu_check`; capability 9.0."
    assert "| times | failed | 3 | a \\| b c |" in lines
    assert "Against the CPU: 1 of 2 cases are equal in every bit." in lines
    assert "- two: output 0 differs" in lines
    assert "| nms | 1000 boxes | 0.0123 | 0.01 | torchvision nms | 0.2 | 16.2 | 0.0001 |" in lines
    assert "| preprocess | to 640 | 0.02 | 0.01 |  |  |  | 0.001 |" in lines


def test_a_report_of_a_failed_build_has_no_tables(tmp_path):
    report = REPORT | {"cases": [], "rows": [], "bandwidth_gb_s": None}
    _, page = gpu_check.write_report(tmp_path, report)
    text = page.read_text()
    assert "| operation |" not in text
    assert "Against" not in text


@pytest.mark.parametrize(
    ("code", "limit", "outcome", "detail"),
    [
        pytest.param("print('12 cases')", 60, "passed", "12 cases", id="passed"),
        pytest.param("print('bad'); exit(3)", 60, "failed", "exit code 3: bad", id="failed"),
        pytest.param("import os; os.abort()", 60, "failed", "exit code -6: ", id="crashed"),
        pytest.param(
            "import time; print('so far', flush=True); time.sleep(60)",
            6,
            "failed",
            "not done after 6 s",
            id="hangs",
        ),
        pytest.param("", 0, "skipped", "no time left", id="no time"),
    ],
)
def test_a_part_ends_in_one_of_three_ways(code, limit, outcome, detail):
    command = [sys.executable, "-c", code]
    part, _ = gpu_check.run_part("part", command, dict(os.environ), limit)
    assert (part.outcome, part.detail) == (outcome, detail)


def test_a_part_whose_program_is_missing_fails():
    part, _ = gpu_check.run_part("part", ["/no/such/program"], {}, 60)
    assert part.outcome == "failed"
    assert "/no/such/program" in part.detail


def test_a_file_cut_short_is_no_result(tmp_path):
    path = tmp_path / "cases.json"
    path.write_text('{"cases": [')
    assert gpu_check.read_json(path) == {}
    assert gpu_check.read_json(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    ("nvcc", "missing", "says"),
    [
        pytest.param(False, "", "found no nvcc in $CUDA_HOME", id="no nvcc"),
        pytest.param(True, "pybind11", "found no pybind11", id="no pybind11"),
        pytest.param(True, "torch", "found no PyTorch", id="no PyTorch"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path, monkeypatch, capsys, nvcc, missing, says):
    (tmp_path / "bin").mkdir()
    if nvcc:
        (tmp_path / "bin/nvcc").write_text("")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu_check, "USUAL_NVCC", str(tmp_path / "nvcc"))
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    if missing != "pybind11":
        monkeypatch.setattr(gpu_check, "python_includes", lambda: [])
    assert gpu_check.main(["--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"gpu_check: {says}")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_every_source_is_compiled_once():
    core, bindings, cuda = gpu_check.sources()
    names = [path.name for path in core + bindings + cuda]
    assert {"nms.cc", "bindings.cc", "nms.cu", "postprocess.cu", "device_array.cc"} <= set(names)
    assert not [name for name in names if name.endswith(("_test.cc", "_benchmark.cc"))]
    assert not set(core) & set(bindings)
