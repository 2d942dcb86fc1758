"""A sheet of pictures with their boxes drawn, to see at a glance whether labels sit right."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from roadmark.data import image_file
from roadmark.data.example import AnnotatedImage
from roadmark.ops import annotate

_COLUMNS = 3
_CELL = (480, 320)
_CAPTION_HEIGHT = 18
_BACKGROUND = (24, 24, 26)
_TEXT = (230, 230, 230)
_FONT_SIZE = 12
_JPEG_QUALITY = 88


def write(samples: Sequence[tuple[str, AnnotatedImage]], path: Path) -> None:
    """Writes the sheet.

    Args:
        samples: Captions (the split, say) and pictures.
        path: A .jpg file.
    """
    pictures = [(caption, image, _drawn(image)) for caption, image in samples]
    rows = [pictures[n : n + _COLUMNS] for n in range(0, len(pictures), _COLUMNS)]
    heights = [max(picture.height for *_, picture in row) + _CAPTION_HEIGHT for row in rows]
    sheet = Image.new("RGB", (_COLUMNS * _CELL[0], sum(heights)), _BACKGROUND)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, (caption, image, picture) in enumerate(row):
            left = column * _CELL[0]
            sheet.paste(picture, (left + (_CELL[0] - picture.width) // 2, top))
            _caption(sheet, (left + 4, top + height - _CAPTION_HEIGHT + 2), caption, image)
        top += height
    sheet.save(path, quality=_JPEG_QUALITY)


def _caption(
    sheet: Image.Image, corner: tuple[int, int], caption: str, image: AnnotatedImage
) -> None:
    font = ImageFont.load_default(_FONT_SIZE)
    name, room = image.filename, _CELL[0] - 8
    if font.getlength(f"{caption}: {name}") > room:
        while font.getlength(f"{caption}: ...{name}") > room:
            name = name[1:]
        name = f"...{name}"
    ImageDraw.Draw(sheet).text(corner, f"{caption}: {name}", _TEXT, font)


def _drawn(image: AnnotatedImage) -> Image.Image:
    picture = Image.fromarray(image_file.to_array(image.encoded))
    picture.thumbnail(_CELL)
    pixels = np.array(picture)
    boxes = image.boxes * np.array([picture.height, picture.width] * 2, np.float32)
    font = ImageFont.load_default(_FONT_SIZE)
    # Small boxes go without a name, which would hide their neighbours.
    labels = [
        name if box[3] - box[1] > font.getlength(name) else ""
        for name, box in zip(image.class_names, boxes, strict=True)
    ]
    annotate.draw_boxes(pixels, boxes, image.class_ids, labels, _masks(image, picture.size))
    return Image.fromarray(pixels)


def _masks(image: AnnotatedImage, size: tuple[int, int]) -> np.ndarray | None:
    if not image.masks:
        return None
    masks = [Image.fromarray(image_file.to_array(mask)[..., 0]) for mask in image.masks]
    return np.stack([np.asarray(mask.resize(size, Image.Resampling.NEAREST)) for mask in masks]) > 0
