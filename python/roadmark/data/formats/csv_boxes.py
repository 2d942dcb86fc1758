"""What CSV formats with a row per box have in common."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from roadmark.data import layout
from roadmark.data.findings import Ledger, Rule

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
    """
    with open(file, encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = csv.DictReader(stream)
        for row in rows:
            place = f"line {rows.line_num}"
            values = {key: (value or "").strip() for key, value in row.items() if key is not None}
            try:
                ymin, xmin, ymax, xmax = (float(values[side]) for side in sides)
            except ValueError:
                found = ",".join(values.values())[:80]
                ledger.add(Rule.MALFORMED, f"{file}: {place}", f"not four numbers in: {found}")
                continue
            yield place, values, (ymin, xmin, ymax, xmax)


def _header(path: Path) -> frozenset[str]:
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as stream:
        return frozenset(next(csv.reader(stream), []))
