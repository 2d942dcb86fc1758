"""Videos and pictures in, annotated videos and pictures out."""

from roadmark.video.annotate_images import ImagesResult, annotate_images
from roadmark.video.annotate_video import VideoResult, annotate_video
from roadmark.video.frame_detector import ByFunction, ByModel, Detect, FrameDetector
from roadmark.video.options import VideoOptions
from roadmark.video.reader import Span

__all__ = [
    "ByFunction",
    "ByModel",
    "Detect",
    "FrameDetector",
    "ImagesResult",
    "Span",
    "VideoOptions",
    "VideoResult",
    "annotate_images",
    "annotate_video",
]
