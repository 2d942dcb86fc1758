"""A checkpoint's detections and losses on records, by the OD API's own evaluation graph.

Decoding, resizing, prediction, losses and post-processing are those of
`object_detection.model_lib_v2.eager_eval_loop`; which records are read is ours.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection import inputs, model_lib  # noqa: E402
from object_detection.builders import decoder_builder  # noqa: E402
from object_detection.core import standard_fields  # noqa: E402

from roadmark.detections import Detections  # noqa: E402
from roadmark.ops.postprocess import paste_masks  # noqa: E402

_Inputs = standard_fields.InputDataFields
_MASK_THRESHOLD = 0.5
_PREFETCHED = 4
_TOTAL_LOSS = "total_loss"


class EvalStep:
    """The evaluation graph of one model, built once for all evaluations of it.

    Args:
        config: A `TrainEvalPipelineConfig`.
        model: Its detection model, built for inference, with weights.
    """

    def __init__(self, config: Any, model: Any):
        self._config, self._model = config, model
        self._compute = tf.function(lambda *batch: _compute(config, model, *batch), autograph=False)

    def run(
        self, read_records: Callable[[], Iterable[bytes]]
    ) -> Iterator[tuple[Detections, dict[str, float]]]:
        """Yields detections and losses, record by record.

        Args:
            read_records: Gives the serialised tf.train.Examples in order.

        Yields:
            Detections in pixels of the original picture, and each validation loss by its name with
            `total_loss`, the sum of all and of the regularisation where the config adds it.
        """
        for features, labels in _dataset(self._config, self._model, read_records):
            outputs, losses = self._compute(features, labels)
            size = features[_Inputs.original_image_spatial_shape].numpy()[0]
            found = {name: value.numpy()[0] for name, value in outputs.items()}
            yield (
                _detections(found, (int(size[0]), int(size[1]))),
                {name: float(value) for name, value in losses.items()},
            )


def _dataset(
    config: Any, model: Any, read_records: Callable[[], Iterable[bytes]]
) -> tf.data.Dataset:
    """Pairs of features and labels, as `object_detection.inputs.eval_input` documents them."""

    def build(input_reader_config, transform_input_data_fn, **unused):
        del unused
        decoder = decoder_builder.build(input_reader_config)
        records = tf.data.Dataset.from_generator(
            read_records, output_signature=tf.TensorSpec([], tf.string)
        )
        examples = records.map(
            lambda record: transform_input_data_fn(decoder.decode(record)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        return examples.batch(1).prefetch(_PREFETCHED)

    # The OD API's own seam for another way to read: its transformations stay in charge.
    with mock.patch.dict(inputs.INPUT_BUILDER_UTIL_MAP, dataset_build=build):
        return inputs.eval_input(
            config.eval_config, config.eval_input_reader[0], config.model, model=model
        )


def _compute(
    config: Any, model: Any, features: dict[str, tf.Tensor], labels: dict[str, tf.Tensor]
) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    tf.compat.v1.keras.backend.set_learning_phase(False)
    shapes = features[_Inputs.true_image_shape]
    unpadded = model_lib.unstack_batch(labels, unpad_groundtruth_tensors=True)
    model_lib.provide_groundtruth(model, unpadded)
    predictions = model.predict(features[_Inputs.image], shapes, **model.get_side_inputs(features))
    losses = _losses(config, model, predictions, shapes)
    outputs = model.postprocess(predictions, shapes)
    wanted = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
    names = [*wanted, *({"detection_masks"} & set(outputs))]
    return {name: outputs[name] for name in names}, losses


def _losses(
    config: Any, model: Any, predictions: dict[str, Any], shapes: tf.Tensor
) -> dict[str, tf.Tensor]:
    losses = {
        name.removeprefix("Loss/"): value for name, value in model.loss(predictions, shapes).items()
    }
    penalties = model.regularization_losses()
    if config.train_config.add_regularization_loss and penalties:
        losses["regularization_loss"] = tf.add_n(penalties)
    return losses | {_TOTAL_LOSS: tf.add_n(list(losses.values()))}


def _detections(outputs: dict[str, np.ndarray], size: tuple[int, int]) -> Detections:
    count = int(outputs["num_detections"])
    boxes = outputs["detection_boxes"][:count]
    masks = outputs.get("detection_masks")
    if masks is not None:
        masks = paste_masks(masks[:count], boxes, size, _MASK_THRESHOLD)
    return Detections(
        boxes=boxes * np.float32((*size, *size)),
        scores=outputs["detection_scores"][:count],
        classes=outputs["detection_classes"][:count].astype(np.int32) + 1,
        masks=masks,
    )
