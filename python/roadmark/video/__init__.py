"""Videos and pictures in, annotated videos and pictures out."""

from roadmark.video.annotate_images import ImagesResult, annotate_images
from roadmark.video.annotate_video import VideoResult, annotate_video
from roadmark.video.frame_detector import ByFunction, ByModel, Detect, FrameDetector

__all__ = [
    "ByFunction",
    "ByModel",
    "Detect",
    "FrameDetector",
    "ImagesResult",
    "VideoResult",
    "annotate_images",
    "annotate_video",
]
