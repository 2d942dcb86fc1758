"""Draws detections on an image: boxes, filled label tags, masks."""

import colorsys
import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from roadmark.detections import Detections

_MASK_OPACITY = 0.45
# Steps of the golden ratio around the colour circle keep neighbouring ids far apart
# (https://en.wikipedia.org/wiki/Golden_ratio, "Golden angle").
_HUE_STEP = 0.618034
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)

Colour = tuple[int, int, int]


def draw(
    image: np.ndarray,
    detections: Detections,
    names: Mapping[int, str],
    in_place: bool = False,
) -> np.ndarray:
    """Draws every detection with its class name and score.

    Line width and text size follow the size of the image. Objects that come first are drawn on
    top. Only the pixels of boxes, tags and masks change.

    Args:
        image: uint8 `[H, W, 3]` RGB.
        detections: Boxes in pixels of `image`; what lies outside is cut off.
        names: Class name by id; a class without one is shown as `class 7`.
        in_place: Draw on `image` itself instead of on a copy.

    Returns:
        uint8 `[H, W, 3]` RGB; `image` itself when drawn in place.

    Raises:
        ValueError: `image` is not of that type and shape or cannot be written to, or the masks
            are of another size.

    Example:
        >>> street = np.zeros((120, 160, 3), np.uint8)
        >>> found = Detections(
        ...     boxes=np.array([[40, 30, 90, 110]], np.float32),
        ...     scores=np.array([0.9], np.float32),
        ...     classes=np.array([1], np.int32))
        >>> draw(street, found, {1: "car"}).shape
        (120, 160, 3)
        >>> int(street.max())
        0
    """
    _check(image, detections, in_place)
    canvas = image if in_place else image.copy()
    shorter = min(canvas.shape[:2])
    thickness, text_size = max(2, round(shorter / 240)), max(11, round(shorter / 40))
    worst_first = range(len(detections) - 1, -1, -1)
    if detections.masks is not None:
        for index in worst_first:
            _blend(canvas, detections.masks[index], class_colour(detections.classes[index]))
    for index in worst_first:
        box = _pixel_box(detections.boxes[index])
        _outline(canvas, box, class_colour(detections.classes[index]), thickness)
    for index in worst_first:
        box = _pixel_box(detections.boxes[index])
        tag = _tag(_label(detections, index, names), text_size, int(detections.classes[index]))
        _paste(canvas, tag, box, thickness)
    return canvas


def class_name(names: Mapping[int, str], class_id: int) -> str:
    """The name of a class, or `class 7` for one without a name."""
    return names.get(int(class_id), f"class {class_id}")


@functools.lru_cache(maxsize=1024)
def class_colour(class_id: int) -> Colour:
    """The RGB colour (0 to 255) of a class: the same in every picture and every run."""
    hue = class_id * _HUE_STEP % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


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


def _check(image: np.ndarray, detections: Detections, in_place: bool) -> None:
    expected = "a NumPy uint8 array of shape (height, width, 3)"
    if not isinstance(image, np.ndarray):
        raise ValueError(f"image: found {type(image).__name__}, expected {expected}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image: found {image.dtype.name} {image.shape}, expected {expected}")
    if in_place and not image.flags.writeable:
        raise ValueError("image: found a read-only array, expected one to draw on in place")
    masks = detections.masks
    if masks is not None and len(detections) and masks.shape[1:] != image.shape[:2]:
        raise ValueError(
            f"masks: found {masks.shape[1:]} pixels, expected {image.shape[:2]} as the image"
        )


def _blend(canvas: np.ndarray, mask: np.ndarray, colour: Colour) -> None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return
    around = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part, covered = canvas[around], mask[around][..., None]
    mixed = part + (np.array(colour, np.float32) - part) * np.float32(_MASK_OPACITY)
    np.copyto(part, np.rint(mixed).astype(np.uint8), where=covered)


def _pixel_box(box: np.ndarray) -> tuple[int, int, int, int]:
    ymin, xmin, ymax, xmax = (int(value) for value in np.rint(box))
    return ymin, xmin, max(ymax, ymin + 1), max(xmax, xmin + 1)


def _outline(
    canvas: np.ndarray, box: tuple[int, int, int, int], colour: Colour, thickness: int
) -> None:
    """Draws a frame that begins at the edge of the box and grows inwards."""
    ymin, xmin, ymax, xmax = box
    for rows, columns in (
        ((ymin, min(ymin + thickness, ymax)), (xmin, xmax)),
        ((max(ymax - thickness, ymin), ymax), (xmin, xmax)),
        ((ymin, ymax), (xmin, min(xmin + thickness, xmax))),
        ((ymin, ymax), (max(xmax - thickness, xmin), xmax)),
    ):
        canvas[_within(*rows), _within(*columns)] = colour


def _within(start: int, stop: int) -> slice:
    # A negative bound would count from the far edge.
    return slice(max(start, 0), max(stop, 0))


def _label(detections: Detections, index: int, names: Mapping[int, str]) -> str:
    name = class_name(names, detections.classes[index])
    track = "" if detections.track_ids is None else f" #{detections.track_ids[index]}"
    return f"{name}{track} {detections.scores[index]:.0%}"


@functools.lru_cache(maxsize=512)
def _tag(text: str, text_size: int, class_id: int) -> np.ndarray:
    """uint8 `[H, W, 3]`: the text, anti-aliased, on a plate of the class's colour."""
    plate = class_colour(class_id)
    font = _font(text_size)
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    margin = max(2, text_size // 5)
    size = (right - left + 2 * margin, ascent + descent + margin // 2)
    picture = Image.new("RGB", size, plate)
    ImageDraw.Draw(picture).text(
        (margin - left, margin // 4), text, fill=text_colour(plate), font=font
    )
    return np.asarray(picture)


def _paste(
    canvas: np.ndarray, tag: np.ndarray, box: tuple[int, int, int, int], thickness: int
) -> None:
    """Puts a tag above its box; where there is no room, below; else inside."""
    height, width = canvas.shape[:2]
    rows, columns = min(tag.shape[0], height), min(tag.shape[1], width)
    ymin, xmin, ymax, _ = box
    if ymin >= rows:
        top = ymin - rows
    elif ymax + rows <= height:
        top = ymax
    else:
        top = ymin + thickness
    top, left = min(max(top, 0), height - rows), min(max(xmin, 0), width - columns)
    canvas[top : top + rows, left : left + columns] = tag[:rows, :columns]


@functools.lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    # matplotlib ships DejaVu, which has Latin, Greek and Cyrillic; importing it would be slow.
    package = importlib.util.find_spec("matplotlib")
    folder = Path(package.submodule_search_locations[0], "mpl-data", "fonts", "ttf")
    return ImageFont.truetype(str(folder / "DejaVuSans-Bold.ttf"), size)
