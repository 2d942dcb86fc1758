"""A local copy of an address in a bucket: fetched whole, and uploaded so that it is seen whole.

What is fetched appears under its name once it has the size and the checksum that the store states;
an interrupted object goes on where it stopped, in the next run too. What is uploaded is seen object
by object, the files that say that a folder is whole behind all others.
"""

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path, PurePosixPath
from typing import Any

from roadmark import progress
from roadmark.errors import UserError
from roadmark.storage import cache
from roadmark.storage.address import Address
from roadmark.storage.store import TRIES, RemoteObject, Store, TransientError, pause

_BLOCK = 8 << 20
_PART = ".part"
_IS_PART = re.compile(r"\.[0-9a-f]{12}\.part$")
_AT_ONCE = 4
# What readers look for to know that a folder or a checkpoint is whole.
_LAST = ("checkpoint", "manifest.json", "label_map.pbtxt", "class_set.json", "experiment.json")
_NEXT_TO_LAST = (".index",)


class Mirror:
    """The local copy of one address.

    Args:
        place: The address.

    Attributes:
        place: As given.
    """

    def __init__(self, place: Address):
        self.place = place
        self._store = Store(place.scheme)
        self._entry = cache.Entry(place)
        # A bucket has every folder.
        (self._entry.files / place.parent).mkdir(parents=True, exist_ok=True)

    @property
    def local(self) -> Path:
        """Where the copy is or will be; ends like the address, patterns included."""
        return self._entry.files / self.place.path

    def check_writable(self) -> None:
        """Makes sure that uploads will be accepted, before hours of work.

        Raises:
            UserError: No such bucket, no permission, no connection.
        """
        if not self.place.parent:
            raise UserError(
                self.place.url, "found a bucket alone", f"name a folder: {self.place.url}/FOLDER"
            )
        self._store.check_writable(self.place.path)

    def fetch(self, must_exist: bool = True, is_shown: bool = True) -> Path:
        """Makes the copy what the bucket has; files changed here alone stay.

        Args:
            must_exist: Whether it is a mistake that there is nothing.
            is_shown: Whether the user sees the progress.

        Returns:
            `local`.

        Raises:
            UserError: There is no such bucket or object, no permission, no connection, no room, or
                an object is not whole after several tries.
        """
        with self._entry.syncing():
            found = {self._checked(one.key): one for one in self._store.find(self.place)}
            if not found and must_exist:
                raise UserError(
                    self.place.url,
                    "no such object or folder, or it is empty",
                    "check bucket and key",
                )
            state = self._entry.read_state()
            missing = [name for name, one in found.items() if not self._is_here(name, one, state)]
            cache.make_room(sum(found[name].size for name in missing), self.place.url)
            what = f"fetching {self.place.url}"
            shown = progress.track(what, len(found), "files", len(found) - len(missing))
            with shown if missing and is_shown else contextlib.nullcontext() as meter:
                self._fetch_all({name: found[name] for name in missing}, state, meter)
            self._drop(state.keys() - found.keys(), state)
            self._drop_parts()
            self._entry.write_state(state)
        return self.local

    def upload(self, replaces: bool = False) -> int:
        """Uploads what has changed here, and removes there what was removed here.

        Args:
            replaces: Whether the folder is to hold nothing else afterwards.

        Returns:
            How many objects were uploaded.

        Raises:
            UserError: No permission, no connection.
        """
        with self._entry.syncing():
            state = self._entry.read_state()
            names = cache.changed(self._entry.files, state)
            gone = {name for name in state if not (self._entry.files / name).exists()}
            if replaces and names:
                there = {one.key for one in self._store.find(self.place)}
                gone |= {name for name in there if not (self._entry.files / name).exists()}
                # Until the new one is whole, it is seen not to be.
                self._remove({name for name in there if _rank(name)}, state)
            for rank in range(3):
                self._upload_all([name for name in names if _rank(name) == rank], state)
                if rank == 0 and replaces:
                    self._remove(gone, state)
            if not replaces:
                self._remove(gone, state)
        return len(names)

    def _checked(self, key: str) -> str:
        if any(part in ("..", ".", "") for part in key.split("/")):
            raise UserError(
                f"{self.place.scheme}://{key}",
                "found a key that is no path of a file",
                "rename the object",
            )
        return key

    def _is_here(self, name: str, one: RemoteObject, state: dict[str, dict[str, Any]]) -> bool:
        # One that is another than ours was in the bucket goes before what changed here.
        same = state.get(name, {}).get("version") == one.version
        return same and (self._entry.files / name).is_file()

    def _fetch_all(
        self,
        wanted: dict[str, RemoteObject],
        state: dict[str, dict[str, Any]],
        meter: progress.Meter | None,
    ) -> None:
        for name in _at_once(lambda name: self._fetch(name, wanted[name]), list(wanted)):
            state[name] = {
                "version": wanted[name].version,
                "stamp": cache.stamp(self._entry.files / name),
            }
            if meter is not None:
                meter.advance()
            if len(state) % 100 == 0:  # What is here need not come again.
                self._entry.write_state(state)

    def _fetch(self, name: str, one: RemoteObject) -> str:
        """Fetches one object; gives its name."""
        target = self._entry.files / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Named by its version, so that parts of another one are not mixed in.
        version = hashlib.sha256(one.version.encode()).hexdigest()[:12]
        part = target.with_name(f".{target.name}.{version}{_PART}")
        url, problem, number = f"{self.place.scheme}://{one.key}", "", 0
        while number < TRIES:
            pause(number)
            had = part.stat().st_size if part.exists() else 0
            try:
                self._append(one, part)
                self._store.check(part, one)
                part.replace(target)
                return name
            except FileNotFoundError:
                raise UserError(
                    url, f"has gone since {self.place.url} was listed", "repeat the command"
                ) from None
            except TransientError as error:
                problem = str(error)
            got = part.stat().st_size
            if got >= one.size:
                part.unlink()
            # A try that brought something is no failure.
            number = 1 if had < got < one.size else number + 1
        raise UserError(
            url, f"not whole after {TRIES} tries: {problem}",
            "repeat the command, which goes on where it stopped",
        )  # fmt: skip

    def _append(self, one: RemoteObject, part: Path) -> None:
        """Goes on where the part ends."""
        with open(part, "ab") as stream:
            for start, end in _blocks(stream.tell(), one.size):
                block = self._store.read(one.key, start, end)
                stream.write(block)
                if len(block) != end - start:
                    raise TransientError(f"found {len(block)} bytes, expected {end - start}")

    def _drop(self, names: set[str], state: dict[str, dict[str, Any]]) -> None:
        """What has gone from the bucket does not stay, unless it was changed here."""
        changed = set(cache.changed(self._entry.files, state))
        for name in names:
            if name not in changed:
                (self._entry.files / name).unlink(missing_ok=True)
            del state[name]

    def _drop_parts(self) -> None:
        """Nobody goes on with what was begun of another version, when all is whole."""
        for path in self._entry.files.rglob(f".*{_PART}"):
            if _IS_PART.search(path.name):
                path.unlink()

    def _upload_all(self, names: list[str], state: dict[str, dict[str, Any]]) -> None:
        for name, known in zip(names, _at_once(self._upload_one, names), strict=True):
            if known is not None:
                state[name] = known
                self._entry.write_state(state)

    def _upload_one(self, name: str) -> dict[str, Any] | None:
        path = self._entry.files / name
        try:
            # Before, so that what is written meanwhile counts as changed.
            stamp = cache.stamp(path)
            return {"version": self._store.write(path, name).version, "stamp": stamp}
        except FileNotFoundError:  # Removed meanwhile, as old checkpoints are.
            return None

    def _remove(self, names: set[str], state: dict[str, dict[str, Any]]) -> None:
        # The reverse order of uploads: what says that a folder is whole goes first.
        for name in sorted(names, key=_rank, reverse=True):
            self._store.remove(name)
            state.pop(name, None)
        if names:
            self._entry.write_state(state)


class LiveUpload:
    """Uploads what a long run has written, again and again, beside it.

    A failure is told once and tried again; the upload at the end counts.

    Args:
        mirror: Of the run's folder.
        every_s: Seconds between two looks.
    """

    def __init__(self, mirror: Mirror, every_s: float):
        self._mirror, self._every_s = mirror, every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ends it, once what is under way is done."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        told = False
        while not self._end.wait(self._every_s):
            try:
                self._mirror.upload()
                told = False
            except (UserError, OSError) as error:
                if not told:
                    print(f"warning: {error}; tried again meanwhile", flush=True)
                told = True


def _at_once(work: Any, names: list[str]) -> Iterator[Any]:
    """Yields what the work gives for each name, in order; the first error ends it."""
    with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        begun = [pool.submit(work, name) for name in names]
        try:
            for one in begun:
                yield one.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _rank(name: str) -> int:
    path = PurePosixPath(name)
    return 2 if path.name in _LAST else 1 if path.suffix in _NEXT_TO_LAST else 0


def _blocks(start: int, size: int) -> Iterator[tuple[int, int]]:
    while start < size:
        yield start, min(start + _BLOCK, size)
        start += _BLOCK
