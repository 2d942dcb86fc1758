"""Output files that are whole under their name, or kept apart as a part of the work."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from roadmark.atomic import atomic_path
from roadmark.errors import DISK_CURES, UserError

Report = Callable[[str], None]
"""Takes a notice for the user, one line."""


def print_report(line: str) -> None:
    """Prints a notice on stderr."""
    print(line, file=sys.stderr)


def partial_path(path: str | Path) -> Path:
    """Where the part of `path` that could be written is kept: `NAME.partial.mp4`."""
    path = Path(path)
    return path.with_name(f"{path.stem}.partial{path.suffix}")


@contextlib.contextmanager
def whole_or_partial(paths: Sequence[Path], report: Report) -> Iterator[list[Path]]:
    """Yields temporary file names beside `paths`; renames them to `paths` on success.

    On an exception each file goes to its `partial_path`, unless its writer has removed it or the
    disk is what failed. Parts that an earlier attempt left are removed on success.

    Args:
        paths: The final file names. Their folders are made when missing.
        report: Hears of the parts that are kept when the program is stopped. (Who raises a
            `UserError` names the part in it.)

    Yields:
        Names with the same suffixes in the same folders; the writers close them in the block.
    """
    with contextlib.ExitStack() as stack:
        temporary = [stack.enter_context(atomic_path(path)) for path in paths]
        try:
            yield temporary
        except BaseException as error:
            if not isinstance(error, OSError):
                _keep(temporary, paths, error, report)
            raise
    for path in paths:
        partial_path(path).unlink(missing_ok=True)


@contextlib.contextmanager
def refusing_disk(path: Path) -> Iterator[None]:
    """Turns what a full, read-only or forbidden disk raises into a `UserError` about `path`."""
    try:
        yield
    except OSError as error:
        cure = DISK_CURES.get(error.errno or 0)
        if cure is None:
            raise
        raise UserError(path, f"cannot be written: {error.strerror}", cure) from None


def _keep(
    temporary: Sequence[Path], paths: Sequence[Path], error: BaseException, report: Report
) -> None:
    for written, path in zip(temporary, paths, strict=True):
        if not written.exists():
            continue
        os.replace(written, partial_path(path))
        if not isinstance(error, UserError):
            report(f"kept what was written: {partial_path(path)}")
