"""The files, or folders, that a flag names: here or in a bucket, each as a task."""

import contextlib
import glob
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from roadmark.cluster.task import Task
from roadmark.errors import UserError
from roadmark.storage import address
from roadmark.storage.address import Address
from roadmark.storage.mirror import Mirror
from roadmark.storage.store import Store

_PATTERN = "*?["


def files(given: str, suffixes: tuple[str, ...]) -> list[Task]:
    """The files of some types that a flag names.

    Args:
        given: Files, folders, which are searched with their subfolders, and patterns, or addresses
            of these, with commas between them.
        suffixes: The types looked for in folders, in lower case.

    Returns:
        A task for each, whose name is that of the file below the folder or the pattern's fixed
        part, and whose source is its path or address. Sorted by name.

    Raises:
        UserError: There are none, or two have one name.
    """
    found = [task for one in given.split(",") if one for task in _files(one, suffixes)]
    return _distinct(found, given, f"no files ({', '.join(suffixes)})")


def folders(given: str) -> list[Task]:
    """The folders in a folder, or those that a pattern names, as tasks; see `files`.

    Of an address these are the folders right below it. A folder without any is a task itself.

    Raises:
        UserError: There are none, or two have one name.
    """
    found = [task for one in given.split(",") if one for task in _folders(one)]
    return _distinct(found, given, "no such folder")


@contextlib.contextmanager
def fetched(source: str) -> Iterator[Path]:
    """Yields the path of a file or folder; of one in a bucket that of a copy, kept until then.

    Raises:
        UserError: It cannot be had.
    """
    if not address.is_remote(source):
        yield Path(source)
        return
    # While there is one, its copy is not removed to make room.
    mirror = Mirror(address.parse(source))
    yield mirror.fetch()
    del mirror


@contextlib.contextmanager
def all_fetched(given: str) -> Iterator[str]:
    """Yields files and patterns with the copies' paths in the place of addresses; see `fetched`."""
    with contextlib.ExitStack() as held:

        def local(found: re.Match[str]) -> str:
            return str(held.enter_context(fetched(found.group())))

        yield address.URL.sub(local, given)


def _distinct(found: list[Task], given: str, problem: str) -> list[Task]:
    if not found:
        raise UserError(given, problem, "check the path, which all machines must see")
    by_name: dict[str, Task] = {}
    for task in sorted(found, key=lambda task: task.name):
        first = by_name.setdefault(task.name, task)
        if first.source != task.source:
            raise UserError(
                given,
                f"{first.source} and {task.source} would both be written as {task.name}",
                "name the folder that both are in",
            )
    return list(by_name.values())


def _files(given: str, suffixes: tuple[str, ...]) -> Iterator[Task]:
    if address.is_remote(given):
        place = address.parse(given)
        for one in Store(place.scheme).find(place):
            name = _below(one.key, place)
            if place.is_pattern or one.key == place.path or name.lower().endswith(suffixes):
                identity = {"bytes": one.size, "version": one.version}
                yield Task(name, f"{place.scheme}://{one.key}", identity)
        return
    for path, name in _paths(given, lambda path: path.suffix.lower() in suffixes):
        if path.is_file():
            yield Task(name, str(path), _stamped(path))


def _folders(given: str) -> Iterator[Task]:
    if address.is_remote(given):
        yield from _remote_folders(address.parse(given))
        return
    if not _is_pattern(given) and Path(given).is_dir():
        parts = [path for path in sorted(Path(given).iterdir()) if _is_shown_folder(path)]
        paths = [(path, path.name) for path in parts] or [(Path(given), Path(given).name)]
    else:
        paths = [(path, name) for path, name in _paths(given, lambda _: False) if path.is_dir()]
    for path, name in paths:
        inside = sorted(one for one in path.rglob("*") if one.is_file())
        stamps = {one.relative_to(path).as_posix(): _stamped(one) for one in inside}
        yield Task(name, str(path.absolute()), {"files": stamps})


def _remote_folders(place: Address) -> Iterator[Task]:
    inside: dict[str, dict[str, str]] = {}
    for one in Store(place.scheme).find(place):
        name = _below(one.key, place)
        first, _, rest = name.partition("/")
        folder = first if rest else ""
        inside.setdefault(folder, {})[rest or first] = one.version
    root = f"{place.scheme}://{place.parent if place.is_pattern else place.path}"
    if list(inside) == [""]:
        yield Task(PurePosixPath(place.path).name, root, {"files": inside[""]})
        return
    for folder, versions in inside.items():
        if folder:
            yield Task(folder, f"{root}/{folder}", {"files": versions})


def _paths(given: str, is_wanted: Callable[[Path], bool]) -> Iterator[tuple[Path, str]]:
    """Yields paths, made absolute, and their names below what they have in common."""
    if _is_pattern(given):
        root = _fixed_part(given)
        for one in sorted(glob.glob(given, recursive=True)):
            yield Path(one).absolute(), Path(one).relative_to(root).as_posix()
        return
    path = Path(given)
    if not path.is_dir():
        yield path.absolute(), path.name
        return
    for one in sorted(path.rglob("*")):
        shown = one.relative_to(path)
        if is_wanted(one) and not any(part.startswith(".") for part in shown.parts):
            yield one.absolute(), shown.as_posix()


def _is_pattern(given: str) -> bool:
    return any(sign in given for sign in _PATTERN)


def _fixed_part(pattern: str) -> Path:
    parts = Path(pattern).parts
    first = next(number for number, part in enumerate(parts) if _is_pattern(part))
    return Path(*parts[:first])


def _below(key: str, place: Address) -> str:
    root = place.parent if place.is_pattern or key == place.path else place.path
    return key[len(root) + 1 :]


def _is_shown_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")


def _stamped(path: Path) -> dict[str, int]:
    found = path.stat()
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns}
