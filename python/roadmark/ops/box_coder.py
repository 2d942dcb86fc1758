"""Box coder of Faster R-CNN (https://arxiv.org/abs/1506.01497, section 3.1.2).

An encoding is `(ty, tx, th, tw)`: the centre's offset in units of the anchor's size and the
logarithm of the size's ratio, each multiplied by its scale factor.
"""

import numpy as np

# As in object_detection/box_coders/faster_rcnn_box_coder.py: keeps log and division finite.
_EPSILON = np.float32(1e-8)


def encode(
    boxes: np.ndarray, anchors: np.ndarray, scale_factors: tuple[float, float, float, float]
) -> np.ndarray:
    """Encodes boxes relative to anchors.

    Args:
        boxes: float32 `[..., 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels.
        anchors: float32, same shape and unit.
        scale_factors: Of y, x, height and width.

    Returns:
        float32 `[..., 4]`: `(ty, tx, th, tw)`.
    """
    ycenter_a, xcenter_a, height_a, width_a = _center_and_size(anchors)
    ycenter, xcenter, height, width = _center_and_size(boxes)
    height_a, width_a = height_a + _EPSILON, width_a + _EPSILON
    encodings = (
        (ycenter - ycenter_a) / height_a,
        (xcenter - xcenter_a) / width_a,
        np.log((height + _EPSILON) / height_a),
        np.log((width + _EPSILON) / width_a),
    )
    return np.stack(encodings, axis=-1) * np.asarray(scale_factors, np.float32)


def decode(
    encodings: np.ndarray, anchors: np.ndarray, scale_factors: tuple[float, float, float, float]
) -> np.ndarray:
    """Decodes encodings relative to anchors.

    Args:
        encodings: float32 `[..., 4]`: `(ty, tx, th, tw)`.
        anchors: float32 `[..., 4]`, `[ymin, xmin, ymax, xmax]`, normalised or pixels; the shapes
            broadcast.
        scale_factors: Of y, x, height and width.

    Returns:
        float32 `[..., 4]`, `[ymin, xmin, ymax, xmax]` in the anchors' unit, not clipped.
    """
    ycenter_a, xcenter_a, height_a, width_a = _center_and_size(anchors)
    ty, tx, th, tw = np.moveaxis(encodings / np.asarray(scale_factors, np.float32), -1, 0)
    with np.errstate(over="ignore"):
        half_height = np.exp(th) * height_a / np.float32(2)
        half_width = np.exp(tw) * width_a / np.float32(2)
    ycenter = ty * height_a + ycenter_a
    xcenter = tx * width_a + xcenter_a
    corners = (
        ycenter - half_height,
        xcenter - half_width,
        ycenter + half_height,
        xcenter + half_width,
    )
    return np.stack(corners, axis=-1)


def _center_and_size(boxes: np.ndarray) -> tuple[np.ndarray, ...]:
    ymin, xmin, ymax, xmax = np.moveaxis(boxes, -1, 0)
    height, width = ymax - ymin, xmax - xmin
    return ymin + height / np.float32(2), xmin + width / np.float32(2), height, width
