"""A client that keeps an HTTP service busy, in a process of its own.

    python -m roadmark.benchmark.http_load

Reads `Load` as JSON from standard input, and writes `Answers` as JSON to standard output. Threads
with blocking sockets send the same bytes again and again, so that the client costs little.
"""

import dataclasses
import json
import random
import socket
import sys
import threading
import time
from pathlib import Path

_PATIENCE_S = 120
_SEED = 7


@dataclasses.dataclass(frozen=True)
class Load:
    """What to send.

    Attributes:
        port: On the loopback.
        picture: A JPEG file.
        connections: Requests at a time, at most.
        seconds: How long; 0 for no limit.
        requests: How many; 0 for no limit. Without limits it goes on until the port is closed.
        rate: Requests a second, sent whether or not earlier ones are answered; 0 to send the next
            one on an answer.
        is_random: Whether requests come at random (a Poisson process) instead of evenly.
    """

    port: int
    picture: str
    connections: int
    seconds: float = 0.0
    requests: int = 0
    rate: float = 0.0
    is_random: bool = False


@dataclasses.dataclass
class Answers:
    """What came back.

    Attributes:
        seconds: From the first request to the last answer.
        statuses: Number of answers by HTTP status.
        broken: Requests that got none.
        milliseconds: Of each request: from when it was due, or sent where nothing is due, to its
            answer.
    """

    seconds: float = 0.0
    statuses: dict[str, int] = dataclasses.field(default_factory=dict)
    broken: int = 0
    milliseconds: list[float] = dataclasses.field(default_factory=list)


def run(load: Load) -> Answers:
    """Sends what is asked for."""
    return _Run(load).run()


class _Run:
    def __init__(self, load: Load) -> None:
        body = Path(load.picture).read_bytes()
        head = (
            "POST /invocations HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/jpeg\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._load = load
        self._request = head.encode() + body
        self._lock = threading.Lock()
        self._random = random.Random(_SEED)
        self._answers = Answers()
        self._sent = 0
        self._begin = self._due = time.perf_counter()

    def run(self) -> Answers:
        threads = [threading.Thread(target=self._work) for _ in range(self._load.connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._answers.seconds = time.perf_counter() - self._begin
        return self._answers

    def _work(self) -> None:
        connection = None
        while (due := self._next()) is not None:
            time.sleep(max(0.0, due - time.perf_counter()))
            try:
                connection = connection or _connect(self._load.port)
            except ConnectionRefusedError:
                return  # The port is closed: the service takes no more.
            begin = due if self._load.rate else time.perf_counter()
            try:
                connection.sendall(self._request)
                status, is_last = _answer(connection)
            except OSError:
                status, is_last = "", True
            self._record(status, begin)
            if is_last:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def _next(self) -> float | None:
        """When the next request is due; None when there is none."""
        load = self._load
        with self._lock:
            if load.rate:
                gap = self._random.expovariate(load.rate) if load.is_random else 1 / load.rate
                self._due += gap
            else:
                self._due = time.perf_counter()
            is_late = load.seconds and self._due > self._begin + load.seconds
            if is_late or (load.requests and self._sent >= load.requests):
                return None
            self._sent += 1
            return self._due

    def _record(self, status: str, begin: float) -> None:
        taken = (time.perf_counter() - begin) * 1e3
        with self._lock:
            if not status:
                self._answers.broken += 1
                return
            statuses = self._answers.statuses
            statuses[status] = statuses.get(status, 0) + 1
            self._answers.milliseconds.append(taken)


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _answer(connection: socket.socket) -> tuple[str, bool]:
    """The status of an answer, and whether it is the connection's last."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines[1:])
    missing = int(fields[b"content-length"]) - len(body)
    while missing > 0:
        missing -= len(_receive(connection))
    return lines[0].split()[1].decode(), fields.get(b"connection") == b"close"


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionResetError
    return data


def main() -> None:
    """See the module's text."""
    answers = run(Load(**json.load(sys.stdin)))
    json.dump(dataclasses.asdict(answers), sys.stdout)


if __name__ == "__main__":
    main()
