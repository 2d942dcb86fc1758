"""Instance masks: polygons and run lengths in, PNG files of 0 and 1 out, as records hold them."""

import cv2
import numpy as np
from faster_coco_eval.core import mask as coco_mask

from roadmark.data.source import Mask, Polygons, RunLengths

_MIN_POLYGON_VALUES = 6


def pixels(mask: Mask, height: int, width: int, scale: tuple[float, float]) -> np.ndarray | None:
    """The pixels of a mask.

    Args:
        mask: As found.
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        scale: `(y, x)` factors that bring polygon coordinates to pixels of the picture.

    Returns:
        bool `[height, width]`, or None when the mask cannot be used: a polygon of less than three
        points or of an odd number of values, runs that do not fill their size, a PNG file that
        does not decode, another size than the picture's.
    """
    if isinstance(mask, Polygons):
        return _from_polygons(mask, height, width, scale)
    if isinstance(mask, RunLengths):
        return _from_runs(mask, height, width)
    decoded = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE)
    if decoded is None or decoded.shape != (height, width):
        return None
    return decoded > 0


def encode(mask: np.ndarray) -> bytes:
    """A bool `[height, width]` mask as a single-channel PNG file of 0 and 1."""
    return cv2.imencode(".png", mask.astype(np.uint8))[1].tobytes()


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """`(ymin, xmin, ymax, xmax)` of a mask that is not empty; the far edges are exclusive."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _from_polygons(
    mask: Polygons, height: int, width: int, scale: tuple[float, float]
) -> np.ndarray | None:
    parts = []
    for part in mask.parts:
        values = np.array(part, np.float64)
        if len(values) < _MIN_POLYGON_VALUES or len(values) % 2 or not np.isfinite(values).all():
            return None
        parts.append((values.reshape(-1, 2) * [scale[1], scale[0]]).ravel().tolist())
    # COCO's own rasteriser, so that areas and masks equal what its evaluation sees.
    runs = coco_mask.merge(coco_mask.frPyObjects(parts, height, width))
    return coco_mask.decode(runs).astype(bool)


def _from_runs(mask: RunLengths, height: int, width: int) -> np.ndarray | None:
    if (mask.height, mask.width) != (height, width):
        return None
    if isinstance(mask.counts, str):
        runs = {"counts": mask.counts.encode(), "size": [height, width]}
        try:
            return coco_mask.decode(runs).astype(bool)
        except (RuntimeError, ValueError):
            return None
    if sum(mask.counts) != height * width or min(mask.counts) < 0:
        return None
    # Runs alternate between background and object, column by column.
    values = np.arange(len(mask.counts)) % 2 == 1
    return np.repeat(values, mask.counts).reshape(width, height).T
