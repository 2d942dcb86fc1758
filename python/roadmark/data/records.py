"""Files of records: which ones a glob names."""

import glob
from pathlib import Path

from roadmark.errors import UserError


def match(pattern: str) -> list[Path]:
    """The files that a glob names, sorted.

    Args:
        pattern: A glob such as `data/records/train-*`, or several with commas between them.

    Raises:
        UserError: One of the globs matches no file.
    """
    found = {path for part in pattern.split(",") for path in _match_one(part.strip())}
    return sorted(found)


def _match_one(pattern: str) -> list[Path]:
    paths = [Path(name) for name in glob.glob(pattern, recursive=True)]
    files = [path for path in paths if path.is_file()]
    if not files:
        raise UserError(
            pattern,
            "no records match",
            "name files that exist, or make some with: "
            "bazel run //python:prepare -- --from=synthetic",
        )
    return files
