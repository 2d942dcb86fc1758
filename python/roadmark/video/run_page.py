"""A run of `infer` as one HTML file, without scripts and without anything to load."""

import base64
import dataclasses
import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from roadmark import atomic
from roadmark.evaluation import charts, page
from roadmark.video.sights import Sights
from roadmark.video.speed import Speed

_MOST_LINES = len(charts.COLOURS)
_WIDTH, _HEIGHT = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 10, 36
_STILL_WIDTH = 720
_JPEG_QUALITY = 80
# The heat covers the still this much where it is hottest.
_OPACITY = 0.8
_STEPS = (1, 2, 5, 10, 15, 30)
_TIME_STEPS_S = (*(0.1, 0.2, 0.5), *_STEPS, *(60 * step for step in _STEPS), 3600, 7200, 14400)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is told of a run.

    Attributes:
        video: The name of the video.
        model: What looked at it, in words.
        frames: How many were written.
        objects: Number of detections by class name.
        notes: What else is to be known, such as damage.
        counted: What each line and zone has counted: class name and number by what they did, by
            the title of the line or zone.
    """

    video: str
    model: str
    frames: int
    objects: Mapping[str, int]
    notes: Sequence[str]
    counted: Mapping[str, Mapping[str, Mapping[str, int]]]


def write(path: Path, facts: Facts, sights: Sights, still: np.ndarray, speed: Speed) -> None:
    """Writes the page.

    Args:
        path: The .html file.
        facts: About the run.
        sights: When and where objects were seen.
        still: uint8 `[H, W, 3]` RGB, a frame that is not drawn on.
        speed: What took how long.
    """
    sections = [
        _head(facts, speed),
        _over_time(facts, sights),
        _where(facts, sights, still),
        _counted(facts),
        _stages(speed),
    ]
    atomic.write_text(path, page.document(facts.video, filter(None, sections)))


def heat_map(still: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A grey picture with heat over it, from nothing where no object was to yellow.

    Args:
        still: uint8 `[H, W, 3]` RGB.
        heat: float64 `[rows, columns]`, 0 or more.

    Returns:
        uint8 `[H', W', 3]` BGR, 720 pixels wide or less.
    """
    width = min(_STILL_WIDTH, still.shape[1])
    height = max(1, round(still.shape[0] * width / still.shape[1]))
    grey = cv2.cvtColor(still, cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR).astype(np.float32)
    if not heat.any():
        return picture.astype(np.uint8)
    # The root brings out places where objects are seldom.
    share = np.sqrt(heat / heat.max()).astype(np.float32)
    share = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(np.round(share * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    weight = (share * _OPACITY)[..., None]
    return np.round(picture * (1 - weight) + colours * weight).astype(np.uint8)


def _head(facts: Facts, speed: Speed) -> str:
    tiles = [
        ("frames", f"{facts.frames:,}"),
        ("detections", f"{sum(facts.objects.values()):,}"),
        ("frames/s", f"{speed.fps:.1f}"),
        ("time taken", _clock(speed.seconds)),
    ]
    shown = "".join(f'<div class="tile">{name}<b>{value}</b></div>' for name, value in tiles)
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in facts.notes)
    return (
        f'<h1>{html.escape(facts.video)}</h1><p class="about">{html.escape(facts.model)}</p>'
        f'<div class="tiles">{shown}</div>{notes}'
    )


def _over_time(facts: Facts, sights: Sights) -> str:
    heading = "<h2>Objects over time</h2>"
    if not facts.objects:
        return f"{heading}<p>Nothing was found above the score threshold.</p>"
    names = sorted(facts.objects, key=lambda name: -facts.objects[name])
    shown = names[:_MOST_LINES]
    rest = "" if len(shown) == len(names) else f" Lines: the {len(shown)} most frequent classes."
    rows = [
        [
            name,
            f"{facts.objects[name]:,}",
            f"{facts.objects[name] / max(1, sights.frames):.2f}",
            f"{max((v for v in sights.per_frame(name) if not math.isnan(v)), default=0):.2f}",
        ]
        for name in names
    ]
    heads = ["class", "detections", "per frame", "most, per frame"]
    legend = "".join(
        f'<span><i style="background:{charts.colour(number)}"></i>{html.escape(name)}</span>'
        for number, name in enumerate(shown)
    )
    return (
        f"{heading}<p>How many objects of a class a frame shows, on average over "
        f"{_clock(sights.slot_s)} each.{rest}</p>"
        f'<div class="charts"><div>{_chart(sights, shown)}<p class="legend">{legend}</p></div>'
        f"{page.boxed(page.table(heads, rows))}</div>"
    )


def _where(facts: Facts, sights: Sights, still: np.ndarray) -> str:
    if not facts.objects:
        return ""
    _, data = cv2.imencode(
        ".jpg", heat_map(still, sights.heat), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    encoded = base64.b64encode(data.tobytes()).decode()
    most = sights.heat.max() / max(1, sights.frames)
    return (
        "<h2>Where objects were</h2>"
        "<p>On the first frame: dark where a box lay seldom, yellow where most often. At the "
        f"brightest place {most:.2g} boxes lie over each other on average.</p>"
        f'<figure style="max-width:{_STILL_WIDTH}px"><img class="whole" '
        f'alt="heat map of the boxes" src="data:image/jpeg;base64,{encoded}"></figure>'
    )


def _counted(facts: Facts) -> str:
    parts = []
    for title, ways in facts.counted.items():
        rows = [
            [way, name, str(number)]
            for way, counts in ways.items()
            for name, number in (counts or {"–": 0}).items()
        ]
        parts.append(
            f"<h2>Counted: {html.escape(title)}</h2>" + page.table(["", "class", "objects"], rows)
        )
    return "".join(parts)


def _stages(speed: Speed) -> str:
    rows = [
        [
            stage.name,
            *(f"{ms:.2f}" for ms in (stage.p50_ms, stage.p90_ms, stage.p99_ms)),
            f"{stage.share:.0%}",
            f"{stage.queue:.1f}",
        ]
        for stage in speed.stages
    ]
    heads = ["stage", "p50 ms", "p90 ms", "p99 ms", "at work", "waiting"]
    return (
        "<h2>What took how long</h2>"
        "<p>Milliseconds per frame; the share of the time in which the stage was at work; batches "
        f"that lay before it. Bottleneck: {html.escape(speed.bottleneck)}.</p>"
        + page.boxed(page.table(heads, rows))
    )


def _chart(sights: Sights, names: Sequence[str]) -> str:
    values = {name: sights.per_frame(name) for name in names}
    highest = max(v for one in values.values() for v in one if not math.isnan(v))
    top = _rounded_up(highest)
    end = len(sights.slots) * sights.slot_s
    parts = [_axes(end, top)]
    for number, one in enumerate(values.values()):
        parts.append(_line(one, sights.slot_s, end, top, charts.colour(number)))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" fill="none">'
        f"<title>objects per frame over time</title>{''.join(parts)}</svg>"
    )


def _axes(end: float, top: float) -> str:
    left, bottom = _place(0, 0)
    right, _ = _place(1, 0)
    parts = []
    for number in range(5):
        y = _place(0, number / 4)[1]
        parts.append(
            f'<path d="M{left} {y}H{right}" stroke="#e2e2e2"/>'
            f'<text x="{left - 5}" y="{y + 4}" text-anchor="end">{top * number / 4:g}</text>'
        )
    step = next((one for one in _TIME_STEPS_S if end / one <= 6), end / 4)
    for number in range(int(end / step) + 1):
        x = _place(number * step / end, 0)[0]
        parts.append(
            f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{_clock(number * step)}</text>'
        )
    middle = _place(0.5, 0.5)
    parts.append(
        f'<text x="{middle[0]}" y="{_HEIGHT - 4}" text-anchor="middle">time in the video</text>'
        f'<text transform="translate(11 {middle[1]}) rotate(-90)" text-anchor="middle">'
        "objects per frame</text>"
    )
    return "".join(parts)


def _line(values: Sequence[float], slot_s: float, end: float, top: float, stroke: str) -> str:
    """Steps, one for each slot; broken where a slot has no frame."""
    path, drawing = [], False
    for number, value in enumerate(values):
        if math.isnan(value):
            drawing = False
            continue
        x0, y = _place(number * slot_s / end, value / top)
        x1, _ = _place((number + 1) * slot_s / end, 0)
        path.append(f"{'L' if drawing else 'M'}{x0} {y}H{x1}")
        drawing = True
    return f'<path d="{"".join(path)}" stroke="{stroke}" stroke-width="2"/>'


def _place(x: float, y: float) -> tuple[float, float]:
    """Where a point of the unit square stands in the chart."""
    across = _LEFT + x * (_WIDTH - _LEFT - _RIGHT)
    down = _TOP + (1 - y) * (_HEIGHT - _TOP - _BOTTOM)
    return round(across, 1), round(down, 1)


def _rounded_up(value: float) -> float:
    """The next number that reads well when divided by 4."""
    scale = 10.0 ** math.floor(math.log10(value))
    return next(step * scale for step in (1, 2, 4, 6, 8, 10, 20) if value <= step * scale)


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
