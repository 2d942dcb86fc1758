"""Runs the service: loads models, listens, and ends in an orderly way.

SIGTERM: health checks begin to fail and answers to close their connections, while requests are
still taken for a while; then the port closes, and what is in hand is finished. A second one, or
Ctrl-C, closes the port at once. SIGHUP: all models are loaded again.
"""

import asyncio
import ctypes
import functools
import os
import select
import signal
import socket
import struct
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import prometheus_client
import uvicorn

from roadmark.errors import UserError
from roadmark.serving import models as served_models
from roadmark.serving.gate import Gate
from roadmark.serving.models import Models, Refresh
from roadmark.serving.options import ServeOptions
from roadmark.serving.service import application
from roadmark.serving.telemetry import Metrics, log, start_log
from roadmark.serving.urls import Fetcher

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
_ACCEPT_S = 0.2
# How long a connection that was accepted last may take to send its request.
_LAST_REQUESTS_S = 5.0
_SO_ATTACH_FILTER = 26  # Of Linux' asm-generic/socket.h; the module `socket` does not name it.
# Classic BPF (linux/filter.h): load byte 13 of the TCP header, the flags; keep if SYN is not set.
_NO_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),
    (0x45, 1, 0, 0x02),
    (0x06, 0, 0, 0xFFFFFFFF),
    (0x06, 0, 0, 0),
)


def run(folders: Mapping[str, Path], options: ServeOptions, refresh: Refresh) -> None:
    """Serves models until a signal ends it.

    Args:
        folders: Exported folders by name; the first answers where a request names none.
        options: How.
        refresh: Is called before a folder is loaded again.

    Raises:
        UserError: A folder is not whole, this machine lacks what was asked for, or the port is
            taken.
    """
    start_log()
    # A time of creation beside every counter doubles what Prometheus reads.
    prometheus_client.disable_created_metrics()
    metrics = Metrics()
    cores = len(os.sched_getaffinity(0))
    with (
        listen(options.host, options.port) as port,
        ThreadPoolExecutor(cores + 1, "decoder") as decoders,
        # Of their own, so that an answer does not wait for pictures that came after its own.
        ThreadPoolExecutor(2, "writer") as writers,
    ):
        load = functools.partial(
            served_models.load, options=options, decoders=decoders, metrics=metrics
        )
        models = Models(folders, load, options.limits.pictures, metrics, refresh)
        models.load_all()
        for name in models.names:
            model = models.get(name)
            log("model", name=name, folder=str(folders[name]), engine=str(model.detector.engine))
        asyncio.run(_serve(models, options, writers, metrics, port))
    log("ended")


def listen(host: str, port: int) -> socket.socket:
    """An open port.

    Raises:
        UserError: It is taken, or not to be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"--port={port}, --host={host}",
            f"cannot listen there ({reason})",
            "choose another port, or end what listens on it",
        ) from None
    # Inherited by its connections, for which asyncio does not set it: an answer's body would wait
    # 40 ms for the client to acknowledge its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def refuse_connections(listening: socket.socket) -> None:
    """Lets an open port begin no more connections; those that it has can still be accepted.

    Whoever connects now tries again a second later, when the port is closed, and is told so. A port
    that is closed without this resets what has connected and is not accepted yet.
    """
    code = b"".join(struct.pack("HBBI", *step) for step in _NO_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HP", len(_NO_NEW_CONNECTIONS), ctypes.addressof(buffer))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        # A kernel without socket filters; the shortest queue leaves the fewest to be reset.
        listening.listen(0)


async def _serve(
    models: Models,
    options: ServeOptions,
    writers: ThreadPoolExecutor,
    metrics: Metrics,
    port: socket.socket,
) -> None:
    limits = options.limits
    fetcher = Fetcher(options.allowed_urls, limits.body_bytes, limits.time_s)
    gate = application(models, options, writers, fetcher, metrics)
    server = _Server(gate, options, port)
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task] = set()

    def reload() -> None:
        task = loop.create_task(models.reload_all())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    host, number = port.getsockname()[:2]
    log("serving", url=f"http://{f'[{host}]' if ':' in host else host}:{number}", pid=os.getpid())
    if not options.token and not host.startswith("127.") and host != "::1":
        log("anyone who reaches the port may use it: there is no token")
    await server.serve([port])
    await asyncio.gather(*reloads)
    await models.close()
    await fetcher.close()


class _Server(uvicorn.Server):
    """Drains before it closes the port."""

    def __init__(self, gate: Gate, options: ServeOptions, port: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                gate,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                loop="asyncio",
                http="h11",
                ws="none",
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(options.limits.time_s) + 1,
            )
        )
        self._gate = gate
        self._port = port
        self._drain_s = options.drain_s
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See `uvicorn.Server`: a handler of signals."""
        if sig == signal.SIGTERM and not self._gate.is_draining:
            self._gate.is_draining = True
            self._loop.call_soon_threadsafe(self._drain)
            return
        if sig == signal.SIGINT:
            super().handle_exit(sig, frame)
        self.should_exit = True

    def _drain(self) -> None:
        log("draining", seconds=self._drain_s)
        self._loop.call_later(self._drain_s, self._close_port)

    def _close_port(self) -> None:
        refuse_connections(self._port)
        self._loop.call_later(_ACCEPT_S, self._stop_accepting)

    def _stop_accepting(self) -> None:
        if select.select([self._port], [], [], 0)[0]:
            # Somebody waits to be accepted, and would be reset.
            self._loop.call_later(_ACCEPT_S / 20, self._stop_accepting)
            return
        for server in self.servers:
            server.close()
        self._end_by(self._loop.time() + _LAST_REQUESTS_S)

    def _end_by(self, time: float) -> None:
        if self._loop.time() < time and any(
            connection.cycle is None for connection in self.server_state.connections
        ):
            # Somebody has connected and has yet to send a request.
            self._loop.call_later(_ACCEPT_S, self._end_by, time)
            return
        self.should_exit = True
