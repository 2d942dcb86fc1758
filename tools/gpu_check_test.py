"""What of tools/gpu_check runs without a GPU."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import gpu_check, gpu_check_cases

TOOLS = Path(gpu_check.__file__).resolve().parent

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


def test_a_part_says_which_of_its_packages_are_missing():
    assert gpu_check.missing(("json", "no_such_package")) == ["no_such_package"]


def test_the_page_has_the_engines_of_tensorrt():
    figures = {"median": 1.0, "p99": 1.25}
    ran = {
        "wrong": [],
        "whole_path_ms": figures,
        "network_ms": {"median": 0.5},
        "p99_over_network_median": 2.5,
    }
    engines = {"fp32": ran, "bf16": {"not built": "TensorRT 8.6.1 has no bf16"}}
    found = {"versions": {"tensorrt": "10.16.1.11"}, "engines": engines}
    *_, first, second = gpu_check._tensorrt(found)
    assert first == "| fp32 | as expected | 1 | 1.25 | 0.5 | 2.5 |"
    assert second == "| bf16 | TensorRT 8.6.1 has no bf16 |  |  |  |  |"


def test_every_source_is_compiled_once():
    core, bindings, cuda = gpu_check.sources()
    names = [path.name for path in core + bindings + cuda]
    assert {"nms.cc", "bindings.cc", "nms.cu", "postprocess.cu", "device_array.cc"} <= set(names)
    assert not [name for name in names if name.endswith(("_test.cc", "_benchmark.cc"))]
    assert not set(core) & set(bindings)


def comparisons():
    """The functions that cases name, and the keywords that they take; without PyTorch."""
    found = {}
    for node in ast.parse((TOOLS / "gpu_check_comparisons.py").read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("check_"):
            names = [argument.arg for argument in node.args.args[1:]]  # The first is a generator.
            required = names[: len(names) - len(node.args.defaults)]
            found[node.name] = (set(names), set(required), node.args.kwarg is not None)
    return found


@pytest.mark.parametrize("few", [False, True])
def test_cases_fit_their_comparisons(few):
    cases = gpu_check_cases.cases(few)
    known = comparisons()
    names = [name for name, _, _ in cases]
    assert len(set(names)) == len(names)
    for name, check, keywords in cases:
        allowed, required, takes_more = known[check]
        assert required <= set(keywords), name
        assert takes_more or set(keywords) <= allowed, name
    used = {check for _, check, _ in cases}
    assert used == set(known) - ({"check_graph", "check_no_waiting"} if few else set())


def run_cases(*arguments):
    # As gpu_check runs it: alone, and where PyTorch is not.
    return subprocess.run(
        [sys.executable, "-S", "-P", str(TOOLS / "gpu_check_cases.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(TOOLS.parent / "python")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_cases_are_listed_without_a_gpu():
    ended = run_cases("--list")
    assert ended.returncode == 0
    listed = ended.stdout.splitlines()
    assert listed == [name for name, _, _ in gpu_check_cases.cases(False)]
    fewer = run_cases("--list", "--few").stdout.splitlines()
    assert 0 < len(fewer) < len(listed)


def test_without_pytorch_the_cases_end_in_one_line(tmp_path):
    out = tmp_path / "cases.json"
    ended = run_cases(str(tmp_path), str(out), "--few")
    assert ended.returncode == 2
    assert ended.stderr.startswith("gpu_check_cases: ")
    assert "expected a GPU, PyTorch with CUDA" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not out.exists()


def test_cases_without_a_folder_are_refused():
    ended = run_cases("--few")
    assert ended.returncode == 2
    assert "expected the extensions' folder and a file to write" in ended.stderr


def test_every_program_of_the_check_is_there():
    source = (TOOLS / "gpu_check.py").read_text()
    programs = ("cases", "times", "runner", "tensorrt", "video")
    for name in (f"gpu_check_{program}.py" for program in programs):
        assert f'"{name}"' in source
        assert (TOOLS / name).exists()
