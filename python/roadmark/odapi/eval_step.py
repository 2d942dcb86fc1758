"""A checkpoint's detections and losses on records, by the OD API's own evaluation graph.

Decoding, resizing, prediction, losses and post-processing are those of
`object_detection.model_lib_v2.eager_eval_loop`; which records are read is ours.
"""

import dataclasses
import gzip
import itertools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from unittest import mock

import numpy as np

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection import inputs, model_lib  # noqa: E402
from object_detection.builders import decoder_builder  # noqa: E402
from object_detection.core import standard_fields  # noqa: E402
from tensorflow.python.profiler import model_analyzer, option_builder  # noqa: E402

from roadmark.detections import Detections  # noqa: E402
from roadmark.odapi import tracing  # noqa: E402
from roadmark.ops.postprocess import paste_masks  # noqa: E402

_Inputs = standard_fields.InputDataFields
_MASK_THRESHOLD = 0.5
_PREFETCHED = 4
_TOTAL_LOSS = "total_loss"
_TIMED = 10
_PRUNED = 0.1
_STATISTICS = ("moving_mean", "moving_variance")
_HEAVY = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2")


@dataclasses.dataclass(frozen=True)
class NetworkCost:
    """What a network takes for one picture.

    Attributes:
        parameters: Number of weights, batch norm's moving statistics aside.
        size_bytes: Of the weights and the statistics.
        flops: Floating-point operations, an addition and a multiplication counted as two; None
            where a layer's shape is known only when it runs.
        ms_per_image: Median over some pictures, network and post-processing.
        gzipped_bytes: See `gzipped`.
    """

    parameters: int
    size_bytes: int
    flops: int | None
    ms_per_image: float
    gzipped_bytes: int | None


class EvalStep:
    """The evaluation graph of one model, built once for all evaluations of it.

    Args:
        config: A `TrainEvalPipelineConfig`.
        model: Its detection model, built for inference, with weights.
    """

    def __init__(self, config: Any, model: Any):
        self._model = model
        self._compute = tf.function(lambda *batch: _compute(config, model, *batch), autograph=False)
        self._read_records: Callable[[], Iterable[bytes]] = tuple
        # Made once, since its graph takes longer than reading some pictures.
        self._batches = _dataset(config, model, lambda: self._read_records())

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
        self._read_records = read_records
        for features, labels in self._batches:
            outputs, losses = self._compute(features, labels)
            size = features[_Inputs.original_image_spatial_shape].numpy()[0]
            found = {name: value.numpy()[0] for name, value in outputs.items()}
            yield (
                _detections(found, (int(size[0]), int(size[1]))),
                {name: float(value) for name, value in losses.items()},
            )

    def cost(self, read_records: Callable[[], Iterable[bytes]]) -> NetworkCost:
        """What the network takes for a picture of the size that the config resizes to.

        Args:
            read_records: As for `run`; the first few are used.
        """
        self._read_records = read_records
        pictures = [
            (features[_Inputs.image], features[_Inputs.true_image_shape])
            for features, _ in itertools.islice(self._batches, _TIMED)
        ]
        forward = tf.function(self._detect, autograph=False).get_concrete_function(*pictures[0])
        forward(*pictures[0])
        weights = forward.graph.variables
        return NetworkCost(
            parameters=sum(
                weight.shape.num_elements()
                for weight in weights
                if not weight.name.split(":")[0].endswith(_STATISTICS)
            ),
            size_bytes=sum(w.shape.num_elements() * w.dtype.size for w in weights),
            flops=_flops(forward.graph),
            ms_per_image=1e3 * statistics.median(_seconds(forward, one) for one in pictures),
            gzipped_bytes=gzipped(weights),
        )

    def _detect(self, image: tf.Tensor, true_shape: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._model.postprocess(self._model.predict(image, true_shape), true_shape)


def gzipped(weights: Sequence[tf.Variable]) -> int | None:
    """What weights take after gzip, in bytes.

    Returns:
        None where fewer than a tenth of them are zero: hardly less than before, and it takes long.
    """
    values = [weight.numpy() for weight in weights]
    zeros = sum(np.count_nonzero(value == 0) for value in values)
    if zeros < _PRUNED * sum(value.size for value in values):
        return None
    return len(gzip.compress(b"".join(value.tobytes() for value in values), 6))


def _seconds(forward: Callable, picture: tuple) -> float:
    begin = time.perf_counter()
    for output in forward(*picture).values():
        output.numpy()
    return time.perf_counter() - begin


def _flops(graph: tf.Graph) -> int | None:
    layers = [operation for operation in graph.get_operations() if operation.type in _HEAVY]
    if not all(layer.outputs[0].shape.is_fully_defined() for layer in layers):
        return None
    kind = option_builder.ProfileOptionBuilder
    options = kind(kind.float_operation()).with_empty_output().build()
    return model_analyzer.profile(graph, options=options).total_float_ops


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
        example = tracing.trace(
            lambda record: transform_input_data_fn(decoder.decode(record)),
            tf.TensorSpec([], tf.string),
        )
        examples = records.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
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
