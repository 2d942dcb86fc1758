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
# Smaller than this, in pixels of the sheet, a box has no room for its name.
_NAMED_SIDE = 24


def write(samples: Sequence[tuple[str, AnnotatedImage]], path: Path) -> None:
    """Writes the sheet.

    Args:
        samples: Captions (the split, say) and pictures.
        path: A .jpg file.
    """
    width, height = _CELL
    rows = -(-len(samples) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * width, rows * (height + _CAPTION_HEIGHT)), _BACKGROUND)
    for number, (caption, image) in enumerate(samples):
        row, column = divmod(number, _COLUMNS)
        corner = column * width, row * (height + _CAPTION_HEIGHT)
        _paste(sheet, corner, caption, image)
    sheet.save(path, quality=_JPEG_QUALITY)


def _paste(
    sheet: Image.Image, corner: tuple[int, int], caption: str, image: AnnotatedImage
) -> None:
    picture = Image.fromarray(image_file.to_array(image.encoded))
    picture.thumbnail(_CELL)
    picture = _with_masks(picture, image)
    _draw_boxes(picture, image)
    left, top = corner
    sheet.paste(picture, (left + (_CELL[0] - picture.width) // 2, top))
    font = ImageFont.load_default(_FONT_SIZE)
    text = f"{caption}: {image.filename}"
    while font.getlength(text) > _CELL[0] - 8:
        text = f"{caption}: ...{text[len(caption) + 8 :]}"
    ImageDraw.Draw(sheet).text((left + 4, top + _CELL[1] + 2), text, _TEXT, font)


def _with_masks(picture: Image.Image, image: AnnotatedImage) -> Image.Image:
    for class_id, encoded in zip(image.class_ids.tolist(), image.masks or (), strict=False):
        mask = Image.fromarray(image_file.to_array(encoded)[..., 0] * np.uint8(110))
        colour = Image.new("RGB", picture.size, annotate.class_colour(class_id))
        picture = Image.composite(colour, picture, mask.resize(picture.size))
    return picture


def _draw_boxes(picture: Image.Image, image: AnnotatedImage) -> None:
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(_FONT_SIZE)
    boxes = image.boxes * np.array([picture.height, picture.width] * 2, np.float32)
    for index, (ymin, xmin, ymax, xmax) in enumerate(boxes.tolist()):
        colour = annotate.class_colour(int(image.class_ids[index]))
        draw.rectangle(
            (xmin, ymin, max(xmax - 1, xmin), max(ymax - 1, ymin)), outline=colour, width=2
        )
        if xmax - xmin >= _NAMED_SIDE:
            name = image.class_names[index]
            at = (xmin + 3, ymin + 1)
            draw.rectangle(draw.textbbox(at, name, font), fill=colour)
            draw.text(at, name, annotate.text_colour(colour), font)
