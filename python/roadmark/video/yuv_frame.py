"""The samples of yuv420p frames as arrays."""

from collections.abc import Sequence

import av
import numpy as np

FORMAT = "yuv420p"
# Of the same layout; yuvj420p is FFmpeg's old name for yuv420p in full range.
SAME_LAYOUT = frozenset({FORMAT, "yuvj420p"})


def planes(frame: av.VideoFrame) -> tuple[np.ndarray, ...]:
    """Y, Cb and Cr of a yuv420p frame: the frame's own memory, not a copy.

    Returns:
        uint8 `[H, W]` and twice `[ceil(H / 2), ceil(W / 2)]`, whose rows may lie apart.
    """
    return tuple(_samples(plane) for plane in frame.planes)


def fill(frame: av.VideoFrame, samples: Sequence[np.ndarray]) -> None:
    """Writes samples into a yuv420p frame.

    Args:
        frame: yuv420p.
        samples: Y, Cb and Cr, as `planes` gives them. Where they are smaller than the frame, their
            last row and column are repeated.
    """
    for source, target in zip(samples, planes(frame), strict=True):
        rows, columns = source.shape
        target[:rows, :columns] = source
        target[rows:, :columns] = source[-1:]
        target[:, columns:] = target[:, columns - 1 : columns]


def _samples(plane: av.video.plane.VideoPlane) -> np.ndarray:
    size = plane.height * plane.line_size
    rows = np.frombuffer(plane, np.uint8, size).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]
