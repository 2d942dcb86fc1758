"""Runs the linters over the whole tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path("WORKSPACE").resolve().parent
# What commands write, at the top of the tree.
_NOT_SOURCES = {_ROOT / "data", _ROOT / "node_modules", _ROOT / "runs"}

# Those that ask for rules_python and rules_cc (Bazel 4 to 7 have the rules built in), and those
# that ask for docstrings and names where there is nothing to say.
_BUILDIFIER_WARNINGS = (
    "-native-cc-binary,-native-cc-common,-native-cc-info,-native-cc-library,-native-cc-test,"
    "-native-py,-native-sh-binary,-module-docstring,-function-docstring,-unnamed-macro"
)


def _run(what, *command):
    result = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"found by {what}:\n{result.stdout}{result.stderr}"


def _files(*endings):
    """Paths of the tree's own files whose names end so, relative to its root."""
    found = []
    for folder, children, files in os.walk(_ROOT):
        children[:] = [
            child
            for child in children
            if Path(folder, child) not in _NOT_SOURCES and not child.startswith((".", "bazel-"))
        ]
        found += [
            os.path.relpath(os.path.join(folder, name), _ROOT)
            for name in files
            if name.endswith(endings)
        ]
    return found


def _buildifier():
    from_npm = sorted(_ROOT.glob("node_modules/@bazel/buildifier/buildifier-linux_amd64"))
    return shutil.which("buildifier") or next(map(str, from_npm), None)


def test_ruff_check():
    _run("ruff check", sys.executable, "-m", "ruff", "check", "--no-cache", "--quiet")


def test_ruff_format():
    _run("ruff format", sys.executable, "-m", "ruff", "format", "--no-cache", "--quiet", "--diff")


def test_clang_format():
    files = _files(".cc", ".cu", ".h")
    if not files:
        pytest.skip("there is no C++ here")
    # The wheel is the program; there is no module to run.
    program = str(Path(sys.executable).with_name("clang-format"))
    _run("clang-format", program, "--dry-run", "-Werror", *files)


def test_kernel_launches_are_whole():
    """A formatter may take `<<<` apart; without nvcc no compiler would notice."""
    files = _files(".cc", ".cu", ".h")
    apart = [name for name in files if re.search(r"<<\s+<|<\s+<<", (_ROOT / name).read_text())]
    assert not apart, f"expected <<<, found it with spaces in it: {apart}"


def test_buildifier():
    program = _buildifier()
    if not program:
        pytest.skip("buildifier is missing: npm install --no-save @bazel/buildifier")
    files = _files("BUILD", "WORKSPACE", ".bzl")
    assert "WORKSPACE" in files
    _run(
        "buildifier",
        program,
        "-mode=check",
        "-lint=warn",
        f"-warnings={_BUILDIFIER_WARNINGS}",
        *files,
    )
