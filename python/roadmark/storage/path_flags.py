"""Flags that take files and folders, also in buckets: `s3://…` and `gs://…`.

Defining one says whether the app reads or writes there. Before the app's main function begins, what
it reads is fetched and the flag's value becomes the local copy's path; what it writes goes to a
local folder and is uploaded behind it. An app whose flags name no bucket imports nothing for it.
"""

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from roadmark.errors import UserError
from roadmark.storage import address

if TYPE_CHECKING:
    from roadmark.storage.mirror import LiveUpload, Mirror

_LIVE_S = 15.0
# Flags are the app's that has them defined, whose --help lists them.
flags.disclaim_key_flags()


@dataclasses.dataclass(frozen=True)
class _Use:
    """What an app does with a flag's path.

    Attributes:
        reads: Whether it must be there.
        writes: Whether the app writes there or beside it.
        replaces: Whether a folder is written anew as a whole.
        is_live: Whether it is uploaded during the work too.
        unless: Name of a flag that, when given, leaves addresses to the app, as those of files that
            other machines fetch.
    """

    reads: bool = False
    writes: bool = False
    replaces: bool = False
    is_live: bool = False
    unless: str | None = None


_uses: dict[str, _Use] = {}
_given: dict[str, str] = {}
_fetched: dict[Path, "Mirror"] = {}


def define_input(
    name: str, default: str | None, text: str, unless: str | None = None, **more: Any
) -> flags.FlagHolder:
    """A flag of a file, a folder, or files by patterns with commas between them, to read.

    Args:
        name: Of the flag.
        default: Its value.
        text: Its help.
        unless: Name of a flag that, when given, leaves addresses to the app.
        **more: As `flags.DEFINE_string` takes it.
    """
    _uses[name] = _Use(reads=True, unless=unless)
    return flags.DEFINE_string(name, default, text, **more)


def define_inputs(name: str, default: Sequence[str], text: str) -> flags.FlagHolder:
    """A flag that may be given several times and in which paths to read may occur."""
    _uses[name] = _Use(reads=True)
    return flags.DEFINE_multi_string(name, default, text)


def define_input_list(name: str, default: Sequence[str], text: str) -> flags.FlagHolder:
    """A flag of files or folders to read, with commas between them."""
    _uses[name] = _Use(reads=True)
    return flags.DEFINE_list(name, default, text)


def define_output(
    name: str,
    default: str | None,
    text: str,
    replaces: bool = False,
    unless: str | None = None,
) -> flags.FlagHolder:
    """A flag of a file or folder to write; what is written beside it is uploaded beside it.

    Args:
        name: Of the flag.
        default: Its value.
        text: Its help.
        replaces: Whether a folder holds nothing else afterwards.
        unless: See `define_input`.
    """
    _uses[name] = _Use(writes=True, replaces=replaces, unless=unless)
    return flags.DEFINE_string(name, default, text)


def define_run(
    name: str, default: str | None, text: str, is_live: bool = False
) -> flags.FlagHolder:
    """A flag of something to read, if it is there, and to write into or beside.

    Args:
        name: Of the flag.
        default: Its value.
        text: Its help.
        is_live: Whether to upload during the work too, as checkpoints are.
    """
    _uses[name] = _Use(reads=not is_live, writes=True, is_live=is_live)
    return flags.DEFINE_string(name, default, text)


def leave_all(unless: str) -> None:
    """Leaves all addresses to the app when a flag is given, as it hands them to other machines."""
    for name, use in _uses.items():
        _uses[name] = dataclasses.replace(use, unless=unless)


def as_given(flag: flags.FlagHolder) -> Any:
    """A flag's value as the user gave it, for records of where something came from."""
    return _given.get(flag.name, flag.value)


def refresh(path: Path) -> None:
    """Fetches again what an address in a flag has become the copy of; other paths stay as they are.

    For apps that go on while somebody writes to the bucket. Shows no progress.

    Args:
        path: What main found in the flag.

    Raises:
        UserError: As `call`; the copy is not whole, or is the one from before.
    """
    if path in _fetched:
        _fetched[path].fetch(is_shown=False)


def call(main: Callable[..., int | None], words: Sequence[str]) -> int | None:
    """Calls an app's main function between fetching and uploading.

    Args:
        main: Takes the words.
        words: Arguments that are no flags; addresses among them are read.

    Returns:
        Main's exit code.

    Raises:
        UserError: A bucket or what is in it is not there, or access is denied.
    """
    named = [name for name, use in _uses.items() if _is_ours(name, use)]
    if not named and not _has_url(list(words)):
        return main(*words)
    places = _Places()
    for name in sorted(named):
        flag = flags.FLAGS[name]
        _given[name] = flag.value
        flag.value = places.local(flag.value, _uses[name])
    words = [places.local(word, _Use(reads=True)) for word in words]
    places.begin()
    try:
        code = main(*words)
    except BaseException:
        # What is whole is kept, and the reason told is main's.
        with contextlib.suppress(UserError):
            places.upload(is_done=False)
        raise
    places.upload(is_done=not code)
    return code


def _is_ours(name: str, use: _Use) -> bool:
    if name not in flags.FLAGS or not _has_url(flags.FLAGS[name].value):
        return False
    return use.unless is None or not flags.FLAGS[use.unless].value


def _has_url(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_url, value))
    return isinstance(value, str) and address.is_remote(value)


class _Places:
    """The places in buckets that one command uses."""

    def __init__(self) -> None:
        self._written: list[tuple[Mirror, _Use]] = []
        self._live: list[LiveUpload] = []

    def local(self, value: Any, use: _Use) -> Any:
        """A flag's value with local paths."""
        if isinstance(value, list):
            return [self.local(one, use) for one in value]
        return address.URL.sub(lambda found: self._one(found.group(), use), value)

    def _one(self, url: str, use: _Use) -> str:
        mirror = _mirror(url)
        if use.writes:
            mirror.check_writable()
            self._written.append((mirror, use))
        if use.reads or use.is_live:
            mirror.fetch(must_exist=use.reads)
            _fetched[mirror.local] = mirror
        return str(mirror.local)

    def begin(self) -> None:
        """Begins the uploads that go on beside the work."""
        from roadmark.storage.mirror import LiveUpload

        self._live = [LiveUpload(one, _LIVE_S) for one, use in self._written if use.is_live]

    def upload(self, is_done: bool) -> None:
        """Uploads what the app has written.

        Args:
            is_done: Whether it did all it was asked for.
        """
        for live in self._live:
            live.end()
        for mirror, use in self._written:
            try:
                count = mirror.upload(use.replaces and is_done)
            except UserError as error:
                raise UserError(
                    error.where, f"{error.problem}; what was to go there is in {mirror.local}",
                    error.cure,
                ) from None  # fmt: skip
            if count:
                url = mirror.place.url
                print(f"uploaded {count} files: {url}", file=sys.stderr, flush=True)


@functools.cache
def _mirror(url: str) -> "Mirror":
    from roadmark.storage.mirror import Mirror

    return Mirror(address.parse(url))
