"""Builds and checks the CUDA operations on a machine with a GPU, and measures them.

Needs nvcc, a C++ compiler, Python 3.10 or later, PyTorch and pybind11, and for its peers
torchvision; no network and no Bazel. Each part runs on its own and within a time limit, so that one
that fails does not keep the others from running. What was found is printed and goes to a JSON and
a Markdown file that are named after the GPU.

Exit code 0: all parts passed. 1: one did not. 2: there is no GPU, or something needed is missing.
"""

import argparse
import concurrent.futures
import dataclasses
import datetime
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 450.0
USUAL_NVCC = "/usr/local/cuda/bin/nvcc"
PART_SECONDS = {
    "correctness": 150.0,
    "times": 120.0,
    "runner": 60.0,
    "tensorrt": 120.0,
    "video": 90.0,
    "memcheck": 120.0,
    "racecheck": 120.0,
}

TENSORRT_PACKAGES = ("tensorrt", "cuda", "onnx")
VIDEO_PACKAGES = ("PyNvVideoCodec", "cuda", "av", "pytest", "supervision", "trackers", "rich")

CXX_FLAGS = [
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
]
# As in tools/cc/cuda.bzl.
NVCC_FLAGS = [
    "-std=c++17",
    "-O3",
    "-fmad=false",
    "--expt-relaxed-constexpr",
    "-Xcompiler=-Wall,-Wextra,-ffp-contract=off,-fPIC,-fvisibility=hidden",
]


@dataclasses.dataclass
class Part:
    """One part of the check."""

    name: str
    outcome: str  # passed, failed or skipped
    detail: str
    seconds: float


class MissingError(Exception):
    """Something that the check cannot do without; the message is one line."""


def find_nvcc() -> str:
    """The path of CUDA's compiler; raises MissingError."""
    home = os.environ.get("CUDA_HOME")
    candidates = [f"{home}/bin/nvcc"] if home else []
    candidates += [shutil.which("nvcc") or "", USUAL_NVCC]
    for candidate in candidates:
        if candidate and Path(candidate).exists():
            return candidate
    raise MissingError(
        "found no nvcc in $CUDA_HOME, on the PATH or in /usr/local/cuda, expected CUDA's compiler"
    )


def find_gpu() -> tuple[str, str, dict]:
    """The name of the first GPU, its architecture ("90") and what else to write down."""
    try:
        import torch
    except ImportError as error:
        raise MissingError(f"found no PyTorch ({error}), expected one with CUDA") from error
    if not torch.cuda.is_available():
        raise MissingError(f"found no GPU (PyTorch {torch.__version__} sees none), expected one")
    properties = torch.cuda.get_device_properties(0)
    facts = {
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "multiprocessors": properties.multi_processor_count,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "driver": _output(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]),
    }
    return properties.name, f"{properties.major}{properties.minor}", facts


def _output(command: list[str]) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return run.stdout.strip().splitlines()[0] if run.stdout.strip() else ""


def python_includes() -> list[str]:
    """Folders of Python's and pybind11's headers; raises MissingError."""
    try:
        import pybind11
    except ImportError as error:
        raise MissingError(f"found no pybind11 ({error}), expected its headers") from error
    python = sysconfig.get_path("include")
    if not (Path(python) / "Python.h").exists():
        raise MissingError(f"found no Python.h in {python}, expected Python's headers")
    return [python, pybind11.get_include()]


def sources() -> tuple[list[Path], list[Path], list[Path]]:
    """Of both extensions: C++ of the core, C++ of the CUDA bindings, and CUDA."""
    tests = re.compile(r"_(test|benchmark|fuzz)\.cc$")
    core = sorted(
        path
        for pattern in ("*.cc", "*/*.cc")
        for path in (ROOT / "cc").glob(pattern)
        if not tests.search(path.name) and path.parent.name != "tensorflow"
    )
    return (
        core,
        sorted((ROOT / "cc/cuda/python").glob("*.cc")),
        sorted((ROOT / "cc").glob("*/*.cu")),
    )


def build(folder: Path, nvcc: str, architecture: str, jobs: int) -> None:
    """Compiles `_native.so` and `_cuda.so` into `folder`; raises RuntimeError with the output."""
    core, bindings, cuda = sources()
    includes = [f"-I{ROOT}", *(f"-I{path}" for path in python_includes())]
    target = f"-gencode=arch=compute_{architecture},code=sm_{architecture}"
    compiler = os.environ.get("CXX", "g++")

    def compile_one(kind: str, source: Path) -> Path:
        compiled = folder / ("_".join(source.relative_to(ROOT).parts) + ".o")
        if kind == "core":
            command = [compiler, *CXX_FLAGS, *includes]
        else:
            command = [nvcc, *NVCC_FLAGS, target, *includes]
        _run([*command, "-c", str(source), "-o", str(compiled)])
        return compiled

    kinds = [("core", path) for path in core] + [("cuda", path) for path in bindings + cuda]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(lambda item: compile_one(*item), kinds))
    of_core = [str(path) for path in objects[: len(core)]]
    of_cuda = [str(path) for path in objects[len(core) :]]
    # The bindings check arguments with the core's own code.
    shared = [
        path for path in of_core if Path(path).name.startswith(("cc_python_arg", "cc_python_arr"))
    ]
    _run([compiler, "-shared", "-o", str(folder / "_native.so"), *of_core, "-pthread"])
    _run([nvcc, "-shared", "-o", str(folder / "_cuda.so"), *of_cuda, *shared])


def _run(command: list[str]) -> None:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        said = (run.stdout + run.stderr).strip()[-3000:]
        raise RuntimeError(f"{' '.join(command[:1] + command[-3:])}\n{said}")


def run_part(
    name: str, command: list[str], environment: dict[str, str], limit: float
) -> tuple[Part, str]:
    """Runs one part in a process of its own; returns it and the end of what it printed."""
    start = time.monotonic()
    if limit <= 5:
        return Part(name, "skipped", "no time left", 0.0), ""
    try:
        run = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout or ""
        said = said.decode(errors="replace") if isinstance(said, bytes) else said
        return Part(name, "failed", f"not done after {limit:.0f} s", limit), said[-3000:]
    except OSError as error:
        return Part(name, "failed", str(error), time.monotonic() - start), ""
    lines = run.stdout.strip().splitlines()
    detail = lines[-1] if lines else ""
    outcome = "passed" if run.returncode == 0 else "failed"
    if run.returncode:
        detail = f"exit code {run.returncode}: {detail}"
    return Part(name, outcome, detail[:300], time.monotonic() - start), run.stdout[-3000:]


def missing(packages: Sequence[str]) -> list[str]:
    """What a part needs, and this Python has not."""
    return [name for name in packages if importlib.util.find_spec(name) is None]


def read_json(path: Path) -> dict:
    """What a part wrote; empty where it wrote nothing whole."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def write_report(out: Path, report: dict) -> tuple[Path, Path]:
    """Writes `report` as JSON and Markdown into the folder `out`; returns both paths."""
    out.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "_", report["device"]["name"].lower()).strip("_")
    json_path, markdown_path = out / f"{name}.json", out / f"{name}.md"
    json_path.write_text(json.dumps(report, indent=1) + "\n")
    markdown_path.write_text(markdown(report))
    return json_path, markdown_path


def markdown(report: dict) -> str:
    """The report as a page."""
    device = report["device"]
    facts = ", ".join(f"{key} {value}" for key, value in device.items() if key != "name")
    lines = [
        f"# CUDA operations on {device['name']}",
        "",
        f"{report['date']}, `tools/gpu_check`; {facts}.",
        "",
        "| part | outcome | seconds | |",
        "|---|---|---|---|",
    ]
    for part in report["parts"]:
        detail = part["detail"].replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {part['name']} | {part['outcome']} | {part['seconds']:.0f} | {detail} |")
    failed = [case for case in report["cases"] if not case["ok"]]
    if report["cases"]:
        lines += [
            "",
            f"Against the CPU: {len(report['cases']) - len(failed)} of {len(report['cases'])} cases"
            " are equal in every bit.",
        ]
    lines += [f"- {case['name']}: {case['detail']}" for case in failed]
    if report["rows"]:
        lines += ["", *_table(report)]
    if report.get("runner"):
        lines += ["", *_runner(report["runner"])]
    if report.get("tensorrt"):
        lines += ["", *_tensorrt(report["tensorrt"])]
    return "\n".join(lines) + "\n"


def _table(report: dict) -> list[str]:
    lines = [
        'Milliseconds, medians of interleaved rounds. "In a graph" is without the calls from '
        "Python. The floor is the bytes that must be moved at the "
        f"{report['bandwidth_gb_s']:.0f} GB/s of a copy within the device.",
        "",
        "| operation | size | ours | in a graph | peer | theirs | ratio | floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        cells = [
            row["operation"],
            row["size"],
            *(_cell(row[key]) for key in ("ours", "ours_graph")),
        ]
        cells += [row["peer"] or "", *(_cell(row[key]) for key in ("theirs", "ratio", "floor"))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _runner(found: dict) -> list[str]:
    """The whole path in a CUDA graph, over a stand-in network."""
    whole, network = found["whole_path_ms"], found["network_ms"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return [
        f"A 1280x720 picture to boxes in one CUDA graph, over a stand-in network of PyTorch "
        f"({versions}): {'; '.join(found['wrong']) or 'the same boxes as on the CPU'}. Median "
        f"{whole['median']:.3g} ms by the clock, p99 {whole['p99']:.3g}, of {whole['samples']} "
        f"frames; the network alone {network['median']:.3g}. Whole path's p99 over the network's "
        f"median: {found['p99_over_network_median']:.2f}. Two frames under way: "
        f"{found['pipelined_per_s']:.0f} frames a second.",
    ]


def _tensorrt(found: dict) -> list[str]:
    """The whole path over engines of TensorRT."""
    lines = [
        f"Likewise over engines that TensorRT {found['versions']['tensorrt']} has built of such a "
        "network, in milliseconds:",
        "",
        "| engine | | whole path, median | p99 | network, median | p99 over it |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in found["engines"].items():
        said = one.get("not built") or one.get("built") or "; ".join(one["wrong"]) or "as expected"
        whole, network = one.get("whole_path_ms", {}), one.get("network_ms", {})
        cells = [whole.get("median"), whole.get("p99"), network.get("median")]
        cells = map(_cell, [*cells, one.get("p99_over_network_median")])
        lines.append(f"| {name} | {said} | {' | '.join(cells)} |")
    return lines


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="tools/gpu_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs/results/gpu", help="folder for the two files"
    )
    parser.add_argument("--build", type=Path, help="folder to build in (default: a new one)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at once")
    parser.add_argument(
        "--build-only", metavar="ARCH", help='compile for this architecture ("90") and stop'
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Runs the check; returns the exit code."""
    options = parse_arguments(arguments)
    started = time.monotonic()
    try:
        nvcc = find_nvcc()
        python_includes()
        architecture = options.build_only
        if not architecture:
            _, architecture, device = find_gpu()
    except MissingError as error:
        print(f"gpu_check: {error}", file=sys.stderr)
        return 2
    folder = options.build or Path(tempfile.mkdtemp(prefix="gpu_check_"))
    folder.mkdir(parents=True, exist_ok=True)
    built = _build_part(folder, nvcc, architecture, options.jobs)
    print(f"{built.name}: {built.outcome} ({built.seconds:.0f} s) {built.detail}", flush=True)
    if options.build_only:
        return 0 if built.outcome == "passed" else 1
    report = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "device": device | {"nvcc": _nvcc_release(nvcc)},
        "parts": [dataclasses.asdict(built)],
        "cases": [],
        "bandwidth_gb_s": None,
        "rows": [],
    }
    if built.outcome == "passed":
        _run_parts(folder, nvcc, started, report, options.out)
    paths = write_report(options.out, report)
    return _summary(report, paths)


def _build_part(folder: Path, nvcc: str, architecture: str, jobs: int) -> Part:
    start = time.monotonic()
    try:
        build(folder, nvcc, architecture, max(1, jobs))
    except (RuntimeError, OSError) as error:
        return Part("build", "failed", str(error), time.monotonic() - start)
    return Part("build", "passed", f"for sm_{architecture}", time.monotonic() - start)


def _nvcc_release(nvcc: str) -> str:
    run = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"V([\d.]+)", run.stdout)
    return found[1] if found else ""


def _run_parts(folder: Path, nvcc: str, started: float, report: dict, out: Path) -> None:
    folders = [str(ROOT / "python"), str(ROOT), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(filter(None, folders))
    environment = dict(os.environ, PYTHONPATH=path, PYTHONUNBUFFERED="1", PYTHONSAFEPATH="1")
    # Each array in an allocation of its own, so that memcheck sees what is written behind it.
    uncached = environment | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    tools = Path(__file__).resolve().parent
    cases = [sys.executable, str(tools / "gpu_check_cases.py"), str(folder)]
    times = [sys.executable, str(tools / "gpu_check_times.py"), str(folder)]
    runner = [sys.executable, str(tools / "gpu_check_runner.py"), str(folder)]
    tensorrt = [sys.executable, str(tools / "gpu_check_tensorrt.py"), str(folder)]
    needed = {"runner": ("cuda",), "tensorrt": TENSORRT_PACKAGES, "video": VIDEO_PACKAGES}
    sanitizer = shutil.which("compute-sanitizer") or str(Path(nvcc).parent / "compute-sanitizer")
    parts = [
        ("correctness", [*cases, str(folder / "cases.json")], environment),
        ("times", [*times, str(folder / "times.json")], environment),
        ("runner", [*runner, str(folder / "runner.json")], environment),
        ("tensorrt", [*tensorrt, str(folder / "tensorrt.json")], environment),
        ("video", [sys.executable, str(tools / "gpu_check_video.py"), str(folder)], environment),
    ]
    for tool in ("memcheck", "racecheck"):
        command = [sanitizer, f"--tool={tool}", "--error-exitcode=66", *cases]
        parts.append((tool, [*command, str(folder / f"{tool}.json"), "--few"], uncached))
    for name, command, of_part in parts:
        if name in ("memcheck", "racecheck") and not Path(sanitizer).exists():
            part, said = Part(name, "skipped", "compute-sanitizer is not there", 0.0), ""
        elif missing(needed.get(name, ())):
            lacks = ", ".join(missing(needed[name]))
            part, said = Part(name, "skipped", f"no {lacks}", 0.0), ""
        else:
            left = DEADLINE_SECONDS - (time.monotonic() - started)
            part, said = run_part(name, command, of_part, min(PART_SECONDS[name], left))
        print(f"{part.name}: {part.outcome} ({part.seconds:.0f} s) {part.detail}", flush=True)
        if part.outcome == "failed":
            print(said, flush=True)
        report["parts"].append(dataclasses.asdict(part))
        if name == "correctness":
            report["cases"] = read_json(folder / "cases.json").get("cases", [])
        if name == "times":
            measured = read_json(folder / "times.json")
            report["bandwidth_gb_s"] = measured.get("bandwidth_gb_s")
            report["rows"] = measured.get("rows", [])
        if name == "runner":
            report["runner"] = read_json(folder / "runner.json")
        if name == "tensorrt":
            report["tensorrt"] = read_json(folder / "tensorrt.json")
        write_report(out, report)  # What is known so far, should the machine go away.


def _summary(report: dict, paths: tuple[Path, Path]) -> int:
    print()
    print(markdown(report))
    print(f"gpu_check: wrote {paths[0]} and {paths[1].name}")
    failed = [part["name"] for part in report["parts"] if part["outcome"] == "failed"]
    print(f"gpu_check: {'failed: ' + ', '.join(failed) if failed else 'passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
