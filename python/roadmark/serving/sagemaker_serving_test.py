"""An endpoint's container, run for real on a folder laid out as SageMaker lays it out."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from roadmark.data import synthetic
from roadmark.serving import pictures, sagemaker_serving

_EXPORT = Path("tests/models/quickstart/export").resolve()
_APP = Path(__file__).resolve().parents[2] / "sagemaker.py"
_PATIENCE_S = 120


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_it_answers_pings_and_invocations_and_drains(tmp_path):
    shutil.copytree(_EXPORT, tmp_path / "model" / "export")
    port = str(_free_port())
    process = subprocess.Popen(
        [sys.executable, "-P", str(_APP), "serve", f"--root={tmp_path}"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), sagemaker_serving.PORT: port},
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            assert _ping(client, process) == 200
            picture = pictures.encode(synthetic.render_scene(7, 0).image, pictures.JPEG)
            answer = client.post(
                "/invocations", content=picture, headers={"content-type": "image/jpeg"}
            )
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        # As SageMaker stops a container.
        process.send_signal(signal.SIGTERM)
        assert process.wait(_PATIENCE_S) in (0, 143)
    finally:
        process.kill()
        process.wait()


def _ping(client: httpx.Client, process: subprocess.Popen) -> int:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            return client.get("/ping").status_code
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"no answer; exit code {process.poll()}")
