"""Ours: the operations of `roadmark.ops`, through their Python faces."""

from collections.abc import Callable
from typing import Any

import numpy as np

from roadmark import manifest
from roadmark.benchmark.inputs import INPUT_SIZE
from roadmark.ops import annotate, box_coder, nms
from roadmark.ops.matcher import TargetAssigner, TargetAssignment
from roadmark.ops.postprocess import BOX_ENCODINGS, CLASS_LOGITS, paste_masks, postprocess
from roadmark.ops.preprocess import preprocess

Arrays = dict[str, np.ndarray]
Timed = tuple[Callable[[], Any], Callable[[Any], Arrays]]


def postprocessing(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """From logits and encodings of a batch to `Detections`."""
    spec = manifest.PostprocessSpec(
        architecture=manifest.ONE_STAGE,
        box_coder=manifest.BoxCoderSpec("faster_rcnn", (1.0, 1.0, 1.0, 1.0)),
        background_column=False,
        score_converter=manifest.SIGMOID,
        logit_scale=1.0,
        nms=manifest.NmsSpec(
            mode=manifest.PER_CLASS,
            score_threshold=options["score_threshold"],
            iou_threshold=options["iou_threshold"],
            max_per_class=options["max_outputs"],
            max_total=options["max_outputs"],
            soft_nms_sigma=0.0,
        ),
        mask_threshold=0.5,
    )
    outputs = {
        CLASS_LOGITS: arrays["class_logits"],
        BOX_ENCODINGS: arrays["box_encodings"],
    }
    picture = input_spec({**options, "resize": manifest.FIXED_SHAPE})
    anchors = arrays["anchors"]
    sizes = [(INPUT_SIZE, INPUT_SIZE)] * len(arrays["class_logits"])

    def call() -> Any:
        return postprocess(outputs, anchors, spec, picture, sizes, threads=threads)

    def read(found: Any) -> Arrays:
        return {
            "boxes": np.concatenate([one.boxes for one in found]) / np.float32(INPUT_SIZE),
            "scores": np.concatenate([one.scores for one in found]),
            "classes": np.concatenate([one.classes for one in found]) - 1,
        }

    return call, read


def batched_nms(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Boxes with one class each, suppressed within their class."""
    del threads
    boxes, scores, classes = arrays["boxes"], arrays["scores"], arrays["classes"]

    def call() -> Any:
        return nms.batched_nms(
            boxes,
            scores,
            classes,
            score_threshold=options["score_threshold"],
            iou_threshold=options["iou_threshold"],
            max_per_class=options["max_outputs"],
            max_total=options["max_outputs"],
        )

    def read(kept: Any) -> Arrays:
        indices, kept_classes, kept_scores = kept
        return {
            "indices": indices,
            "boxes": boxes[indices],
            "scores": kept_scores,
            "classes": kept_classes,
        }

    return call, read


def preprocessing(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """A picture to a batch of one, into a buffer that is used again."""
    images, spec = [arrays["image"]], input_spec(options)
    out = np.empty((1, spec.height, spec.width, 3), np.float32)
    return lambda: preprocess(images, spec, out, threads), lambda batch: {"batch": batch}


def encoding(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Boxes relative to anchors."""
    del threads
    boxes, anchors = arrays["boxes"], arrays["anchors"]
    scale_factors = tuple(options["scale_factors"])
    return lambda: box_coder.encode(boxes, anchors, scale_factors), _as("encodings")


def decoding(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Encodings to boxes."""
    del threads
    encodings, anchors = arrays["encodings"], arrays["anchors"]
    scale_factors = tuple(options["scale_factors"])
    return lambda: box_coder.decode(encodings, anchors, scale_factors), _as("boxes")


def target_assignment(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Targets of a batch; anchors are arranged and classes made one-hot beforehand."""
    num_classes = options["num_classes"]
    assigner = TargetAssigner(
        arrays["anchors"],
        np.zeros(num_classes, np.float32),
        matched_threshold=0.5,
        unmatched_threshold=0.5,
        force_match_for_each_row=True,
    )
    boxes, weights = arrays["boxes"], arrays["weights"]
    labels = np.eye(num_classes, dtype=np.float32)[arrays["classes"]]

    def call() -> TargetAssignment:
        return assigner.assign(boxes, labels, weights, threads=threads)

    return call, TargetAssignment._asdict


def mask_pasting(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Box-sized masks to masks of the picture's size."""
    probabilities, boxes, size = arrays["probabilities"], arrays["boxes"], tuple(options["size"])
    return lambda: paste_masks(probabilities, boxes, size, 0.5, threads), _as("masks")


def annotating(arrays: Arrays, options: dict[str, Any], threads: int) -> Timed:
    """Boxes and tags straight onto the planes of an I420 frame, in place."""
    del threads
    frame = arrays["frame"].copy()
    height, width = frame.shape[0] * 2 // 3, frame.shape[1]
    chroma = frame[height:].reshape(2, height // 2, width // 2)
    planes = annotate.Yuv420((frame[:height], *chroma), annotate.BT709)
    boxes, classes, labels = arrays["boxes"], arrays["classes"], options["labels"]

    def call() -> np.ndarray:
        annotate.draw_boxes(planes, boxes, classes, labels)
        return frame

    return call, _as("frame")


def input_spec(options: dict[str, Any]) -> manifest.InputSpec:
    """The network's input: square, with ImageNet's mean and deviation."""
    keeps_aspect = options["resize"] == manifest.KEEP_ASPECT_RATIO
    return manifest.InputSpec(
        name="image",
        height=INPUT_SIZE,
        width=INPUT_SIZE,
        resize=options["resize"],
        min_dimension=INPUT_SIZE if keeps_aspect else 0,
        max_dimension=INPUT_SIZE if keeps_aspect else 0,
        mean=tuple(options["mean"]),
        scale=tuple(options["scale"]),
        pad_value=(0.0, 0.0, 0.0),
        channel_order="RGB",
        layout="NHWC",
        dtype="float32",
        true_shapes_name="",
    )


def _as(name: str) -> Callable[[np.ndarray], Arrays]:
    return lambda array: {name: array}
