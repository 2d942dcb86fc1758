"""A picture of each object found."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.ops import annotate

_QUALITY = 92


def check(folder: Path) -> None:
    """Raises UserError when crops would be mixed with what is in the folder already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(folder, "is there already", "remove it, or give another --out")


def save(
    folder: Path, frame_index: int, image: np.ndarray, found: Detections, names: Mapping[int, str]
) -> None:
    """Writes `CLASS/FRAME_NUMBER.jpg` for each object of a frame.

    Args:
        folder: Where to.
        frame_index: Of the frame.
        image: uint8 `[H, W, 3]` RGB, not drawn on.
        found: What is in it; the numbers count these.
        names: Class name by id.
    """
    height, width = image.shape[:2]
    for number, (box, class_id) in enumerate(zip(found.boxes, found.classes, strict=True)):
        ymin, xmin = np.floor(box[:2]).astype(int).clip(0)
        ymax, xmax = np.ceil(box[2:]).astype(int).clip(0, (height, width))
        if ymin >= ymax or xmin >= xmax:
            continue
        place = folder / annotate.class_name(names, class_id).replace("/", "_")
        place.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image[ymin:ymax, xmin:xmax])
        picture.save(place / f"{frame_index:06d}_{number}.jpg", quality=_QUALITY)
