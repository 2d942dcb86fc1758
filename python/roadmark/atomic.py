"""Files and folders that appear whole or not at all."""

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary file name beside `path`; renames it to `path` on success.

    On any exception the temporary file is removed and `path` is left as it was.

    Args:
        path: The final file name. Its folder is made when missing.

    Yields:
        A name with the same suffix(es) in the same folder, to be written by the caller.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes UTF-8 `text` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary folder beside `path`; puts it in the place of `path` on success.

    A folder already at `path` is replaced whole, and only once the new one is complete.

    Args:
        path: The final folder name. Its parent is made when missing.

    Yields:
        An empty folder with the same parent.

    Raises:
        NotADirectoryError: Something else than a folder is at `path`.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    temporary.mkdir()
    try:
        yield temporary
        _replace_folder(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(path: Path, new: Path) -> None:
    # No system call exchanges two folders everywhere, so there is a moment with none at `path`.
    old = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        if path.exists():
            os.replace(path, old)
        os.replace(new, path)
    finally:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            os.replace(old, path)
