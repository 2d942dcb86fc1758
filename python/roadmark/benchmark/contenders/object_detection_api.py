"""The OD API's own graphs, built from a pipeline config and compiled by `tf.function`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from roadmark.odapi import models, pipeline_config

# isort: split
import tensorflow as tf  # `models` has opened the door for it

from roadmark.benchmark.contenders.tensorflow_image import use_threads

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]

_NMS = "model.ssd.post_processing.batch_non_max_suppression"


def postprocessing(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`SSDMetaArch.postprocess`: decoding, sigmoid, suppression, clipping."""
    use_threads(threads)
    model = _model(
        options,
        f"{_NMS}.score_threshold={options['score_threshold']}",
        f"{_NMS}.iou_threshold={options['iou_threshold']}",
        f"{_NMS}.max_detections_per_class={options['max_outputs']}",
        f"{_NMS}.max_total_detections={options['max_outputs']}",
    )
    size, pictures = options["input_size"], len(arrays["class_logits"])
    names = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")

    @tf.function(autograph=False)
    def process(encodings: tf.Tensor, logits: tf.Tensor, anchors: tf.Tensor) -> Any:
        found = model.postprocess(
            {
                "preprocessed_inputs": tf.zeros([pictures, size, size, 3]),
                "box_encodings": encodings,
                "class_predictions_with_background": logits,
                "anchors": anchors,
            },
            tf.constant([[size, size, 3]] * pictures),
        )
        return {name: found[name] for name in names}

    encodings = tf.constant(arrays["box_encodings"])
    logits, anchors = tf.constant(arrays["class_logits"]), tf.constant(arrays["anchors"])

    def read(found: Any) -> Arrays:
        counts = found["num_detections"].numpy().astype(int)
        boxes, scores, classes = (
            np.concatenate(
                [of[:count] for of, count in zip(found[name].numpy(), counts, strict=True)]
            )
            for name in names[:3]
        )
        return {"boxes": boxes, "scores": scores, "classes": classes.astype(np.int32)}

    return lambda: process(encodings, logits, anchors), read


def encoding(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`FasterRcnnBoxCoder.encode`."""
    use_threads(threads)
    model = _model(options)

    @tf.function(autograph=False)
    def encode(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
        return model._box_coder.encode(_box_list(model, boxes), _box_list(model, anchors))

    boxes, anchors = tf.constant(arrays["boxes"]), tf.constant(arrays["anchors"])
    return lambda: encode(boxes, anchors), lambda codes: {"encodings": codes.numpy()}


def decoding(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`FasterRcnnBoxCoder.decode`."""
    use_threads(threads)
    model = _model(options)

    @tf.function(autograph=False)
    def decode(encodings: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
        return model._box_coder.decode(encodings, _box_list(model, anchors)).get()

    encodings, anchors = tf.constant(arrays["encodings"]), tf.constant(arrays["anchors"])
    return lambda: decode(encodings, anchors), lambda boxes: {"boxes": boxes.numpy()}


def target_assignment(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """`SSDMetaArch._assign_targets`, which is `batch_assign` with the config's matcher and coder.

    The targets are tensors; one-hot classes are made beforehand.
    """
    use_threads(threads)
    model = _model(options)
    num_classes = options["num_classes"]
    boxes = [tf.constant(one) for one in arrays["boxes"]]
    weights = [tf.constant(one) for one in arrays["weights"]]
    one_hot = np.eye(num_classes, dtype=np.float32)
    classes = [tf.constant(one_hot[one]) for one in arrays["classes"]]
    anchors = tf.constant(arrays["anchors"])

    @tf.function(autograph=False)
    def assign(boxes: Any, classes: Any, weights: Any, anchors: tf.Tensor) -> Any:
        model._anchors = _box_list(model, anchors)
        return model._assign_targets(boxes, classes, None, weights)

    def read(targets: Any) -> Arrays:
        names = ("class_targets", "class_weights", "box_targets", "box_weights", "matches")
        return {name: one.numpy() for name, one in zip(names, targets, strict=True)}

    return lambda: assign(boxes, classes, weights, anchors), read


def _model(options: dict[str, Any], *assignments: str) -> Any:
    config = pipeline_config.load(options["config"])
    number = f"model.ssd.num_classes={options['num_classes']}"
    return models.build(pipeline_config.override(config, [number, *assignments]), False)


def _box_list(model: Any, boxes: tf.Tensor) -> Any:
    """An OD API `BoxList`; only `roadmark.odapi` imports its class by name."""
    (example,) = model._anchor_generator.generate([(1, 1)] * 5, im_height=128, im_width=128)[:1]
    return type(example)(boxes)
