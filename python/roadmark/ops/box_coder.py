"""Box coders: boxes relative to anchors, and back, with the formulas of the OD API's box coders.

Without a prefix: Faster R-CNN's (https://arxiv.org/abs/1506.01497, section 3.1.2), where an
encoding is `(ty, tx, th, tw)`: the centre's offset in units of the anchor's size and the logarithm
of the size's ratio, each multiplied by its scale factor.

Boxes and anchors are `[ymin, xmin, ymax, xmax]`, both normalised or both in pixels. Nothing is
clipped.
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
    if not (_is_of_boxes(boxes) and _is_of_boxes(anchors) and boxes.shape == anchors.shape):
        return _native.encode_boxes(boxes, anchors, scale_factors)
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
    if not (_is_of_boxes(encodings) and _is_of_boxes(anchors)):
        return _native.decode_boxes(encodings, anchors, scale_factors)
    if encodings.shape != anchors.shape:
        encodings, anchors = _broadcast(encodings, anchors)
    rows = _native.decode_boxes(encodings.reshape(-1, 4), anchors.reshape(-1, 4), scale_factors)
    return rows.reshape(encodings.shape)


def encode_keypoints(
    boxes: np.ndarray,
    keypoints: np.ndarray,
    anchors: np.ndarray,
    scale_factors: tuple[float, float, float, float],
) -> np.ndarray:
    """Encodes boxes as `encode` does, and keypoints as offsets in units of the anchor's size.

    Args:
        boxes: float32 `[N, 4]`.
        keypoints: float32 `[N, K, 2]`, `(y, x)` in the boxes' unit.
        anchors: float32 `[N, 4]`.
        scale_factors: Of y, x, height and width; those of y and x count for keypoints, too.

    Returns:
        float32 `[N, 4 + 2 K]`: `(ty, tx, th, tw)` and `(ty, tx)` of each keypoint.

    Raises:
        ValueError: As for `encode`.
    """
    return _native.encode_keypoints(boxes, keypoints, anchors, scale_factors)


def decode_keypoints(
    encodings: np.ndarray, anchors: np.ndarray, scale_factors: tuple[float, float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes what `encode_keypoints` gives.

    Args:
        encodings: float32 `[N, 4 + 2 K]`.
        anchors: float32 `[N, 4]`.
        scale_factors: Of y, x, height and width.

    Returns:
        Boxes, float32 `[N, 4]`, and keypoints, float32 `[N, K, 2]` as `(y, x)`.

    Raises:
        ValueError: As for `encode`.
    """
    return _native.decode_keypoints(encodings, anchors, scale_factors)


def encode_squares(
    boxes: np.ndarray, anchors: np.ndarray, scale_factors: tuple[float, float, float]
) -> np.ndarray:
    """Encodes the centre and the area of boxes, which are taken for squares.

    Args:
        boxes: float32 `[N, 4]`.
        anchors: float32 `[N, 4]`.
        scale_factors: Of y, x and the side.

    Returns:
        float32 `[N, 3]`: `(ty, tx, tl)`, offsets in units of the square root of the anchor's
        area, and the logarithm of the ratio of these roots.

    Raises:
        ValueError: As for `encode`.
    """
    return _native.encode_squares(boxes, anchors, scale_factors)


def decode_squares(
    encodings: np.ndarray, anchors: np.ndarray, scale_factors: tuple[float, float, float]
) -> np.ndarray:
    """Decodes what `encode_squares` gives.

    Args:
        encodings: float32 `[N, 3]`.
        anchors: float32 `[N, 4]`.
        scale_factors: Of y, x and the side.

    Returns:
        Squares, float32 `[N, 4]`.

    Raises:
        ValueError: As for `encode`.
    """
    return _native.decode_squares(encodings, anchors, scale_factors)


def encode_mean_stddev(boxes: np.ndarray, anchors: np.ndarray, stddev: float) -> np.ndarray:
    """Encodes corners as their distance from the anchor's, in units of `stddev`.

    Args:
        boxes: float32 `[N, 4]`.
        anchors: float32 `[N, 4]`.
        stddev: In the boxes' unit.

    Returns:
        float32 `[N, 4]`, in the order of the corners.

    Raises:
        ValueError: An argument has another shape or dtype, or `stddev` is not above 0.
    """
    return _native.encode_mean_stddev(boxes, anchors, stddev)


def decode_mean_stddev(encodings: np.ndarray, anchors: np.ndarray, stddev: float) -> np.ndarray:
    """Decodes what `encode_mean_stddev` gives.

    Args:
        encodings: float32 `[N, 4]`.
        anchors: float32 `[N, 4]`.
        stddev: In the boxes' unit.

    Returns:
        Boxes, float32 `[N, 4]`.

    Raises:
        ValueError: As for `encode_mean_stddev`.
    """
    return _native.decode_mean_stddev(encodings, anchors, stddev)


def _is_of_boxes(array: np.ndarray) -> bool:
    """Whether it has four columns behind any dimensions; C++ names what is wrong with others."""
    return isinstance(array, np.ndarray) and array.shape[-1:] == (4,)


def _broadcast(encodings: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        return np.broadcast_arrays(encodings, anchors)
    except ValueError:
        raise ValueError(
            f"encodings: found {encodings.shape}, expected a shape that broadcasts with the "
            f"anchors' {anchors.shape}"
        ) from None
