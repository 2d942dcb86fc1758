"""Rows of a benchmark, and the table, JSON and Markdown made of them."""

import dataclasses
import json
from typing import Any

from rich import box
from rich.table import Table

_TEXTS, _FIGURES = ("operation", "size", "against"), ("ours", "theirs", "ratio", "target", "floor")
HEADINGS = (*_TEXTS, "threads", *_FIGURES)


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure beside its peer's.

    Attributes:
        suite: Of which command: `ops`, ...
        operation: What was measured.
        size: Of its input.
        threads: That either side might use.
        device: `cpu`, or a GPU's name.
        peer: What it is compared with.
        unit: Of `ours`, `theirs` and `floor`.
        ours: Measured.
        theirs: Measured.
        target: What `ratio` should be at least; None where nothing was promised.
        floor: What this machine cannot be faster than; None where that is not known.
        floor_basis: How the floor comes about.
        counted: What either side's figure includes.
        agreement: How the results of both sides compare.
    """

    suite: str
    operation: str
    size: str
    threads: int
    device: str
    peer: str
    unit: str
    ours: float
    theirs: float
    target: float | None
    floor: float | None
    floor_basis: str
    counted: str
    agreement: str

    @property
    def ratio(self) -> float:
        """How many times better than the peer we are."""
        return self.theirs / self.ours

    @property
    def meets_target(self) -> bool:
        """Whether the target, if there is one, is reached."""
        return self.target is None or self.ratio >= self.target


@dataclasses.dataclass(frozen=True)
class Report:
    """What a run found.

    Attributes:
        machine: Where, when and with which versions.
        rows: The figures.
        failures: A line for each row that could not be measured.
    """

    machine: dict[str, Any]
    rows: tuple[Row, ...]
    failures: tuple[str, ...] = ()


def verdict(report: Report) -> str:
    """One line: how many of the promised ratios are reached, and how many rows failed."""
    promised = [row for row in report.rows if row.target is not None]
    reached = f"{sum(row.meets_target for row in promised)} of {len(promised)} targets reached"
    return f"{reached}; {len(report.failures)} rows FAILED" if report.failures else reached


def to_json(report: Report) -> str:
    """`{"machine": …, "rows": […]}`, each row with its ratio; NaN and infinity are refused."""
    rows = [{**dataclasses.asdict(row), "ratio": row.ratio} for row in report.rows]
    found = {"machine": report.machine, "rows": rows}
    if report.failures:
        found["failures"] = list(report.failures)
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def to_table(report: Report) -> Table:
    """The figures for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in _TEXTS else "right")
    for row in report.rows:
        colour = "" if row.target is None else "green" if row.meets_target else "red"
        table.add_row(*cells(row), style=colour)
    return table


def to_markdown(report: Report, command: str) -> str:
    """A page for `docs/results/`.

    Args:
        report: What was found.
        command: That printed it.
    """
    suites = ", ".join(dict.fromkeys(row.suite for row in report.rows))
    parts = [
        f"# Benchmark: {suites}",
        _machine_paragraph(report.machine),
        f"    {command}",
        "`ratio` is theirs over ours, so above 1 we are faster. The floor is what this machine "
        "cannot be faster than, as said below.",
        _markdown_table(report.rows),
        "\n".join(f"- FAILED: {failure}" for failure in report.failures),
        _notes(report.rows),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def cells(row: Row) -> list[str]:
    """A row as texts, below `HEADINGS`."""
    ours, theirs = (f"{_figure(value)} {row.unit}" for value in (row.ours, row.theirs))
    floor = "" if row.floor is None else f"{_figure(row.floor)} {row.unit}"
    ratio = f"{_figure(row.ratio)}x"
    texts = [row.operation, row.size, row.peer]
    return [*texts, str(row.threads), ours, theirs, ratio, _target(row), floor]


def _target(row: Row) -> str:
    if row.target is None:
        return ""
    return f"{row.target:g}x {'met' if row.meets_target else 'missed'}"


def _figure(value: float) -> str:
    """Three digits that count."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{decimals}f}"


def _markdown_table(rows: tuple[Row, ...]) -> str:
    lines = [" | ".join(HEADINGS), "|".join("---" for _ in HEADINGS)]
    lines.extend(" | ".join(cells(row)) for row in rows)
    return "\n".join(f"| {line} |" for line in lines)


def _notes(rows: tuple[Row, ...]) -> str:
    """What was counted and compared, once for each operation and peer, and the floors."""
    counted, floors = {}, {}
    for row in rows:
        counted.setdefault((row.operation, row.peer), {})[row.size] = row
        if row.floor is not None:
            floors[f"{row.operation} {row.size}: {row.floor_basis}"] = None
    lines = []
    for (operation, peer), sizes in counted.items():
        agreements = "; ".join(f"{size}: {row.agreement}" for size, row in sizes.items())
        first = next(iter(sizes.values()))
        lines.append(f"- **{operation}, {peer}.** Counted on {first.counted}. {agreements}.")
    return "\n".join(lines + [f"- Floor of {floor}." for floor in floors])


def _machine_paragraph(machine: dict[str, Any]) -> str:
    return "\n".join(f"- {name}: {_text(value)}" for name, value in machine.items())


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)
