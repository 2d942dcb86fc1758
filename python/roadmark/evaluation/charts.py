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
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_BAR_HEIGHT, _BAR_LEFT, _BAR_RIGHT = 26, 118, 92


@dataclasses.dataclass(frozen=True)
class Series:
    """A line.

    Attributes:
        name: For the legend.
        points: x and y, both 0 to 1; the line is broken where one is NaN.
        mark: A point to set a dot at, or None.
    """

    name: str
    points: Sequence[tuple[float, float]]
    mark: tuple[float, float] | None = None


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
) -> str:
    """A chart of lines over a unit square, with a legend below where there is more than one.

    Args:
        title: What it shows, for who cannot see it.
        x_title: Below the x axis.
        y_title: Beside the y axis.
        series: The lines.
        diagonal: Whether to draw x = y too.
        dots: Whether to set a dot at each point.
    """
    parts = [_axes(x_title, y_title)]
    if diagonal:
        (x0, y0), (x1, y1) = _place(0, 0), _place(1, 1)
        parts.append(f'<path d="M{x0} {y0}L{x1} {y1}" stroke="#999" stroke-dasharray="4 4"/>')
    for number, one in enumerate(series):
        parts.append(_line(one, colour(number), dots))
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


def _axes(x_title: str, y_title: str) -> str:
    parts = []
    for tick in _TICKS:
        x, y = _place(tick, tick)
        (left, bottom), (right, top) = _place(0, 0), _place(1, 1)
        parts.append(
            f'<path d="M{x} {bottom}V{top}M{left} {y}H{right}" stroke="#e2e2e2"/>'
            f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{tick:g}</text>'
            f'<text x="{left - 5}" y="{y + 4}" text-anchor="end">{tick:g}</text>'
        )
    middle = _place(0.5, 0.5)
    parts.append(
        f'<text x="{middle[0]}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{html.escape(x_title)}</text>"
        f'<text transform="translate(11 {middle[1]}) rotate(-90)" text-anchor="middle">'
        f"{html.escape(y_title)}</text>"
    )
    return "".join(parts)


def _line(series: Series, stroke: str, dots: bool) -> str:
    path, drawing, marks = [], False, []
    for x, y in series.points:
        if math.isnan(x) or math.isnan(y):
            drawing = False
            continue
        place = _place(x, y)
        path.append(f"{'L' if drawing else 'M'}{place[0]:g} {place[1]:g}")
        drawing = True
        if dots:
            marks.append(place)
    if series.mark is not None and not any(map(math.isnan, series.mark)):
        marks.append(_place(*series.mark))
    circles = "".join(f'<circle cx="{x}" cy="{y}" r="4" fill="{stroke}"/>' for x, y in marks)
    return f'<path d="{"".join(path)}" stroke="{stroke}" stroke-width="2"/>{circles}'


def _legend(series: Sequence[Series]) -> str:
    if len(series) < 2:
        return ""
    entries = (
        f'<span><i style="background:{colour(number)}"></i>{html.escape(one.name)}</span>'
        for number, one in enumerate(series)
    )
    return f'<p class="legend">{"".join(entries)}</p>'


def _place(x: float, y: float) -> tuple[float, float]:
    """Where a point of the unit square stands in the picture."""
    across = _LEFT + _clipped(x) * (_WIDTH - _LEFT - _RIGHT)
    down = _TOP + (1 - _clipped(y)) * (_HEIGHT - _TOP - _BOTTOM)
    return round(across, 1), round(down, 1)


def _clipped(value: float) -> float:
    return 0.0 if math.isnan(value) else min(max(value, 0.0), 1.0)


def _shortened(label: str, length: int = 17) -> str:
    return label if len(label) <= length else f"…{label[1 - length :]}"
