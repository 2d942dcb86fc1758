"""What CSV formats with a row per box have in common."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from roadmark.data import layout
from roadmark.data.findings import Ledger, Rule
from roadmark.errors import UserError

Row = dict[str, str]
Box = tuple[float, float, float, float]


def files_with(root: Path, columns: frozenset[str]) -> list[Path]:
    """The CSV files below a folder whose header has these columns."""
    return [path for path in layout.find(root, {".csv"}) if _header(path) >= columns]


def boxes(file: Path, sides: Sequence[str], ledger: Ledger) -> Iterator[tuple[str, Row, Box]]:
    """Yields `(place, row, box)` of every row whose coordinates are numbers.

    Args:
        file: With a header.
        sides: The columns of ymin, xmin, ymax and xmax.
        ledger: Learns of the other rows.

    Raises:
        UserError: A row is no CSV.
    """
    with open(file, encoding="utf-8-sig", errors="replace", newline="") as stream:
        lines = rows(stream, file)
        _, header = next(lines, (0, []))
        for line, row in lines:
            place = f"line {line}"
            filled = row + [""] * (len(header) - len(row))
            values = {key: value.strip() for key, value in zip(header, filled, strict=False)}
            try:
                ymin, xmin, ymax, xmax = (float(values[side]) for side in sides)
            except ValueError:
                found = ",".join(values.values())[:80]
                ledger.add(Rule.MALFORMED, f"{file}: {place}", f"not four numbers in: {found}")
                continue
            yield place, values, (ymin, xmin, ymax, xmax)


def rows(stream: TextIO, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the number of a line and its row; empty lines are passed over.

    Args:
        stream: Opened with `newline=""`.
        file: What it reads, for messages.

    Raises:
        UserError: A row is no CSV, such as one with a field that never ends.
    """
    reader = csv.reader(stream)
    try:
        yield from ((reader.line_num, row) for row in reader if row)
    except csv.Error as error:
        where = f"{file}: line {reader.line_num}"
        raise UserError(where, f"not CSV: {error}", "mend the line") from None


def _header(path: Path) -> frozenset[str]:
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as stream:
        try:
            return frozenset(next(csv.reader(stream), []))
        except csv.Error:
            # Some other file: readers look at the header of every .csv below the folder.
            return frozenset()
