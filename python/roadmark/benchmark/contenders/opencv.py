"""OpenCV, with NumPy where it has nothing of its own."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE, _FONT_THICKNESS, _MARGIN, _LINE = 0.5, 1, 10, 2
_WHITE = (255, 255, 255)


def batched_nms(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`NMSBoxesBatched`, with boxes turned into x, y, width and height beforehand."""
    cv2.setNumThreads(threads)
    ymin, xmin, ymax, xmax = arrays["boxes"].T
    # Of the types that it takes, this one is converted fastest.
    boxes = np.stack([xmin, ymin, xmax - xmin, ymax - ymin], axis=1).astype(np.float64)
    scores, classes = arrays["scores"], arrays["classes"]

    def call() -> Any:
        return cv2.dnn.NMSBoxesBatched(
            boxes,
            scores,
            classes,
            options["score_threshold"],
            options["iou_threshold"],
            top_k=options["max_outputs"],
        )

    return call, lambda kept: {"indices": np.asarray(kept, np.int64).reshape(-1)}


def preprocessing(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`resize` on bytes, then mean and scale in place in a batch that is used again."""
    cv2.setNumThreads(threads)
    image, (height, width) = arrays["image"], options["resized_size"]
    mean, scale = np.float32(options["mean"]), np.float32(options["scale"])
    batch, resized = _preprocessing_buffers(options)
    picture = batch[0, :height, :width]

    def call() -> np.ndarray:
        cv2.resize(image, (width, height), dst=resized, interpolation=cv2.INTER_LINEAR)
        np.subtract(resized, mean, out=picture)
        np.multiply(picture, scale, out=picture)
        return batch

    return call, lambda batch: {"batch": batch}


def tuned_preprocessing(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """The same with mean and scale repeated to whole rows, which NumPy goes through much faster."""
    cv2.setNumThreads(threads)
    image, (height, width) = arrays["image"], options["resized_size"]
    means, scales = (np.tile(np.float32(options[name]), width) for name in ("mean", "scale"))
    batch, resized = _preprocessing_buffers(options)
    rows = batch.reshape(options["input_size"], -1)[:height, : 3 * width]
    resized_rows = resized.reshape(height, -1)

    def call() -> np.ndarray:
        cv2.resize(image, (width, height), dst=resized, interpolation=cv2.INTER_LINEAR)
        np.subtract(resized_rows, means, out=rows)
        np.multiply(rows, scales, out=rows)
        return batch

    return call, lambda batch: {"batch": batch}


def _preprocessing_buffers(options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    size = options["input_size"]
    batch = np.zeros((1, size, size, 3), np.float32)
    return batch, np.empty((*options["resized_size"], 3), np.uint8)


def annotating(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`rectangle` and `putText` on the frame as BGR, and back to I420."""
    cv2.setNumThreads(threads)
    frame, labels = arrays["frame"], options["labels"]
    boxes = np.rint(arrays["boxes"]).astype(int).tolist()
    colours = [tuple(colour) for colour in arrays["colours"].tolist()]

    def call() -> np.ndarray:
        picture = cv2.cvtColor(frame, cv2.COLOR_YUV2BGR_I420)
        for (ymin, xmin, ymax, xmax), colour, label in zip(boxes, colours, labels, strict=True):
            cv2.rectangle(picture, (xmin, ymin), (xmax, ymax), colour, _LINE)
            (width, height), _ = cv2.getTextSize(label, _FONT, _FONT_SCALE, _FONT_THICKNESS)
            top = ymin - height - 2 * _MARGIN
            cv2.rectangle(picture, (xmin, top), (xmin + width + 2 * _MARGIN, ymin), colour, -1)
            cv2.putText(
                picture,
                label,
                (xmin + _MARGIN, ymin - _MARGIN),
                _FONT,
                _FONT_SCALE,
                _WHITE,
                _FONT_THICKNESS,
                cv2.LINE_AA,
            )
        return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)

    return call, lambda drawn: {"frame": drawn}
