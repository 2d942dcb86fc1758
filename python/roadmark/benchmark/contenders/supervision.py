"""supervision's annotators."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import supervision as sv

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def annotating(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`BoxAnnotator` and `LabelAnnotator` on the frame as BGR, and back to I420."""
    cv2.setNumThreads(threads)
    frame, labels = arrays["frame"], options["labels"]
    found = sv.Detections(
        xyxy=arrays["boxes"][:, [1, 0, 3, 2]],
        confidence=arrays["scores"],
        class_id=arrays["classes"],
    )
    boxes, tags = sv.BoxAnnotator(), sv.LabelAnnotator()

    def call() -> np.ndarray:
        picture = cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420)
        picture = boxes.annotate(picture, found)
        picture = tags.annotate(picture, found, labels)
        return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)

    return call, lambda drawn: {"frame": drawn}
