"""What two models find in the same video, next to each other in one picture."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import av
import numpy as np

from roadmark.inference.detector import Detector
from roadmark.ops import annotate
from roadmark.video import frame_detector, yuv_frame
from roadmark.video.frame_detector import ByModel, FrameDetector
from roadmark.video.frame_pool import FramePool
from roadmark.video.reader import Frame, VideoInfo

_EXPORT = "export"
_COLOUR_NUMBER = np.array([7], np.int32)


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """The second model.

    Attributes:
        detector: Finds objects, as the first one's does.
        names: Its class names by id.
        titles: What the first and the second are called in the picture.
    """

    detector: FrameDetector
    names: Mapping[int, str]
    titles: tuple[str, str]


def titles(first: Path, second: Path) -> tuple[str, str]:
    """Short names of two model folders that tell them apart.

    Example:
        >>> titles(Path("runs/small/export"), Path("runs/large/export"))
        ('small', 'large')
        >>> titles(Path("runs/demo/export"), Path("old/demo/export"))
        ('runs/demo/export', 'old/demo/export')
    """
    short = tuple(
        path.parent.name if path.name == _EXPORT else path.name for path in (first, second)
    )
    return short if short[0] != short[1] and all(short) else (str(first), str(second))


def of_model(
    model: Detector, score_threshold: float, wanted: Sequence[str], titles: tuple[str, str]
) -> SideBySide:
    """Has an exported model look beside the first one.

    Args:
        model: The second one.
        score_threshold: As of the first one.
        wanted: Class names, see `classes`.
        titles: See `titles`.
    """
    look = ByModel(model, score_threshold, classes(model.label_map, wanted))
    return SideBySide(look, model.label_map, titles)


def classes(names: Mapping[int, str], wanted: Sequence[str]) -> list[int]:
    """Ids of those of the wanted classes that the second model knows.

    A class that only the first one knows is no mistake.

    Raises:
        UserError: It knows none of them.
    """
    known = [name for name in wanted if name in names.values()]
    return frame_detector.class_ids(names, known or wanted)


def info(source: VideoInfo) -> VideoInfo:
    """What a video looks like that shows every picture of `source` twice."""
    return dataclasses.replace(source, width=2 * _half(source.width))


def twice(frame: Frame, pool: FramePool) -> av.VideoFrame:
    """A frame's picture twice, the second one to the right of the first."""
    height, width = frame.size
    wide = pool.take(2 * _half(width), height)
    for source, *targets in zip(
        yuv_frame.planes(frame.yuv), side(wide, 0, width), side(wide, 1, width), strict=True
    ):
        for target in targets:
            target[...] = source
    if width % 2:
        _fill_gaps(wide, width)
    frame.colour.tag(wide)
    return wide


def side(wide: av.VideoFrame, number: int, width: int) -> tuple[np.ndarray, ...]:
    """The planes of one of the two pictures, of this width in pixels, in the frame's memory."""
    luma, *chroma = yuv_frame.planes(wide)
    left, samples = number * _half(width), (width + 1) // 2
    return (
        luma[:, left : left + width],
        *(plane[:, left // 2 : left // 2 + samples] for plane in chroma),
    )


def draw_title(picture: annotate.Yuv420, title: str) -> None:
    """Names a picture in its lower left corner."""
    height = picture.planes[0].shape[0]
    corner = np.array([[height, 0, height, 0]], np.float32)
    annotate.draw_boxes(picture, corner, _COLOUR_NUMBER, [title])


def _half(width: int) -> int:
    """Where the second picture begins: at an even column, because chroma has half as many."""
    return width + width % 2


def _fill_gaps(wide: av.VideoFrame, width: int) -> None:
    luma = yuv_frame.planes(wide)[0]
    columns: Sequence[int] = (width, _half(width) + width)
    for column in columns:
        luma[:, column] = luma[:, column - 1]
