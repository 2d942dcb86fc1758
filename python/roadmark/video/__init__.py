"""Videos and pictures in, annotated videos and pictures out."""

from roadmark.video.annotate_images import ImagesResult, annotate_images
from roadmark.video.annotate_video import Detect, VideoResult, annotate_video

__all__ = ["Detect", "ImagesResult", "VideoResult", "annotate_images", "annotate_video"]
