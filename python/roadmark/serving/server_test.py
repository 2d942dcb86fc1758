"""The service as a process: signals, broken HTTP, its log."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from roadmark.data import synthetic
from roadmark.serving import pictures, server
from roadmark.testing import bucket_server

EXPORT = Path("tests/models/quickstart/export").resolve()
SERVE = Path(__file__).resolve().parents[2] / "serve.py"
JPEG = pictures.encode(synthetic.render_scene(7, 0).image, pictures.JPEG)
AS_JPEG = {"content-type": "image/jpeg"}
PATIENCE_S = 60


class Process:
    """The app, its log, and where it listens."""

    def __init__(self, *arguments, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(SERVE), "--port=0", "--engine=openvino", *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = self.wait_for("serving")["url"]

    def _read(self):
        for line in self.process.stderr:
            # What is fetched from a bucket is told before the log begins.
            if self.log or line.startswith("{"):
                self.log.append(json.loads(line))

    def wait_for(self, event, says="", **facts):
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            wanted = {"event": event, **facts}.items()
            for line in list(self.log):
                if wanted <= line.items() and says in line.get("error", ""):
                    return line
            time.sleep(0.01)
        raise AssertionError(f"no {event!r} in {self.log}")

    def end(self):
        code = self.process.wait(PATIENCE_S)
        self._reader.join()
        self.process.stderr.close()
        return code


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    return Path(shutil.copytree(EXPORT, tmp_path_factory.mktemp("model") / "export"))


@pytest.fixture(scope="module")
def bucket(export):
    with bucket_server.running() as found:
        for path in export.rglob("*"):
            if path.is_file():
                name = path.relative_to(export).as_posix()
                found.files.pipe_file(f"{bucket_server.BUCKET}/day/{name}", path.read_bytes())
        yield found


@pytest.fixture(scope="module")
def running(export, bucket, tmp_path_factory):
    process = Process(
        f"--model=street={export}",
        f"--model=day=s3://{bucket_server.BUCKET}/day",
        "--drain_s=2",
        "--timeout_s=20",
        ROADMARK_CACHE=str(tmp_path_factory.mktemp("cache")),
        **bucket.environment,
    )
    yield process
    process.process.kill()
    process.end()


def post(running, headers=AS_JPEG):
    return httpx.post(f"{running.url}/invocations", content=JPEG, headers=headers, timeout=20)


def exchange(running, data):
    """What comes back for bytes."""
    port = int(running.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""


HEAD = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""),
        (b"GET /ping HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /ping HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"400"),
        (HEAD + b"content-length: -1\r\n\r\n", b"400"),
        (HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", b"400"),
        (HEAD + b"content-length: 99999999999\r\n\r\n", b"413"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nnot a length\r\n", b""),
        (HEAD + b"content-length: 10\r\n\r\nabc", b""),
        (HEAD + b"expect: 100-continue\r\ncontent-length: 1\r\n\r\nx", b"100"),
    ],
    ids=lambda value: repr(value[-30:]),
)
def test_broken_http_ends_a_connection_and_nothing_else(running, data, status):
    answer = exchange(running, data)
    assert answer[9:12] == status or (not status and answer[9:12] in (b"", b"400"))
    assert not [line for line in running.log if line["event"] == "failed"]
    assert httpx.get(f"{running.url}/ping").status_code == 200


def test_a_line_of_the_log_per_request(running):
    answer = httpx.get(f"{running.url}/v2", headers={"x-request-id": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    while not (lines := [one for one in running.log if one.get("id") == "mine"]):
        time.sleep(0.01)
    (line,) = lines
    assert {"method": "GET", "path": "/v2", "status": 200, "level": "info"}.items() <= line.items()


def test_hangup_reloads_and_a_swapped_folder_is_refused(running, export):
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("reloaded", model="day")
    (export / "raw" / "saved_model.pb").write_bytes(b"swapped")
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("reload refused", "saved_model.pb: altered", model="street")
    assert post(running).status_code == 200


def test_a_reload_takes_what_is_in_the_bucket_now(running, bucket, export):
    """Another export, one that is just being uploaded, and a bucket that is denied."""
    key = f"{bucket_server.BUCKET}/day/manifest.json"
    newer = json.loads((export / "manifest.json").read_text()) | {"weights_sha256": "5" * 64}
    bucket.files.pipe_file(key, json.dumps(newer).encode())
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("reloaded", model="day", weights="5" * 12)

    bucket.files.rm_file(key)
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("reload refused", "manifest.json: not found", model="day", serving="5" * 12)

    bucket.proxy.faults.append(bucket_server.Fault("AccessDenied", part="list-type", times=9))
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("reload refused", "access denied", model="day")
    headers = AS_JPEG | {"x-amzn-sagemaker-target-model": "day"}
    assert post(running, headers).json()["model"] == "day"


def test_a_refusing_port_still_hands_over_what_has_connected():
    with server.listen("127.0.0.1", 0) as port, contextlib.ExitStack() as clients:
        before, after = (clients.enter_context(socket.socket()) for _ in range(2))
        before.connect(port.getsockname())
        server.refuse_connections(port)
        after.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            after.connect(port.getsockname())
        before.sendall(b"request")
        accepted, _ = port.accept()
        with accepted:
            assert accepted.recv(7) == b"request"
        port.setblocking(False)
        time.sleep(0.1)
        with pytest.raises(BlockingIOError):
            port.accept()


def test_termination_drains_and_loses_no_request(running):
    """The last test of the process."""
    answers, broken = [], []

    def ask():
        with httpx.Client(timeout=20) as client, contextlib.suppress(httpx.ConnectError):
            while not broken:  # Until the port is closed, which loses no request.
                url = f"{running.url}/invocations"
                try:
                    answers.append(client.post(url, content=JPEG, headers=AS_JPEG))
                except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
                    broken.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not answers:
        time.sleep(0.01)
    running.process.send_signal(signal.SIGTERM)
    code = running.end()
    for thread in threads:
        thread.join()
    assert code == 0
    assert [line["event"] for line in running.log].count("draining") == 1
    assert running.log[-1]["event"] == "ended"
    assert not broken
    assert {answer.status_code for answer in answers} == {200}
    asked_to_close = [answer.headers.get("connection") == "close" for answer in answers]
    assert any(asked_to_close)
    assert not all(asked_to_close)
