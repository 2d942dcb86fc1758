"""The images' files agree with each other, and what lies in the images runs."""

import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tools.container import bill_of_materials

HERE = Path(__file__).parent


@pytest.fixture
def image(tmp_path):
    """What the programs of the image expect around them."""
    for name in ("bin", "python", "venv/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("roadmark", "healthy"):
        shutil.copy(HERE / name, tmp_path / "bin")
    (tmp_path / "venv/bin/python").symlink_to(sys.executable)
    (tmp_path / "python/train.py").write_text("import sys; print(sys.argv[1:])")
    return tmp_path


def _run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize(
    ("words", "code", "out", "errors"),
    [
        (["train", "--steps=5", "a b"], 0, "['--steps=5', 'a b']\n", ""),
        # As it is written after `bazel run`.
        (["train", "--", "--steps=5"], 0, "['--steps=5']\n", ""),
        (["fly"], 2, "", "roadmark: found 'fly', expected one of: train\n"),
        ([], 2, "", "roadmark: found '', expected one of: train\n"),
    ],
)
def test_commands_are_those_of_bazel_run(image, words, code, out, errors):
    ended = _run(image / "bin/roadmark", *words)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, out, errors)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_health_is_that_of_ping(image, status, healthy):
    class Service(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/ping" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = {"SAGEMAKER_BIND_TO_PORT": str(server.server_port), "PATH": "/usr/bin:/bin"}
        ended = _run(image / "bin/healthy", env=port)
        server.shutdown()
    assert (ended.returncode == 0) is healthy


def test_no_service_is_not_healthy(image):
    assert _run(image / "bin/healthy", env={"SAGEMAKER_BIND_TO_PORT": "1"}).returncode != 0


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_images_are_made_of_the_steps_that_are_tried(accelerator):
    lines = (HERE / f"Dockerfile.{accelerator}").read_text().splitlines()
    steps = [line.split("steps.sh ")[1] for line in lines if "steps.sh " in line]
    assert steps == [f"build {accelerator}", "run"]
    tried = (HERE / "try.sh").read_text()
    assert [part for part in ("build cpu", "run") if f"steps.sh {part}" in tried] == [
        "build cpu",
        "run",
    ]
    # The last stage runs as a user, says when it is well, and has nothing of the first but this.
    last = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM")) :]
    assert "USER roadmark" in last
    assert any(line.startswith("HEALTHCHECK") for line in last)
    assert [line for line in last if line.startswith("COPY")] == [
        "COPY --from=build /opt/roadmark /opt/roadmark"
    ]


def test_programs_of_the_image_are_installed_by_the_steps():
    installed = re.search(
        r"install -m 755 tools/container/\{(.*?)\}", (HERE / "steps.sh").read_text()
    )
    assert set(installed[1].split(",")) == {
        "roadmark",
        "healthy",
        "steps.sh",
        "bill_of_materials.py",
    }


def test_bill_names_every_package_with_its_hashes():
    lock = """
# a comment
absl-py==2.5.1 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via keras
ray[tune]==2.1 ; python_version > "3" \\
    --hash=sha256:{c}
""".format(a="a" * 64, b="b" * 64, c="c" * 64)
    found = bill_of_materials.bill(lock, "libc6:amd64 2.36-9 amd64\n")
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert [
        (part["purl"], [digest["content"][0] for digest in part.get("hashes", [])])
        for part in found["components"]
    ] == [
        ("pkg:pypi/absl-py@2.5.1", ["a", "b"]),
        ("pkg:pypi/ray@2.1", ["c"]),
        ("pkg:deb/debian/libc6@2.36-9?arch=amd64", []),
    ]
