"""cuda_smoke.sh passes only when training ended well and named a GPU."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "cuda_smoke.sh"


@pytest.mark.parametrize(
    ("output", "code", "passes", "says"),
    [
        pytest.param("training on NVIDIA H200", 0, True, "20 steps on NVIDIA H200", id="a GPU"),
        pytest.param("training on NVIDIA H200", 1, False, "", id="training that crashed"),
        pytest.param(
            "training on the CPU (TensorFlow sees no GPU)", 0, False, "sees no GPU", id="the CPU"
        ),
        pytest.param("", 0, False, "did not say what it ran on", id="no device"),
        pytest.param("training on ", 0, False, "did not say what it ran on", id="an empty one"),
    ],
)
def test_only_steps_on_a_gpu_pass(tmp_path, output, code, passes, says):
    script = tmp_path / "tools" / SCRIPT.name
    script.parent.mkdir()
    shutil.copy(SCRIPT, script)
    # Stands for the training that the script starts: what it prints and how it ends.
    bazel = tmp_path / "bazelw"
    bazel.write_text(
        f"#!/bin/sh\ncase $* in *//python:train*) echo '{output}'; exit {code};; esac\n"
    )
    bazel.chmod(0o755)
    ended = subprocess.run([str(script)], capture_output=True, text=True, check=False)
    assert (ended.returncode == 0) is passes
    assert says in ended.stdout + ended.stderr
    assert ("cuda_smoke: 20 steps" in ended.stdout) is passes
