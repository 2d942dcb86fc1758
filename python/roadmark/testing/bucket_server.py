"""A real S3 server, moto's, on the loopback, and a proxy before it that does what networks do."""

import contextlib
import dataclasses
import http.client
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator

import s3fs
from moto.server import ThreadedMotoServer

BUCKET = "streets"
_ERROR = (
    '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message>'
    "<RequestId>1</RequestId></Error>"
)
_SLOW_PIECES = 5
_SLOW_PAUSE_S = 0.05


@dataclasses.dataclass
class Fault:
    """What is done to requests.

    Attributes:
        kind: `cut` closes the connection in the middle of the body; `truncated` gives half of it as
            if that were all; `slow` gives it in pieces; anything else is the code of an error.
        method: Of the requests concerned.
        part: What their path and query contain.
        times: To how many of them.
        message: Of an error.
        status: Of an error.
    """

    kind: str
    method: str = "GET"
    part: str = ""
    times: int = 1
    message: str = "injected"
    status: int = 403


class Proxy:
    """An HTTP proxy before a server.

    Args:
        host: Of the server.
        port: Of the server.

    Attributes:
        url: Of the proxy.
        faults: What is to be done to the next requests.
        requests: Method, path and range of every request so far.
    """

    def __init__(self, host: str, port: int):
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, str]] = []
        self._lock = threading.Lock()
        handler = _handler(self, host, port)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stops it."""
        self._server.shutdown()
        self._server.server_close()

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault that this request is to have."""
        with self._lock:
            for one in self.faults:
                if one.times and one.method == method and one.part in path:
                    one.times -= 1
                    return one
        return None

    def asked(self, method: str, part: str) -> list[str]:
        """Ranges of the requests of a method whose path contains a part."""
        return [range_ for how, path, range_ in self.requests if how == method and part in path]


def _handler(proxy: Proxy, host: str, port: int) -> type:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self._body()
            proxy.requests.append((self.command, self.path, self.headers.get("Range", "")))
            fault = proxy.fault(self.command, self.path)
            if fault is not None and fault.kind not in _ON_BODIES:
                text = _ERROR.format(code=fault.kind, message=fault.message).encode()
                self._send(fault.status, {"Content-Type": "application/xml"}, text)
                return
            connection = http.client.HTTPConnection(host, port)
            connection.request(self.command, self.path, body, dict(self.headers))
            found = connection.getresponse()
            data, headers = found.read(), dict(found.getheaders())
            self._send(found.status, headers, data, fault and _ON_BODIES[fault.kind])
            connection.close()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server's

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            del self.headers["Transfer-Encoding"]
            return b"".join(parts)

        def _send(
            self,
            status: int,
            headers: dict[str, str],
            data: bytes,
            spoil: "Callable[[Handler, bytes], bytes] | None" = None,
        ) -> None:
            given = {"content-length", "transfer-encoding", "connection", "date", "server"}
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in given:
                    self.send_header(name, value)
            kept = data[: len(data) // 2] if spoil is _truncate else data
            sizes = [value for name, value in headers.items() if name.lower() == "content-length"]
            size = sizes[0] if sizes and self.command == "HEAD" else None
            self.send_header("Content-Length", size or str(len(kept)))
            self.end_headers()
            if self.command != "HEAD":
                (spoil or _whole)(self, kept)

        def log_message(self, *given: object) -> None:
            del given

    return Handler


def _whole(handler: http.server.BaseHTTPRequestHandler, data: bytes) -> None:
    handler.wfile.write(data)


def _truncate(handler: http.server.BaseHTTPRequestHandler, data: bytes) -> None:
    # `_send` has made it half, and said so in the header.
    handler.wfile.write(data)


def _cut(handler: http.server.BaseHTTPRequestHandler, data: bytes) -> None:
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def _slow(handler: http.server.BaseHTTPRequestHandler, data: bytes) -> None:
    size = max(1, len(data) // _SLOW_PIECES)
    for start in range(0, len(data), size):
        handler.wfile.write(data[start : start + size])
        handler.wfile.flush()
        time.sleep(_SLOW_PAUSE_S)


_ON_BODIES = {"cut": _cut, "truncated": _truncate, "slow": _slow}


@dataclasses.dataclass(frozen=True)
class Server:
    """A server with one empty bucket, `BUCKET`.

    Attributes:
        proxy: Before it.
        environment: What the cloud's own chain finds, proxy included.
        files: The server without the proxy.
    """

    proxy: Proxy
    environment: dict[str, str]
    files: s3fs.S3FileSystem


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Runs a server."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    proxy = Proxy(host, port)
    environment = {
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": proxy.url,
    }
    files = s3fs.S3FileSystem(
        key="AKIATEST",
        secret="secret",
        endpoint_url=f"http://{host}:{port}",
        client_kwargs={"region_name": "us-east-1"},
        use_listings_cache=False,
    )
    files.call_s3("create_bucket", Bucket=BUCKET)
    try:
        yield Server(proxy, environment, files)
    finally:
        proxy.close()
        moto.stop()
