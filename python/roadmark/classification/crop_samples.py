"""A sheet of pictures before and after cropping, to see at a glance whether the cars were found."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from roadmark.classification import pictures
from roadmark.classification.class_set import Box

FILE = "samples.jpg"
_MOST = 12
_COLUMNS = 2
_CELL = (240, 180)
_CAPTION_HEIGHT = 18
_FONT_SIZE = 12
_GAP = 8
_BACKGROUND, _TEXT, _BOX = (24, 24, 26), (230, 230, 230), (230, 159, 0)
_JPEG_QUALITY = 88


@dataclasses.dataclass(frozen=True)
class Sample:
    """A picture before and after.

    Attributes:
        before: Its file in the class set.
        after: Its file in the cropped one.
        box: `[ymin, xmin, ymax, xmax]` of its car in pixels of `before`, or None.
        outcome: What became of it.
        score: Of the car.
    """

    before: Path
    after: Path
    box: Box | None
    outcome: str
    score: float


def choose(outcomes: Sequence[str]) -> list[int]:
    """Indices of a few pictures, as many of each outcome as there is room for, in their order."""
    chosen: list[int] = []
    left = sorted(set(outcomes), key=outcomes.count)
    while left:
        own = [index for index, outcome in enumerate(outcomes) if outcome == left[0]]
        share = min(len(own), (_MOST - len(chosen)) // len(left))
        chosen += [own[place] for place in np.linspace(0, len(own) - 1, share).round().astype(int)]
        left = left[1:]
    return sorted(chosen)


def write(samples: Sequence[Sample], path: Path) -> None:
    """Writes the sheet.

    Args:
        samples: The pictures.
        path: A .jpg file.
    """
    rows = -(-len(samples) // _COLUMNS)
    width, height = 2 * _CELL[0] + _GAP, _CELL[1] + _CAPTION_HEIGHT
    sheet = Image.new("RGB", (_COLUMNS * (width + _GAP) - _GAP, rows * height), _BACKGROUND)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, sample in enumerate(samples):
        left = number % _COLUMNS * (width + _GAP)
        top = number // _COLUMNS * height
        for place, picture in enumerate((_boxed(sample), _fitting(sample.after))):
            spare = (_CELL[0] - picture.width) // 2
            sheet.paste(picture, (left + place * _CELL[0] + spare, top))
        caption = f"{sample.outcome}, {sample.score:.2f}: {sample.before.name}"
        ImageDraw.Draw(sheet).text((left + 4, top + _CELL[1] + 1), caption, _TEXT, font)
    sheet.save(path, quality=_JPEG_QUALITY)


def _fitting(path: Path) -> Image.Image:
    picture = Image.fromarray(pictures.read(path))
    scale = min(_CELL[0] / picture.width, _CELL[1] / picture.height)
    return picture.resize([max(round(scale * side), 1) for side in picture.size])


def _boxed(sample: Sample) -> Image.Image:
    picture = _fitting(sample.before)
    if sample.box is not None:
        with Image.open(sample.before) as whole:
            scale = picture.width / whole.width
        ymin, xmin, ymax, xmax = (scale * side for side in sample.box)
        ImageDraw.Draw(picture).rectangle((xmin, ymin, xmax, ymax), outline=_BOX, width=2)
    return picture
