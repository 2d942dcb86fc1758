"""SavedModels of a detection model: the stock one, and the raw one without post-processing.

Stock: a batch of pictures in (uint8, any size), the OD API's final detections out, under the names
that `object_detection/exporter_lib_v2.py` gives them; the batch is free where that has 1.

Raw: the preprocessed batch in; box encodings and class logits out, and for two stages the
proposals and mask logits. `roadmark.ops.postprocess` takes it from there, and a `Manifest` says
how. Anchors are no output: `anchors` computes them once.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection import exporter_lib_v2  # noqa: E402
from object_detection.core import box_predictor  # noqa: E402

from roadmark.errors import UserError  # noqa: E402
from roadmark.manifest import (  # noqa: E402
    CLASS_AGNOSTIC,
    FIXED_SHAPE,
    KEEP_ASPECT_RATIO,
    ONE_STAGE,
    PER_CLASS,
    SIGMOID,
    SOFTMAX,
    TWO_STAGE,
    BoxCoderSpec,
    InputSpec,
    NmsSpec,
    OutputSpec,
    PostprocessSpec,
)
from roadmark.ops.postprocess import (  # noqa: E402
    BOX_ENCODINGS,
    CLASS_LOGITS,
    MASK_LOGITS,
    NUM_PROPOSALS,
    PROPOSALS,
)

IMAGE = "image"
TRUE_SHAPES = "true_shapes"
INPUT_TENSOR = "input_tensor"

_MEANINGS = {
    BOX_ENCODINGS: "Encodings of y, x, height and width relative to anchors or proposals.",
    CLASS_LOGITS: "One logit per class, the background's first where there is a column for it.",
    PROPOSALS: "Boxes of the first stage, ymin xmin ymax xmax in pixels of the network's input.",
    NUM_PROPOSALS: "How many of the proposals are real; the rest is padding.",
    MASK_LOGITS: "Mask of each proposal's best class within its refined box.",
}
# The first stage's coder, which serves the second too (core/target_assigner.py).
_TWO_STAGE_SCALE_FACTORS = (10.0, 10.0, 5.0, 5.0)
_CONVERTERS = {"SIGMOID": SIGMOID, "SOFTMAX": SOFTMAX}
# What Keras appends to a name that another layer of the process had before.
_COUNTER = re.compile(r"_\d+(?=[/:])")
# What a float32 probe of the normalisation is worth.
_PROBE_DIGITS = 7


def input_spec(config: Any, model: Any) -> InputSpec:
    """How pictures become the raw graph's input.

    Args:
        config: A `TrainEvalPipelineConfig`.
        model: Its detection model.

    Raises:
        UserError: The config's image resizer gives no fixed input size, or one that only the OD
            API's graph can do.
    """
    architecture = config.model.WhichOneof("model")
    resizer = getattr(config.model, architecture).image_resizer
    kind = resizer.WhichOneof("image_resizer_oneof")
    settings = getattr(resizer, kind)
    mean, scale = normalisation(model)
    if kind == "fixed_shape_resizer":
        height, width = settings.height, settings.width
        resize, limits, padding = FIXED_SHAPE, (0, 0), (0.0, 0.0, 0.0)
    elif kind == "keep_aspect_ratio_resizer" and settings.pad_to_max_dimension:
        height = width = settings.max_dimension
        resize, limits = KEEP_ASPECT_RATIO, (settings.min_dimension, settings.max_dimension)
        padding = _padding(architecture, settings, mean, scale)
    else:
        raise _unsupported(
            f"image_resizer is {kind}, which has no fixed size",
            "use fixed_shape_resizer, or keep_aspect_ratio_resizer with pad_to_max_dimension: true",
        )
    if settings.resize_method or settings.convert_to_grayscale:
        raise _unsupported(
            "the image resizer has a resize_method other than BILINEAR or converts to grey",
            "remove resize_method and convert_to_grayscale",
        )
    two_stage_with_padding = architecture == "faster_rcnn" and resize == KEEP_ASPECT_RATIO
    return InputSpec(
        name=IMAGE,
        height=height,
        width=width,
        resize=resize,
        min_dimension=limits[0],
        max_dimension=limits[1],
        mean=mean,
        scale=scale,
        pad_value=padding,
        channel_order="RGB",
        layout="NHWC",
        dtype="float32",
        true_shapes_name=TRUE_SHAPES if two_stage_with_padding else "",
    )


def postprocess_spec(config: Any) -> PostprocessSpec:
    """How the raw graph's outputs become detections.

    Args:
        config: A `TrainEvalPipelineConfig`.

    Raises:
        UserError: The config asks for post-processing that only the OD API's graph can do.
    """
    architecture = config.model.WhichOneof("model")
    if architecture == "ssd":
        model = config.model.ssd
        processing, scale_factors = model.post_processing, _one_stage_scale_factors(model)
        background = model.add_background_class or model.explicit_background_class
        _refuse_misplaced_boxes(model)
    elif architecture == "faster_rcnn":
        processing = config.model.faster_rcnn.second_stage_post_processing
        scale_factors, background = _TWO_STAGE_SCALE_FACTORS, True
    else:
        raise _unsupported(
            f"model is {architecture}", "export an ssd or a faster_rcnn model, or use the stock API"
        )
    if processing.HasField("calibration_config"):
        raise _unsupported("scores are calibrated", "remove calibration_config")
    converter = processing.ScoreConverter.Name(processing.score_converter)
    if converter not in _CONVERTERS:
        raise _unsupported(
            f"score_converter is {converter}, whose scores may lie outside 0 to 1",
            "use score_converter: SIGMOID or SOFTMAX, as the model was trained",
        )
    return PostprocessSpec(
        architecture=ONE_STAGE if architecture == "ssd" else TWO_STAGE,
        box_coder=BoxCoderSpec("faster_rcnn", scale_factors),
        background_column=background,
        score_converter=_CONVERTERS[converter],
        logit_scale=processing.logit_scale,
        nms=_nms_spec(processing.batch_non_max_suppression),
        mask_threshold=0.5,
    )


def save_stock(model: Any, folder: Path) -> None:
    """Writes the SavedModel that takes pictures and gives final detections."""
    stock = exporter_lib_v2.DetectionInferenceModule(model)

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, INPUT_TENSOR)],
        autograph=False,
    )
    def detect(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        images, true_shapes = stock._preprocess_input(input_tensor, lambda image: image)
        return stock._run_inference_on_images(images, true_shapes)

    _save(model, detect, detect.get_concrete_function(), folder)


def save_raw(
    model: Any, spec: InputSpec, anchor_count: int | None, folder: Path
) -> tuple[OutputSpec, ...]:
    """Writes the SavedModel without post-processing.

    Args:
        model: A detection model.
        spec: As `input_spec` gives it.
        anchor_count: Number of anchors; None for two stages.
        folder: Where to.

    Returns:
        Its outputs.
    """

    @tf.function(autograph=False)
    def predict(image: tf.Tensor, true_shapes: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
        shapes = _full_shapes(image) if true_shapes is None else true_shapes
        if anchor_count is None:
            return _two_stage_outputs(model, image, shapes)
        return _one_stage_outputs(model, image, shapes, anchor_count)

    arguments = [tf.TensorSpec([None, spec.height, spec.width, 3], tf.float32, IMAGE)]
    if spec.true_shapes_name:
        arguments.append(tf.TensorSpec([None, 3], tf.int32, TRUE_SHAPES))
    signature = predict.get_concrete_function(*arguments)
    _save(model, predict, signature, folder)
    return tuple(
        OutputSpec(
            name=name,
            meaning=_MEANINGS[name],
            shape=tuple(-1 if size is None else size for size in tensor.shape.as_list()),
            dtype=tensor.dtype.name,
        )
        for name, tensor in sorted(signature.structured_outputs.items())
    )


def _save(model: Any, function: Any, signature: Any, folder: Path) -> None:
    # Holding the variables and not the model keeps Keras from tracing every layer once more.
    module = tf.Module()
    module.model_variables = model.variables
    module.__call__ = function
    tf.saved_model.save(module, str(folder), signatures=signature)


def anchors(model: Any, spec: InputSpec) -> np.ndarray:
    """float32 `[N, 4]` anchors of a one-stage model, normalised to the network's input."""

    @tf.function(autograph=False)
    def compute() -> tf.Tensor:
        image = tf.zeros([1, spec.height, spec.width, 3])
        return model.predict(image, _full_shapes(image))["anchors"]

    return compute().numpy().astype(np.float32)


def weights_sha256(model: Any) -> str:
    """SHA-256 over names and bytes of all variables, in the order of the names.

    Names are without Keras's counters, which hang on what else the process has built: an export
    that training ends with and a later one of the same checkpoint have the same hash.
    """
    digest = hashlib.sha256()
    names = ((_COUNTER.sub("", variable.name), variable) for variable in model.variables)
    # Those that differ in a counter alone stay in the order in which the model has them.
    for name, variable in sorted(names, key=lambda pair: pair[0]):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def _full_shapes(image: tf.Tensor) -> tf.Tensor:
    return tf.tile(tf.shape(image)[tf.newaxis, 1:], [tf.shape(image)[0], 1])


def _one_stage_outputs(
    model: Any, image: tf.Tensor, shapes: tf.Tensor, anchor_count: int
) -> dict[str, tf.Tensor]:
    predictions = model.predict(image, shapes)
    outputs = {
        BOX_ENCODINGS: tf.cast(predictions["box_encodings"], tf.float32),
        CLASS_LOGITS: tf.cast(predictions["class_predictions_with_background"], tf.float32),
    }
    for tensor in outputs.values():
        tensor.set_shape([None, anchor_count, None])
    return outputs


def _two_stage_outputs(model: Any, image: tf.Tensor, shapes: tf.Tensor) -> dict[str, tf.Tensor]:
    # `predict` would run the final suppression inside the graph to find the boxes that get masks.
    first = model._predict_first_stage(image)
    second = model._predict_second_stage(
        first["rpn_box_encodings"],
        first["rpn_objectness_predictions_with_background"],
        first["rpn_features_to_crop"],
        first["anchors"],
        first["image_shape"],
        shapes,
    )
    count = model.max_num_proposals
    encodings, logits = second["refined_box_encodings"], second["class_predictions_with_background"]
    outputs = {
        BOX_ENCODINGS: tf.reshape(encodings, [-1, count, encodings.shape[1], 4]),
        CLASS_LOGITS: tf.reshape(logits, [-1, count, logits.shape[1]]),
        PROPOSALS: tf.ensure_shape(second["proposal_boxes"], [None, count, 4]),
        NUM_PROPOSALS: tf.cast(second["num_proposals"], tf.int32),
    }
    if model._number_of_stages == 3:
        outputs[MASK_LOGITS] = _mask_logits(model, first, outputs, shapes)
    return outputs


def _mask_logits(
    model: Any, first: dict[str, Any], outputs: dict[str, tf.Tensor], shapes: tf.Tensor
) -> tf.Tensor:
    """Masks within the refined box of each proposal's best class.

    The stock graph predicts them within its final detections, which are these boxes wherever a
    detection is of its proposal's best class.
    """
    best = tf.argmax(outputs[CLASS_LOGITS][:, :, 1:], axis=-1, output_type=tf.int32)
    boxes = model._batch_decode_boxes(outputs[BOX_ENCODINGS], outputs[PROPOSALS])
    if boxes.shape[2] > 1:
        boxes = tf.gather(boxes, best[:, :, tf.newaxis], axis=2, batch_dims=2)
    sizes = tf.cast(shapes[:, tf.newaxis, :2], tf.float32)
    corners = tf.clip_by_value(tf.squeeze(boxes, axis=2), 0.0, tf.tile(sizes, [1, 1, 2]))
    full = tf.cast(first["image_shape"][1:3], tf.float32)
    features = model._extract_box_classifier_features(
        model._compute_second_stage_input_feature_maps(
            first["rpn_features_to_crop"], corners / tf.tile(full, [2]), first["image_shape"]
        )
    )
    predicted = model._mask_rcnn_box_predictor([features], prediction_stage=3)
    masks = tf.squeeze(predicted[box_predictor.MASK_PREDICTIONS], axis=1)
    if masks.shape[1] > 1:
        masks = tf.gather(masks, tf.reshape(best, [-1]), axis=1, batch_dims=1)
    height, width = masks.shape[-2:]
    return tf.cast(tf.reshape(masks, [-1, model.max_num_proposals, height, width]), tf.float32)


def normalisation(model: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and scale per channel, read off the feature extractor's own preprocessing.

    Raises:
        UserError: It does something else to the pixels.
    """
    extractor = model._feature_extractor
    black, grey, white = (
        extractor.preprocess(tf.fill([1, 1, 1, 3], value)).numpy().reshape(3).astype(np.float64)
        for value in (0.0, 127.5, 255.0)
    )
    if not np.allclose(grey, (black + white) / 2, atol=1e-4):
        raise _unsupported(
            "the feature extractor's preprocessing is not one mean and scale per channel",
            "use another feature extractor, or the stock API",
        )
    scale = (white - black) / 255
    return tuple(map(_rounded, -black / scale)), tuple(map(_rounded, scale))


def _rounded(value: float) -> float:
    return float(f"{value:.{_PROBE_DIGITS}g}")


def _padding(
    architecture: str, settings: Any, mean: tuple[float, ...], scale: tuple[float, ...]
) -> tuple[float, ...]:
    # SSD models normalise and then pad; Faster R-CNN models pad and then normalise.
    values = tuple(settings.per_channel_pad_value) or (0.0, 0.0, 0.0)
    if architecture == "ssd":
        return values
    return tuple((v - m) * s for v, m, s in zip(values, mean, scale, strict=True))


def _one_stage_scale_factors(ssd: Any) -> tuple[float, float, float, float]:
    if ssd.box_coder.WhichOneof("box_coder_oneof") != "faster_rcnn_box_coder":
        raise _unsupported("box_coder is not faster_rcnn_box_coder", "use faster_rcnn_box_coder")
    coder = ssd.box_coder.faster_rcnn_box_coder
    return coder.y_scale, coder.x_scale, coder.height_scale, coder.width_scale


def _nms_spec(nms: Any) -> NmsSpec:
    if nms.use_combined_nms:
        raise _unsupported("use_combined_nms is set", "remove use_combined_nms")
    return NmsSpec(
        mode=CLASS_AGNOSTIC if nms.use_class_agnostic_nms else PER_CLASS,
        score_threshold=nms.score_threshold,
        iou_threshold=nms.iou_threshold,
        max_per_class=nms.max_detections_per_class,
        max_total=nms.max_total_detections,
        soft_nms_sigma=nms.soft_nms_sigma,
    )


def _refuse_misplaced_boxes(ssd: Any) -> None:
    resizer = ssd.image_resizer.WhichOneof("image_resizer_oneof")
    nms = ssd.post_processing.batch_non_max_suppression
    if resizer == "keep_aspect_ratio_resizer" and not nms.change_coordinate_frame:
        raise _unsupported(
            "change_coordinate_frame is false while pictures are padded, "
            "which makes the stock API place boxes wrongly",
            "remove change_coordinate_frame",
        )


def _unsupported(problem: str, cure: str) -> UserError:
    return UserError("pipeline.config", f"cannot be exported: {problem}", cure)
