"""The local copies of what is in buckets, and how much room they take together.

An entry is a folder: `files/` with the copies, `state.json` with what they were in the bucket, and
locks, which the system lets go when a process ends. `ROADMARK_CACHE` names the folder of entries,
`ROADMARK_CACHE_GB` its limit; the entry used longest ago goes first, and never one that a process
uses or whose files wait to be uploaded.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roadmark import atomic, locations
from roadmark.errors import UserError
from roadmark.storage.address import Address

_LIMIT = "ROADMARK_CACHE_GB"
_DEFAULT_GB = 50.0
_FILES = "files"
_STATE = "state.json"
_USE = "use.lock"
_SYNC = "sync.lock"


class Entry:
    """The copies of one address; in use until the process ends.

    Args:
        place: The address.

    Attributes:
        files: The folder with the copies, each under its bucket and key.
    """

    def __init__(self, place: Address):
        digest = hashlib.sha256(place.url.encode()).hexdigest()[:16]
        self._folder = locations.remote_cache() / digest
        self.files = self._folder / _FILES
        self.files.mkdir(parents=True, exist_ok=True)
        self._use = open(self._folder / _USE, "a")  # noqa: SIM115 - held open for its lock
        fcntl.flock(self._use, fcntl.LOCK_SH)
        os.utime(self._folder / _USE)

    @contextlib.contextmanager
    def syncing(self) -> Iterator[None]:
        """Holds off other processes that fetch or upload the same."""
        with open(self._folder / _SYNC, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read_state(self) -> dict[str, dict[str, Any]]:
        """What is known of each copy, by bucket and key."""
        return _read(self._folder / _STATE)

    def write_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Notes what is known of each copy."""
        atomic.write_text(self._folder / _STATE, json.dumps(state))


def stamp(path: Path) -> list[int]:
    """What changes with a file: its size and time."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def changed(files: Path, state: dict[str, dict[str, Any]]) -> list[str]:
    """Names of the files that are not what the bucket had; hidden ones are under way."""
    names = [str(path.relative_to(files)) for path in sorted(files.rglob("*")) if path.is_file()]
    shown = [name for name in names if not any(part[0] == "." for part in name.split("/"))]
    return [name for name in shown if _stamped(files / name) != state.get(name, {}).get("stamp")]


def _stamped(path: Path) -> list[int] | None:
    try:
        return stamp(path)
    except FileNotFoundError:
        return None


def make_room(wanted: int, where: str) -> None:
    """Removes entries until so many bytes fit.

    Raises:
        UserError: They are more than the limit.
    """
    limit = _limit()
    if wanted > limit:
        raise UserError(
            where,
            f"takes {wanted / 1e9:.1f} GB, the local cache may hold {limit / 1e9:g} GB",
            f"set {_LIMIT} higher, and ROADMARK_CACHE to a disk with that much room",
        )
    entries = [path.parent for path in locations.remote_cache().glob(f"*/{_USE}")]
    sizes = {entry: _size(entry) for entry in entries}
    for entry in sorted(entries, key=lambda entry: (entry / _USE).stat().st_mtime_ns):
        if sum(sizes.values()) + wanted <= limit:
            return
        if _remove_unused(entry):
            del sizes[entry]


def _limit() -> float:
    text = os.environ.get(_LIMIT, "")
    try:
        found = float(text) if text else _DEFAULT_GB
        if found > 0:
            return found * 1e9
    except ValueError:
        pass
    raise UserError(_LIMIT, f"found {text!r}, expected gigabytes", "set it to 50, say")


def _remove_unused(entry: Path) -> bool:
    with open(entry / _USE, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if changed(entry / _FILES, _read(entry / _STATE)):
            return False
        shutil.rmtree(entry, ignore_errors=True)
    return True


def _size(entry: Path) -> int:
    return sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
