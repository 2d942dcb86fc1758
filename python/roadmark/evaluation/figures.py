"""Figures of several models side by side, the best marked, for the terminal and a page alike."""

import dataclasses
import html
import math
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table


@dataclasses.dataclass(frozen=True)
class Figure:
    """A row.

    Attributes:
        name: With its unit.
        values: Of each model; NaN where not known.
        digits: After the point.
        best: Which is best: `max`, `min`, or `` where that is no question.
    """

    name: str
    values: Sequence[float]
    digits: int
    best: str

    def texts(self) -> list[str]:
        """The values for the reader."""
        return ["–" if math.isnan(value) else f"{value:,.{self.digits}f}" for value in self.values]

    def is_best(self) -> list[bool]:
        """Which values are the best of several."""
        known = {value for value in self.values if not math.isnan(value)}
        if not self.best or len(known) < 2:
            return [False] * len(self.values)
        best = max(known) if self.best == "max" else min(known)
        return [value == best for value in self.values]


def scaled(value: float | None, unit: float) -> float:
    """A value in another unit; NaN for None."""
    return math.nan if value is None else value / unit


def as_html(names: Sequence[str], rows: Sequence[Figure], what: str = "") -> str:
    """A table of a page.

    Args:
        names: Of the models.
        rows: The figures.
        what: Heads the column of the figures' names.
    """
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in (what, *names))
    body = ""
    for row in rows:
        cells = "".join(
            f"<td><b>{text}</b></td>" if best else f"<td>{text}</td>"
            for text, best in zip(row.texts(), row.is_best(), strict=True)
        )
        body += f"<tr><td>{html.escape(row.name)}</td>{cells}</tr>"
    return f"<table><tr>{heads}</tr>{body}</table>"


def as_table(names: Sequence[str], rows: Sequence[Figure]) -> Table:
    """A table of the terminal; see `as_html`."""
    table = Table(title="runs", title_justify="left")
    table.add_column("")
    for name in names:
        table.add_column(escape(name), justify="right", overflow="fold")
    for figure in rows:
        cells = zip(figure.texts(), figure.is_best(), strict=True)
        shown = [f"[bold]{text}[/bold]" if best else text for text, best in cells]
        table.add_row(escape(figure.name), *shown)
    return table
