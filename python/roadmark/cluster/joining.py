"""Begins to use a Ray cluster: one that runs, or this machine alone."""

import contextlib
import os
import socket
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roadmark.errors import UserError

LOCAL = "local"
AUTO = "auto"

_START = "start one with: ray start --head, and give the address that it prints"
_ATTEMPTS = 3
_CONNECT_S = 5
# What a Ray of this machine alone keeps for results, which are small.
_STORE_BYTES = 100_000_000
# HTTP/2, which Ray speaks: what a client begins with (RFC 9113, 3.4), the length of a frame's head,
# where its type is, and which type a server begins with.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HEAD_BYTES, _TYPE, _SETTINGS = 9, 3, 4


@contextlib.contextmanager
def joined(address: str, processors: int | None = None) -> Iterator[Any]:
    """Yields the module `ray`, which uses a cluster until the block ends.

    Ray's usage reports are off, and its processes find the modules that this one does, where they
    are at the same path.

    Args:
        address: `HOST:PORT` of a cluster, `auto` for the one that this machine is part of (or that
            `RAY_ADDRESS` names), or `local` to start Ray here for the time of the block.
        processors: For `local`: how many it may share out; all by default.

    Raises:
        UserError: The cluster cannot be reached, or Ray does not start here.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray's workers are programs of their own; those of a Ray that is started here inherit this.
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    import ray  # takes seconds

    if address == LOCAL:
        _start(ray, processors)
    else:
        _join(ray, address)
    try:
        yield ray
    except ray.exceptions.RayError as error:
        raise UserError(
            f"--cluster={address}",
            f"was lost: {_first_line(error)}",
            "repeat the command, which goes on with what is missing",
        ) from None
    finally:
        ray.shutdown()


def wait_for_nodes(ray: Any, address: str, count: int, wait_s: float) -> None:
    """Waits until a cluster has so many machines.

    Raises:
        UserError: It has fewer after that time.
    """
    end = time.monotonic() + wait_s
    while (found := len(alive(ray))) < count:
        if time.monotonic() > end:
            raise UserError(
                f"--nodes={count}",
                f"found {found} after {wait_s:g} s in the cluster at {address}",
                f"start Ray on the others with: ray start --address={gcs(ray)}, or ask for fewer",
            )
        time.sleep(0.2)


def alive(ray: Any) -> dict[str, dict[str, Any]]:
    """The machines that are there, as `ray.nodes()` describes them, by their id."""
    return {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}


def gcs(ray: Any) -> str:
    """The address that other machines join the cluster by."""
    return ray.get_runtime_context().gcs_address


def _start(ray: Any, processors: int | None) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(
                # By itself it would join a cluster that runs here.
                address="local",
                num_cpus=processors or len(os.sched_getaffinity(0)),
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
                log_to_driver=False,
                logging_level="ERROR",
            )
            return
        except Exception as error:  # Ray's own has no type of its own
            # Ray gives its servers half a minute, which a busy machine may not have.
            ray.shutdown()
            if attempt == _ATTEMPTS:
                raise UserError(
                    "Ray",
                    f"did not start {_ATTEMPTS} times: {_first_line(error)}",
                    "repeat the command when the machine is less busy",
                ) from None


def _join(ray: Any, address: str) -> None:
    from ray.job_config import JobConfig

    try:
        if address != AUTO:
            _check_reachable(address)
        ray.init(
            address=address,
            job_config=JobConfig(_py_driver_sys_path=_own_modules()),
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:  # ConnectionError, and Ray's own of several kinds
        ray.shutdown()
        why = f"cannot be reached: {_first_line(error)}"
        raise UserError(f"--cluster={address}", why, _START) from None


def _check_reachable(address: str) -> None:
    """Raises ConnectionError at once where Ray would try for minutes, or end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ConnectionError("an address is HOST:PORT")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_S) as server:
            server.sendall(_HELLO)
            head = server.recv(_HEAD_BYTES, socket.MSG_WAITALL)
    except (OSError, OverflowError) as error:
        raise ConnectionError(str(error)) from None
    if len(head) < _HEAD_BYTES or head[_TYPE] != _SETTINGS:
        raise ConnectionError("what answers there is no Ray")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _own_modules() -> list[str]:
    """The folders of modules that do not come with the interpreter."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found = [str(Path(path).absolute()) for path in sys.path if path and Path(path).is_dir()]
    return [path for path in found if not any(path.startswith(place) for place in places)]
