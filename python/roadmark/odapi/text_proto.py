"""Text-format protocol buffers, read with errors that name the line."""

import difflib
import re
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from roadmark import atomic
from roadmark.errors import UserError

_POSITION = re.compile(r"^\d+:\d+ : ")
_UNKNOWN_FIELD = re.compile(r'Message type "([\w.]+)" has no field named "(\w+)"')


def load(path: str | Path, message_type: type, what: str) -> Any:
    """Reads a text-format message.

    Args:
        path: The file.
        message_type: The class of the message.
        what: What the file is, for messages: `pipeline config`.

    Returns:
        The message.

    Raises:
        UserError: The file cannot be read, is not text, or does not parse; names line and column.
    """
    message = message_type()
    try:
        text_format.Parse(_read(path, what), message)
    except text_format.ParseError as error:
        # Required fields that are missing are noticed at the end of the text: no position.
        where = f"{path}:{error.GetLine()}:{error.GetColumn()}" if error.GetLine() else str(path)
        problem = _POSITION.sub("", str(error)).rstrip(".")
        raise UserError(where, problem, _cure(message_type, problem, what)) from None
    return message


def save(message: Any, path: str | Path) -> None:
    """Writes `message` in text format, whole or not at all."""
    atomic.write_text(path, text_format.MessageToString(message))


def near(name: str, known: list[str]) -> str:
    """`did you mean 'x'?` for the known names that are like `name`, else the list of them."""
    matches = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if matches:
        return "did you mean " + " or ".join(repr(match) for match in matches) + "?"
    return "known names are " + ", ".join(sorted(known))


def _read(path: str | Path, what: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(str(path), f"no such {what}", "check the path") from None
    except UnicodeDecodeError as error:
        raise UserError(
            str(path), f"not text: byte {error.start} is not UTF-8", f"name a {what} in text format"
        ) from None
    except OSError as error:
        raise UserError(
            str(path),
            f"cannot be read as a {what}: {error.strerror}",
            "name a file that you may read",
        ) from None


def _cure(message_type: type, problem: str, what: str) -> str:
    unknown = _UNKNOWN_FIELD.search(problem)
    if unknown:
        owner = message_type.DESCRIPTOR.file.pool.FindMessageTypeByName(unknown.group(1))
        return near(unknown.group(2), [field.name for field in owner.fields])
    return f"correct the {what} there"
