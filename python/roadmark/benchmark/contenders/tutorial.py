"""The loop of the tutorials: OpenCV in and out, the stock SavedModel, the OD API's drawing."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from roadmark.odapi import stock_drawing

# isort: split
import tensorflow as tf  # `stock_drawing` has opened the door for it

from roadmark.benchmark.contenders.tensorflow_image import use_threads

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def annotating(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """The whole clip.

    Options: clip, model (an exported folder), score_threshold, most_boxes, names.

    The result: what the frames show, as `shown_boxes.compare` takes it, and `frames`, their number.
    """
    del arrays
    use_threads(threads)
    cv2.setNumThreads(threads)
    detect = tf.saved_model.load(str(Path(options["model"], "saved_model")))
    categories = {
        int(number): {"id": int(number), "name": name} for number, name in options["names"].items()
    }
    threshold, most_boxes = options["score_threshold"], options["most_boxes"]

    def call() -> tuple[list[Arrays], tuple[int, int]]:
        shown = []
        with tempfile.TemporaryDirectory() as folder:
            capture = cv2.VideoCapture(options["clip"])
            size = tuple(
                int(capture.get(side))
                for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
            )
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            writer = cv2.VideoWriter(
                f"{folder}/out.mp4", codec, capture.get(cv2.CAP_PROP_FPS), size
            )
            while True:
                there, frame = capture.read()
                if not there:
                    break
                image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                found = detect(tf.convert_to_tensor(image[None]))
                found = {name: value[0].numpy() for name, value in found.items()}
                stock_drawing.visualize_boxes_and_labels_on_image_array(
                    image,
                    found["detection_boxes"],
                    found["detection_classes"].astype(np.int64),
                    found["detection_scores"],
                    categories,
                    use_normalized_coordinates=True,
                    max_boxes_to_draw=most_boxes,
                    min_score_thresh=threshold,
                )
                writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
                shown.append(found)
            capture.release()
            writer.release()
        return shown, size

    return call, lambda made: _drawn(*made, threshold, most_boxes)


def _drawn(found: list[Arrays], size: tuple[int, int], threshold: float, most_boxes: int) -> Arrays:
    """What the drawing takes of the outputs of each frame; `size` is (width, height)."""
    boxes, classes, scores = (
        np.stack([one[f"detection_{name}"][:most_boxes] for one in found])
        for name in ("boxes", "classes", "scores")
    )
    is_drawn = scores > threshold
    return {
        "frames": np.array(len(found)),
        "frame": np.nonzero(is_drawn)[0],
        "boxes": boxes[is_drawn] * np.float32((*size[::-1], *size[::-1])),
        "classes": classes[is_drawn].astype(np.int64),
        "scores": scores[is_drawn],
    }
