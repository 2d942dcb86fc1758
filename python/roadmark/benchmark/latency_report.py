"""What the suite `latency` found, as a table, CSV, a page, and beside another run."""

import csv
import html
import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from roadmark.benchmark import report
from roadmark.benchmark.latency import LatencyReport
from roadmark.benchmark.latency_case import Measured, pareto, warnings
from roadmark.errors import UserError
from roadmark.evaluation import charts, page

_KEY = ("model", "engine", "precision", "batch")
_HEADINGS = {
    "pre": "pre",
    "to_device": "in",
    "network": "net",
    "to_host": "out",
    "post": "post",
}
_COLUMNS = (
    "model",
    "input",
    "engine",
    "batch",
    *_HEADINGS.values(),
    "ms",
    "min",
    "p90",
    "p99",
    "n",
    "/s",
    "first",
    "warm",
    "MB",
    "W",
    "file",
    "GFLOP",
    "mAP",
)
_ABOUT = (
    "input is the network's height and width. Milliseconds of a call, from a decoded picture to "
    "boxes: pre-processing, into the device, network, out of it, post-processing; ms is the median "
    "of the rounds' medians, n the number of samples behind p90 and p99, which with fewer than 10 "
    "and 100 is next to the largest. /s is pictures per second, one call after the other; first is "
    "the first call, warm the calls before the usual speed, both in ms; MB is the process' largest "
    "resident memory, W the power of the processor or GPU where it tells, "
    "file the size of the network in MB. Of a peer that runs the network alone, "
    "ms is the network's."
)
_SCENARIOS = (
    "case",
    "single stream p90",
    "8 pictures p99",
    "server",
    "its p99",
    "bound",
    "offline",
    "queries",
)


def to_json(found: LatencyReport) -> str:
    """As `report.to_json`, and all `cases`."""
    content = json.loads(report.to_json(found))
    content["picture"] = found.picture
    content["cases"] = [one.to_dict() for one in found.measured]
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_table(found: LatencyReport) -> Table:
    """The cases for a terminal."""
    return _terminal_table(_COLUMNS, [_cells(one) for one in found.measured])


def scenarios_table(found: LatencyReport) -> Table:
    """The kinds of load for a terminal."""
    return _terminal_table(_SCENARIOS, _scenario_rows(found))


def show(found: LatencyReport, other: Mapping[str, Any] | None) -> None:
    """Prints the cases, their kinds of load and warnings, and how they compare with another run."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(to_table(found))
    if any(one.scenarios for one in found.measured):
        console.print(scenarios_table(found))
    for one in found.measured:
        for line in warnings(one):
            console.print(f"warning: {one.case}: {line}", soft_wrap=True)
    for line in compare(found, other) if other else ():
        console.print(line, soft_wrap=True)


def to_csv(found: LatencyReport) -> str:
    """A line for each case, with every figure of the JSON that is one number or text."""
    rows = [_flat(one.to_dict()) for one in found.measured]
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def to_markdown(found: LatencyReport, command: str) -> str:
    """A page for `docs/results/`; see `report.to_markdown`."""
    parts = [
        report.to_markdown(found, command).rstrip(),
        "## All cases",
        _ABOUT,
        _markdown_table(_COLUMNS, [_cells(one) for one in found.measured]),
    ]
    loads = _scenario_rows(found)
    if loads:
        parts += ["## Kinds of load", _markdown_table(_SCENARIOS, loads)]
    lines = [f"- {one.case}: {line}" for one in found.measured for line in warnings(one)]
    if lines:
        parts += ["## Warnings", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def to_html(found: LatencyReport, command: str) -> str:
    """A page of one file, without scripts."""
    about = ", ".join(f"{name} {_text(value)}" for name, value in found.machine.items())
    targets = [report.cells(row) for row in found.rows]
    lines = [f"{one.case}: {line}" for one in found.measured for line in warnings(one)]
    lines += [f"FAILED: {line}" for line in found.failures]
    sections = [
        "<h1>Latency</h1>",
        f'<p class="about">{html.escape(command)}<br>{html.escape(about)}</p>',
        "<h2>Accuracy and time</h2>",
        *_scatter(found.measured),
        "<h2>All cases</h2>",
        f"<p>{html.escape(_ABOUT)}</p>",
        page.boxed(page.table(_COLUMNS, [_cells(one) for one in found.measured])),
        "<h2>Beside others, and what is promised</h2>",
        page.boxed(page.table(report.HEADINGS, targets)),
        "<h2>Kinds of load</h2>",
        "<p>As MLPerf Inference has them, with far fewer queries than its rules ask for.</p>",
        page.boxed(page.table(_SCENARIOS, _scenario_rows(found))),
        "<h2>Warnings</h2>",
        *(f"<p>{html.escape(line)}</p>" for line in lines or ["None."]),
    ]
    return page.document("Latency", sections)


def read(path: str | Path) -> dict[str, Any]:
    """What `to_json` wrote.

    Raises:
        UserError: The file is no such thing.
    """
    cure = "give a file that `benchmark -- latency --json=` wrote"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(path, f"cannot be read ({error.strerror})", cure) from None
    except ValueError:
        raise UserError(path, "found no JSON", cure) from None
    if not isinstance(content, dict) or not isinstance(content.get("cases"), list):
        raise UserError(path, "found no cases of a latency run", cure)
    return content


def compare(found: LatencyReport, other: Mapping[str, Any]) -> list[str]:
    """A line for each case that both runs have: how far they are apart, and whether that is noise.

    Medians of rounds are compared. A difference counts as such where every round of the one run is
    faster than every round of the other. With five rounds each, noise alone does that once in 126
    times; with three, once in 10, so repeat a run that matters with all rounds.
    """
    lines = []
    before = {_key(one): one for one in other["cases"]}
    for one in found.measured:
        now = one.to_dict()
        if _key(now) not in before:
            lines.append(f"{one.case}: not in the other run")
            continue
        then = before[_key(now)]
        ratio = then["median_ms"] / now["median_ms"]
        here, there = now["round_medians_ms"], then["round_medians_ms"]
        apart = max(here) < min(there) or max(there) < min(here)
        word = "faster" if ratio > 1 else "slower"
        said = f"{max(ratio, 1 / ratio):.2f} times {word}" if apart else "no difference above noise"
        lines.append(
            f"{one.case}: {now['median_ms']:.2f} ms ({min(here):.2f} to {max(here):.2f}), "
            f"there {then['median_ms']:.2f} ({min(there):.2f} to {max(there):.2f}): {said}"
        )
    differing = [
        f"{name} here {_text(found.machine.get(name))}, there {_text(other['machine'].get(name))}"
        for name in ("cpu", "cores", "gpus", "versions")
        if found.machine.get(name) != other.get("machine", {}).get(name)
    ]
    return [*lines, *(f"differs: {line}" for line in differing)]


def _key(case: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(case.get(name) for name in _KEY)


def _terminal_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        is_text = heading in ("model", "input", "engine", "case")
        table.add_column(heading, justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*row)
    return table


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(one: Measured) -> list[str]:
    case, parts = one.case, one.parts
    split = case.has_whole_path and not case.is_peer
    return [
        case.model,
        "x".join(map(str, one.input_size)),
        f"{case.engine} {case.precision}",
        str(case.batch),
        *(_figure(parts[name]) if split or name == "network" else "" for name in _HEADINGS),
        _figure(one.median),
        *(_figure(one.percentile(share)) for share in (0, 90, 99)),
        str(len(one.samples)),
        _figure(one.pictures_per_s),
        _figure(one.facts.get("first_ms")),
        _figure(one.facts.get("warm_up_ms")),
        _figure(one.facts.get("peak_mb")),
        _figure(one.facts.get("watts")),
        _figure(one.size_mb),
        _figure(one.gflop),
        "" if one.map is None else f"{one.map:.4f}",
    ]


def _scenario_rows(found: LatencyReport) -> list[list[str]]:
    rows = []
    for one in found.measured:
        if not one.scenarios:
            continue
        loads = one.scenarios
        served = loads["server"]
        rows.append(
            [
                str(one.case),
                f"{_figure(loads['single_stream']['p90_ms'])} ms",
                f"{_figure(loads['multi_stream']['p99_ms'])} ms",
                f"{_figure(served['rate'])}/s",
                f"{_figure(served['p99_ms'])} ms",
                f"{_figure(served['bound_ms'])} ms",
                f"{_figure(loads['offline']['pictures_per_s'])}/s",
                f"{loads['single_stream']['queries']}, {loads['multi_stream']['queries']}, "
                f"{served['queries']}, {loads['offline']['pictures']}",
            ]
        )
    return rows


def _scatter(measured: Sequence[Measured]) -> list[str]:
    whole = [one for one in measured if one.case.has_whole_path]
    if not whole:
        return ["<p>No case could be measured.</p>"]
    judged = [one for one in whole if one.map is not None]
    if not judged:
        bars = [charts.Bar(str(one.case), one.median, f"{one.median:.1f} ms") for one in whole]
        why = "No records were given (--records), so there is no mAP: times alone, whole path."
        return [f"<p>{why}</p>", charts.bars("Milliseconds of each case", bars)]
    points = [(one.median / one.case.batch, one.map) for one in judged]
    # First, so that the cases' dots lie on it.
    series = [charts.Series("Pareto", pareto(points), is_dashed=True, colour=7)]
    series += [
        charts.Series(f"{one.case} ({ms:.1f} ms, {one.map:.3f})", [(ms, accuracy)])
        for one, (ms, accuracy) in zip(judged, points, strict=True)
    ]
    chart = charts.lines(
        "mAP against milliseconds",
        "ms per picture, whole path",
        "mAP",
        series,
        dots=True,
        axes=charts.fitting(series),
    )
    note = "The dashed line joins those than which none is both faster and more accurate."
    return [f"<p>{note}</p>", f'<div class="charts"><div>{chart}</div></div>']


def _flat(case: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in case.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            flat[prefix + name] = "; ".join(map(str, value))
        else:
            flat[prefix + name] = value
    return flat


def _figure(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{decimals}f}"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
