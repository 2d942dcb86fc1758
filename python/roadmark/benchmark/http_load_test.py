"""The client, against a service that answers as the test says."""

import dataclasses
import http.server
import json
import threading

import pytest

from roadmark.benchmark.http_load import Load, run


class Handler(http.server.BaseHTTPRequestHandler):
    """Fails every fifth request, and closes the connection on every seventh."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    count = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with Handler.lock:
            Handler.count += 1
            number = Handler.count
        if number % 11 == 0:
            self.close_connection = True
            return
        self.send_response(503 if number % 5 == 0 else 200)
        self.send_header("content-length", str(len(body)))
        if number % 7 == 0:
            self.send_header("connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def port():
    Handler.count = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def picture(tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(100_000))
    return str(tmp_path / "a.jpg")


def test_every_request_is_counted_once(port, picture):
    answers = run(Load(port, picture, connections=3, requests=110))
    assert Handler.count == 110
    assert answers.broken == 10
    assert answers.statuses == {"200": 80, "503": 20}
    assert len(answers.milliseconds) == 100
    assert json.loads(json.dumps(dataclasses.asdict(answers)))["statuses"] == answers.statuses


@pytest.mark.parametrize("is_random", [False, True])
def test_requests_come_at_a_rate(port, picture, is_random):
    answers = run(Load(port, picture, 4, seconds=0.5, rate=200, is_random=is_random))
    assert Handler.count == pytest.approx(100, rel=0.4 if is_random else 0.02)
    assert answers.seconds >= 0.4


def test_a_closed_port_ends_it(picture):
    answers = run(Load(1, picture, connections=2))
    assert answers.milliseconds == []
    assert answers.broken == 0
