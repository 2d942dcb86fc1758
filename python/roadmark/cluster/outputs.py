"""The folder that machines write results to: one that all of them see, or one in a bucket.

A file appears whole: it is written elsewhere, and then renamed or uploaded.
"""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from roadmark import atomic
from roadmark.errors import UserError
from roadmark.storage import address
from roadmark.storage.store import Store

_UNFINISHED = ".unfinished"


class FolderOutputs:
    """A folder on a file system that all machines see.

    Args:
        place: Its path.
        command: What tells the command that writes there from others that do.
    """

    def __init__(self, place: str, command: str) -> None:
        self._folder = Path(place)
        self._unfinished = self._folder / _UNFINISHED / command

    def check_writable(self) -> None:
        """Raises UserError or OSError where nothing can be written."""
        if self._folder.exists() and not self._folder.is_dir():
            raise UserError(self._folder, "a file, expected a folder", "choose another --out")
        with self.unfinished():
            pass

    def sizes(self) -> dict[str, int]:
        """Bytes of each file that is there, by its name below the folder."""
        found = (path for path in self._folder.rglob("*") if path.is_file())
        names = {path.relative_to(self._folder).as_posix(): path for path in found}
        return {
            name: path.stat().st_size
            for name, path in names.items()
            if not name.startswith(f"{_UNFINISHED}/")
        }

    def read(self, name: str) -> str | None:
        """The text of a file, or None where there is none."""
        try:
            return (self._folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def unfinished(self) -> Iterator[Path]:
        """Yields an empty folder to work in, which goes."""
        folder = self._unfinished / uuid.uuid4().hex[:12]
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, folder: Path, names: Sequence[str]) -> None:
        """Puts files of a folder that `unfinished` gave in their place."""
        for name in names:
            target = self._folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(folder / name, "rb") as written:
                os.fsync(written.fileno())
            os.replace(folder / name, target)

    def write(self, name: str, content: bytes) -> None:
        """Writes a file."""
        with atomic.atomic_path(self._folder / name) as temporary:
            temporary.write_bytes(content)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        (self._folder / name).unlink(missing_ok=True)

    def clean(self) -> None:
        """Removes what the command's processes left, when none of them works any more."""
        shutil.rmtree(self._unfinished, ignore_errors=True)
        with contextlib.suppress(OSError):  # Other commands work in theirs.
            self._unfinished.parent.rmdir()


class BucketOutputs:
    """A folder in a bucket.

    Args:
        place: Its address.
    """

    def __init__(self, place: str) -> None:
        self._place = address.parse(place)
        if not self._place.parent or self._place.is_pattern:
            raise UserError(place, "is no folder in a bucket", "write s3://BUCKET/FOLDER")
        self._store = Store(self._place.scheme)

    def check_writable(self) -> None:
        """Raises UserError where nothing can be written."""
        self._store.check_writable(self._key("any"))

    def sizes(self) -> dict[str, int]:
        """Bytes of each file that is there, by its name below the folder."""
        begin = len(self._key(""))
        return {one.key[begin:]: one.size for one in self._store.find(self._place)}

    def read(self, name: str) -> str | None:
        """The text of a file, or None where there is none."""
        key = self._key(name)
        place = address.parse(f"{self._place.scheme}://{key}")
        for one in self._store.find(place):
            if one.key == key:
                return self._store.read_whole(one).decode()
        return None

    @contextlib.contextmanager
    def unfinished(self) -> Iterator[Path]:
        """Yields an empty folder to work in, which goes."""
        with tempfile.TemporaryDirectory(prefix="roadmark-") as folder:
            yield Path(folder)

    def publish(self, folder: Path, names: Sequence[str]) -> None:
        """Uploads files of a folder that `unfinished` gave."""
        for name in names:
            self._store.write(folder / name, self._key(name))

    def write(self, name: str, content: bytes) -> None:
        """Writes a file."""
        with self.unfinished() as folder:
            path = folder / "content"
            path.write_bytes(content)
            self._store.write(path, self._key(name))

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        self._store.remove(self._key(name))

    def clean(self) -> None:
        """Nothing: what is not whole is in no bucket."""

    def _key(self, name: str) -> str:
        return f"{self._place.path}/{name}"


class GivenBack:
    """What goes back to the command, which writes it."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def read(self, name: str) -> str | None:
        """None: the command knows what is there, and asks for nothing that is."""
        del name

    @contextlib.contextmanager
    def unfinished(self) -> Iterator[Path]:
        """Yields an empty folder to work in, which goes."""
        with tempfile.TemporaryDirectory(prefix="roadmark-") as folder:
            yield Path(folder)

    def publish(self, folder: Path, names: Sequence[str]) -> None:
        """Keeps files of a folder that `unfinished` gave."""
        for name in names:
            self.write(name, (folder / name).read_bytes())

    def write(self, name: str, content: bytes) -> None:
        """Keeps a file."""
        self._files[name] = content

    def remove(self, name: str) -> None:
        """Does not keep a file."""
        self._files.pop(name, None)

    def taken(self) -> dict[str, bytes]:
        """What was kept, in order, and is so no more."""
        files, self._files = self._files, {}
        return files


Outputs = FolderOutputs | BucketOutputs


def of_worker(place: str | None, command: str) -> Outputs | GivenBack:
    """Where a process of the cluster writes: as `at`, or back to the command for None."""
    return GivenBack() if place is None else at(place, command)


def at(place: str, command: str) -> Outputs:
    """The folder at a path or an address in a bucket.

    Args:
        place: Path or address.
        command: See `FolderOutputs`.

    Raises:
        UserError: The address names no folder.
    """
    return BucketOutputs(place) if address.is_remote(place) else FolderOutputs(place, command)
