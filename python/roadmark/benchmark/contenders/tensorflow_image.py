"""TensorFlow's own operations, compiled by `tf.function`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def combined_nms(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`combined_non_max_suppression`; it takes a score for every class, here one above 0 per box.

    The matrix of scores is made beforehand.
    """
    use_threads(threads)
    count, num_classes = len(arrays["boxes"]), options["num_classes"]
    matrix = np.zeros((1, count, num_classes), np.float32)
    matrix[0, np.arange(count), arrays["classes"]] = arrays["scores"]
    boxes, scores = tf.constant(arrays["boxes"][None, :, None]), tf.constant(matrix)

    @tf.function(autograph=False)
    def suppress(boxes: tf.Tensor, scores: tf.Tensor) -> Any:
        return tf.image.combined_non_max_suppression(
            boxes,
            scores,
            max_output_size_per_class=options["max_outputs"],
            max_total_size=options["max_outputs"],
            iou_threshold=options["iou_threshold"],
            score_threshold=options["score_threshold"],
            clip_boxes=False,
        )

    def read(kept: Any) -> Arrays:
        count = int(kept.valid_detections[0])
        return {
            "boxes": kept.nmsed_boxes[0, :count].numpy(),
            "scores": kept.nmsed_scores[0, :count].numpy(),
            "classes": kept.nmsed_classes[0, :count].numpy().astype(np.int32),
        }

    return lambda: suppress(boxes, scores), read


def preprocessing(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Resize as the OD API does, normalise, pad."""
    use_threads(threads)
    image, size = tf.constant(arrays["image"]), options["input_size"]
    resized_size = options["resized_size"]
    mean = tf.constant(options["mean"], tf.float32)
    scale = tf.constant(options["scale"], tf.float32)

    @tf.function(autograph=False)
    def prepare(image: tf.Tensor) -> tf.Tensor:
        resized = tf.compat.v1.image.resize_images(image[tf.newaxis], resized_size)
        normalised = (resized - mean) * scale
        if resized_size == [size, size]:
            return normalised
        return tf.image.pad_to_bounding_box(normalised, 0, 0, size, size)

    return lambda: prepare(image), lambda batch: {"batch": batch.numpy()}


def mask_pasting(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`crop_and_resize`, as the OD API's `reframe_box_masks_to_image_masks` uses it."""
    use_threads(threads)
    probabilities, boxes = tf.constant(arrays["probabilities"]), tf.constant(arrays["boxes"])

    @tf.function(autograph=False)
    def paste(probabilities: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
        # The picture in units of each box.
        low, high = boxes[:, :2], boxes[:, 2:]
        picture = tf.concat([-low, 1 - low], axis=1) / tf.tile(high - low, [1, 2])
        numbers = tf.range(tf.shape(boxes)[0])
        values = tf.image.crop_and_resize(
            probabilities[..., tf.newaxis], picture, numbers, options["size"]
        )
        return values[..., 0] > 0.5

    return lambda: paste(probabilities, boxes), lambda masks: {"masks": masks.numpy()}


def use_threads(threads: int) -> None:
    """Limits TensorFlow's pools; before its first operation."""
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
