"""Line and bar charts as SVG texts that stand in a page, scale with it, and print.

They are drawn for a width of 360 px, a phone's, and hold no script and no reference.
"""

import dataclasses
import html
import math
from collections.abc import Iterable, Sequence

# Okabe and Ito's colours (https://jfly.uni-koeln.de/color/) that show on white, then others.
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7711ff",
    "#333333",
)
_WIDTH, _HEIGHT = 360, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 10, 38
_LEAST_TICKS = 3
_BAR_HEIGHT, _BAR_LEFT, _BAR_RIGHT = 26, 118, 92


@dataclasses.dataclass(frozen=True)
class Series:
    """A line.

    Attributes:
        name: For the legend.
        points: x and y; the line is broken where one is NaN.
        mark: A point to set a dot at, or None.
        colour: Its number, see `colour`; None for the line's place among the chart's.
        is_dashed: Whether to draw it in dashes; such a line is left out of the legend.
    """

    name: str
    points: Sequence[tuple[float, float]]
    mark: tuple[float, float] | None = None
    colour: int | None = None
    is_dashed: bool = False


@dataclasses.dataclass(frozen=True)
class Axes:
    """What the frame of a chart of lines stands for; what lies beyond is cut off at it.

    Attributes:
        x: Least and largest value from left to right.
        y: Likewise from the bottom to the top.
    """

    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)


def fitting(series: Sequence["Series"]) -> Axes:
    """Axes from 0 to a little beyond the largest values of some lines."""
    points = [point for one in series for point in one.points if not any(map(math.isnan, point))]
    largest = [max((point[axis] for point in points), default=0.0) or 1.0 for axis in (0, 1)]
    return Axes((0.0, largest[0]), (0.0, 1.05 * largest[1]))


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar that lies.

    Attributes:
        label: To the left of it.
        value: Its length; NaN for none.
        note: To the right of it.
    """

    label: str
    value: float
    note: str


def colour(number: int) -> str:
    """The colour of the line of this number, from 0."""
    return COLOURS[number % len(COLOURS)]


def lines(
    title: str,
    x_title: str,
    y_title: str,
    series: Sequence[Series],
    diagonal: bool = False,
    dots: bool = False,
    axes: Axes = Axes(),
) -> str:
    """A chart of lines, with a legend below where there is more than one.

    Args:
        title: What it shows, for who cannot see it.
        x_title: Below the x axis.
        y_title: Beside the y axis.
        series: The lines.
        diagonal: Whether to draw x = y too.
        dots: Whether to set a dot at each point.
        axes: What is shown; the unit square when left out.
    """
    parts = [_axes(x_title, y_title, axes)]
    if diagonal:
        (x0, y0), (x1, y1) = _place(axes, 0, 0), _place(axes, 1, 1)
        parts.append(f'<path d="M{x0} {y0}L{x1} {y1}" stroke="#999" stroke-dasharray="4 4"/>')
    for number, one in enumerate(series):
        parts.append(_line(one, colour(_colour_number(one, number)), dots, axes))
    return _svg(title, _WIDTH, _HEIGHT, parts) + _legend(series)


def bars(title: str, rows: Sequence[Bar], colour_number: int = 0, whole: float = 0) -> str:
    """A chart of bars, one below the other.

    Args:
        title: What it shows, for who cannot see it.
        rows: The bars.
        colour_number: See `colour`.
        whole: The value that fills the width; at 0 the largest does.
    """
    largest = whole or max((row.value for row in rows if row.value > 0), default=1.0)
    parts = []
    for number, row in enumerate(rows):
        middle = number * _BAR_HEIGHT + _BAR_HEIGHT / 2
        length = (_WIDTH - _BAR_LEFT - _BAR_RIGHT) * _clipped(row.value / largest)
        parts.append(
            f'<text x="{_BAR_LEFT - 6}" y="{middle + 4:g}" text-anchor="end">'
            f"{html.escape(_shortened(row.label))}</text>"
            f'<rect x="{_BAR_LEFT}" y="{middle - 8:g}" width="{max(length, 1):.1f}" height="16" '
            f'fill="{colour(colour_number)}"/>'
            f'<text x="{_BAR_LEFT + length + 5:.1f}" y="{middle + 4:g}">'
            f"{html.escape(row.note)}</text>"
        )
    return _svg(title, _WIDTH, max(1, len(rows)) * _BAR_HEIGHT, parts)


def _svg(title: str, width: int, height: int, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" fill="none">'
        f"<title>{html.escape(title)}</title>{''.join(parts)}</svg>"
    )


def _axes(x_title: str, y_title: str, axes: Axes) -> str:
    parts = []
    left, bottom = _place(axes, axes.x[0], axes.y[0])
    right, top = _place(axes, axes.x[1], axes.y[1])
    for tick in _ticks(*axes.x):
        x, _ = _place(axes, tick, axes.y[0])
        parts.append(
            f'<path d="M{x} {bottom}V{top}" stroke="#e2e2e2"/>'
            f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{_tick_text(tick)}</text>'
        )
    for tick in _ticks(*axes.y):
        _, y = _place(axes, axes.x[0], tick)
        parts.append(
            f'<path d="M{left} {y}H{right}" stroke="#e2e2e2"/>'
            f'<text x="{left - 5}" y="{y + 4}" text-anchor="end">{_tick_text(tick)}</text>'
        )
    parts.append(
        f'<text x="{(left + right) / 2:g}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{html.escape(x_title)}</text>"
        f'<text transform="translate(9 {(top + bottom) / 2:g}) rotate(-90)" text-anchor="middle">'
        f"{html.escape(y_title)}</text>"
    )
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, five or so."""
    power = 10.0 ** math.floor(math.log10(high - low))
    step = next(
        part * power
        for part in (1.0, 0.5, 0.2, 0.1)
        if (high - low) / (part * power) >= _LEAST_TICKS
    )
    first = math.ceil(round(low / step, 9))
    return [number * step for number in range(first, math.floor(round(high / step, 9)) + 1)]


def _tick_text(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{round(value, 9):g}"


def _line(series: Series, stroke: str, dots: bool, axes: Axes) -> str:
    path, drawing, marks = [], False, []
    for x, y in series.points:
        if math.isnan(x) or math.isnan(y):
            drawing = False
            continue
        place = _place(axes, x, y)
        path.append(f"{'L' if drawing else 'M'}{place[0]:g} {place[1]:g}")
        drawing = True
        if dots:
            marks.append(place)
    if series.mark is not None and not any(map(math.isnan, series.mark)):
        marks.append(_place(axes, *series.mark))
    circles = "".join(f'<circle cx="{x}" cy="{y}" r="4" fill="{stroke}"/>' for x, y in marks)
    dashes = ' stroke-dasharray="5 3"' if series.is_dashed else ""
    return f'<path d="{"".join(path)}" stroke="{stroke}" stroke-width="2"{dashes}/>{circles}'


def _legend(series: Sequence[Series]) -> str:
    named = [(number, one) for number, one in enumerate(series) if not one.is_dashed]
    if len(named) < 2:
        return ""
    entries = (
        f'<span><i style="background:{colour(_colour_number(one, number))}"></i>'
        f"{html.escape(one.name)}</span>"
        for number, one in named
    )
    return f'<p class="legend">{"".join(entries)}</p>'


def _colour_number(series: Series, number: int) -> int:
    return number if series.colour is None else series.colour


def _place(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Where a point stands in the picture."""
    across, up = (
        _clipped((value - low) / (high - low))
        for value, (low, high) in zip((x, y), (axes.x, axes.y), strict=True)
    )
    left = _LEFT + across * (_WIDTH - _LEFT - _RIGHT)
    top = _TOP + (1 - up) * (_HEIGHT - _TOP - _BOTTOM)
    return round(left, 1), round(top, 1)


def _clipped(value: float) -> float:
    return 0.0 if math.isnan(value) else min(max(value, 0.0), 1.0)


def _shortened(label: str, length: int = 17) -> str:
    return label if len(label) <= length else f"…{label[1 - length :]}"
