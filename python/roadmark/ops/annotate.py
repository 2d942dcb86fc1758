"""Draws detections on a picture in place: boxes, filled label tags, masks, trails.

A picture is RGB, or the 4:2:0 planes of a video frame. On planes nothing is converted: only the
samples under a box, tag, mask or trail change, and a chroma sample, which stands for the 4 pixels
it lies over (2 or 1 at an odd edge), is mixed in the mean of what is drawn on those.
"""

import abc
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from roadmark.detections import Detections
from roadmark.ops import _native, glyph_atlas
from roadmark.ops.arrays import as_array
from roadmark.ops.drawing_style import style_of

Colour = tuple[int, int, int]

# The palette of Okabe and Ito (https://jfly.uni-koeln.de/color/), without black, goes on with
# colours that were chosen one by one to be farthest from all before them in CIELAB, as seen with
# normal, protan, deutan and tritan vision.
_PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
    (119, 17, 255),
    (153, 221, 136),
    (153, 102, 255),
    (221, 0, 68),
    (51, 221, 170),
)
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_NO_POINTS = np.zeros((0, 2), np.float32)


@dataclasses.dataclass(frozen=True)
class Yuv420:
    """A picture as 8-bit planes with half the rows and columns of chroma.

    Attributes:
        planes: I420: Y `[H, W]`, Cb and Cr `[ceil(H / 2), ceil(W / 2)]`; or NV12: Y `[H, W]` and
            Cb with Cr `[ceil(H / 2), ceil(W / 2), 2]`. uint8; rows may lie apart in memory.
        luma_weights: The shares of red and blue in Y: `BT601`, `BT709`, or another pair of H.273.
        full_range: Whether Y runs from 0 to 255 instead of 16 to 235.
    """

    planes: tuple[np.ndarray, ...]
    luma_weights: tuple[float, float]
    full_range: bool = False


BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)


class Canvas(abc.ABC):
    """A picture that is not in host memory, and draws on itself where it is.

    Attributes:
        size: Height and width in pixels.
    """

    size: tuple[int, int]

    @abc.abstractmethod
    def annotate(self, **marks: Any) -> None:
        """Draws; `marks` are the arguments of `_native.annotate` behind the picture's own."""


def draw(
    picture: np.ndarray | Yuv420 | Canvas,
    detections: Detections,
    names: Mapping[int, str],
    trails: Sequence[np.ndarray] | None = None,
) -> None:
    """Draws every detection with its class name, track id and score.

    Args:
        picture: See `draw_boxes`.
        detections: Best first, which are drawn on top.
        names: Class name by id; a class without one is shown as `class 7`.
        trails: See `draw_boxes`.

    Raises:
        ValueError: See `draw_boxes`.

    Example:
        >>> street = np.zeros((120, 160, 3), np.uint8)
        >>> found = Detections(
        ...     boxes=np.array([[40, 30, 90, 110]], np.float32),
        ...     scores=np.array([0.9], np.float32),
        ...     classes=np.array([1], np.int32))
        >>> draw(street, found, {1: "car"})
        >>> street[89, 70].tolist() == list(class_colour(1))
        True
        >>> int(street[65, 70].max())
        0
    """
    draw_boxes(
        picture,
        detections.boxes,
        detections.classes,
        _labels(detections, names),
        detections.masks,
        trails,
    )


def draw_boxes(
    picture: np.ndarray | Yuv420 | Canvas,
    boxes: np.ndarray,
    classes: np.ndarray,
    labels: Sequence[str],
    masks: np.ndarray | None = None,
    trails: Sequence[np.ndarray] | None = None,
    opacity: float = 1.0,
) -> None:
    """Draws boxes in the colours of their classes, with a text each.

    Line width and text size follow the size of the picture. A frame grows inwards from the edge of
    its box. A tag stands above its box, or where it hides less; it is always inside the picture.
    Boxes that come first are drawn on top. What lies outside the picture is cut off.

    Args:
        picture: uint8 `[H, W, 3]` RGB or `Yuv420`, writeable; rows may lie apart in memory. Or a
            `Canvas`.
        boxes: float32 `[N, 4]`, `[ymin, xmin, ymax, xmax]` in pixels.
        classes: Integers `[N]`, which choose the colours.
        labels: `N` texts; an empty one has no tag. What the font lacks is shown as a box.
        masks: bool `[N, H, W]`, blended over the picture.
        trails: `N` times float32 `[points, 2]`, y and x in pixels, the oldest point first: where
            each object was. They fade towards the oldest point.
        opacity: Of frames, tags and trails, 0 to 1; the text itself stays opaque.

    Raises:
        ValueError: An array has another dtype or shape, does not hold a row of the picture in one
            piece, or is read-only; a box is NaN, a trail not finite, or a label no text. The
            message names it.
    """
    height, width, annotate = _target(picture)
    style = style_of(height, width, opacity)
    atlas = glyph_atlas.of_size(style.text_size)
    _require_texts(labels)
    glyphs, coverage = atlas.arrays(labels)
    colours, text_colours = _colour_table()
    boxes = as_array(boxes, "boxes")
    index = (_checked(classes, boxes) - 1) % len(_PALETTE)
    points, ends = _joined(trails, len(boxes))
    annotate(
        boxes=boxes,
        colours=colours[index],
        text_colours=text_colours[index],
        labels=labels,
        masks=masks,
        trail_points=points,
        trail_ends=ends,
        glyphs=glyphs,
        coverage=coverage,
        line_height=atlas.line_height,
        line_width=style.line_width,
        trail_width=style.trail_width,
        margin=style.margin,
        opacity=style.opacity,
        mask_opacity=style.mask_opacity,
    )


def _target(picture: np.ndarray | Yuv420 | Canvas) -> tuple[int, int, Callable[..., None]]:
    """Height, width, and what draws on it."""
    if isinstance(picture, Canvas):
        return *picture.size, picture.annotate
    is_rgb = not isinstance(picture, Yuv420)
    planes = (picture,) if is_rgb else picture.planes
    height, width = (*np.shape(planes[0]), 0, 0)[:2]  # Any shape: `_native` names what is wrong.
    luma_weights = BT709 if is_rgb else picture.luma_weights
    full_range = False if is_rgb else picture.full_range
    draws = functools.partial(
        _native.annotate, planes, luma_weights=luma_weights, full_range=full_range
    )
    return height, width, draws


def class_name(names: Mapping[int, str], class_id: int) -> str:
    """The name of a class, or `class 7` for one without a name."""
    return names.get(int(class_id), f"class {class_id}")


def class_colour(class_id: int) -> Colour:
    """The RGB colour (0 to 255) of a class: the same in every picture and every run.

    Twelve colours that are told apart with any colour vision, again and again.
    """
    return _PALETTE[(class_id - 1) % len(_PALETTE)]


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever is read more easily on `background`.

    Contrast as WCAG 2.1 defines it (https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio).
    """
    linear = [_linear(value / 255) for value in background]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    on_black, on_white = (luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05)
    return _BLACK if on_black >= on_white else _WHITE


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


@functools.cache
def _colour_table() -> tuple[np.ndarray, np.ndarray]:
    """The palette and its text colours, uint8 `[N, 3]` each."""
    return np.array(_PALETTE, np.uint8), np.array(list(map(text_colour, _PALETTE)), np.uint8)


def _labels(detections: Detections, names: Mapping[int, str]) -> list[str]:
    shown = [class_name(names, class_id) for class_id in detections.classes.tolist()]
    if detections.track_ids is not None:
        tracks = detections.track_ids.tolist()
        # 0 is an object that is not tracked yet.
        shown = [
            f"{name} #{track}" if track else name for name, track in zip(shown, tracks, strict=True)
        ]
    scores = detections.scores.tolist()
    return [f"{name} {score:.0%}" for name, score in zip(shown, scores, strict=True)]


def _checked(classes: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    numbers = np.asarray(classes)
    is_one_per_box = numbers.shape == boxes.shape[:1] or boxes.ndim != 2
    if not is_one_per_box or (numbers.size and numbers.dtype.kind not in "iu"):
        raise ValueError(
            f"classes: found {numbers.dtype} {numbers.shape}, expected integers "
            f"{boxes.shape[:1]}, one per box"
        )
    return numbers if numbers.size else np.zeros(0, np.int32)


def _require_texts(labels: Sequence[str]) -> None:
    for index, label in enumerate(labels):
        if not isinstance(label, str):
            raise ValueError(f"labels[{index}]: found {label!r}, expected a text")


def _joined(trails: Sequence[np.ndarray] | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """All points float32 `[P, 2]`, and where those of each object end."""
    if trails is None:
        return _NO_POINTS, np.zeros(count, np.int64)
    if len(trails) != count:
        raise ValueError(f"trails: found {len(trails)}, expected {count}, one per box")
    trails = [as_array(trail, f"trails[{index}]") for index, trail in enumerate(trails)]
    for index, trail in enumerate(trails):
        if trail.ndim != 2 or trail.shape[1] != 2 or trail.dtype != np.float32:
            raise ValueError(
                f"trails[{index}]: found {trail.dtype} {trail.shape}, expected float32 (points, 2)"
            )
    points = np.concatenate([_NO_POINTS, *trails])
    return points, np.cumsum([len(trail) for trail in trails], dtype=np.int64)
