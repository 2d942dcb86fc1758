"""Text files of data sets."""

from pathlib import Path

from roadmark.errors import UserError


def read(path: Path) -> str:
    """The text of a UTF-8 file, without the mark that some editors put before it.

    Raises:
        UserError: It is not UTF-8; names the file and the line.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}: line {line}", f"not UTF-8 text: {error.reason}", "save it as UTF-8"
        ) from None
