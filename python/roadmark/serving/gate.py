"""What every request passes first and last: its number, its place in metrics and log."""

import random
import re
import time
from collections.abc import Mapping
from typing import Any

from roadmark.serving.telemetry import Metrics, log, log_failure

REQUEST_ID = "x-request-id"
_FIT_FOR_AN_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_UNKNOWN_PATH = "unknown"
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Gate:
    """An ASGI application around another: counts and logs its requests.

    While it drains, answers ask clients to close the connection, so that none is cut off later.

    Args:
        inside: The other.
        metrics: Where requests are counted.

    Attributes:
        is_draining: Whether the service is about to end.
    """

    def __init__(self, inside: Any, metrics: Metrics) -> None:
        self.is_draining = False
        self._inside = inside
        self._metrics = metrics

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """See https://asgi.readthedocs.io/en/latest/specs/www.html."""
        if scope["type"] != "http":
            await self._inside(scope, receive, send)
            return
        request = _Request(scope, send, self)
        self._metrics.in_progress.inc()
        try:
            await self._inside(scope, receive, request.send)
        except Exception as error:  # The application has answered 500 already.
            log_failure("failed", error, id=request.id)
        finally:
            self._metrics.in_progress.dec()
            self._record(request)

    def _record(self, request: "_Request") -> None:
        seconds = time.monotonic() - request.begin
        scope = request.scope
        route = scope.get("route")
        path = getattr(route, "path", _UNKNOWN_PATH)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(method, path, request.status).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        log(
            "request",
            id=request.id,
            client=(scope.get("client") or ("",))[0],
            method=scope["method"],
            path=scope["path"],
            status=request.status,
            ms=round(seconds * 1e3, 1),
            **scope["state"],
        )


class _Request:
    def __init__(self, scope: dict[str, Any], send: Any, gate: Gate) -> None:
        self.scope = scope
        self.begin = time.monotonic()
        self.status = 0
        self._send = send
        self._gate = gate
        given = dict(scope["headers"]).get(REQUEST_ID.encode(), b"")
        is_fit = _FIT_FOR_AN_ID.fullmatch(given)
        self.id = given.decode() if is_fit else f"{random.getrandbits(128):032x}"
        # What the application adds to the line of the log.
        scope["state"] = {}

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], (REQUEST_ID.encode(), self.id.encode())]
            if self._gate.is_draining:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        await self._send(message)
