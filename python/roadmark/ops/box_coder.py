"""Box coder of Faster R-CNN (https://arxiv.org/abs/1506.01497, section 3.1.2).

An encoding is `(ty, tx, th, tw)`: the centre's offset in units of the anchor's size and the
logarithm of the size's ratio, each multiplied by its scale factor.
"""

import numpy as np

from roadmark.ops import _native


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

    Raises:
        ValueError: An argument has another shape or dtype, or a factor is not above 0.
    """
    rows = _native.encode_boxes(boxes.reshape(-1, 4), anchors.reshape(-1, 4), scale_factors)
    return rows.reshape(boxes.shape)


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

    Raises:
        ValueError: An argument has another shape or dtype, or a factor is not above 0.
    """
    encodings, anchors = np.broadcast_arrays(encodings, anchors)
    rows = _native.decode_boxes(encodings.reshape(-1, 4), anchors.reshape(-1, 4), scale_factors)
    return rows.reshape(encodings.shape)
