"""Training batches: the OD API's decoding, augmentation and resizing over our own order.

Position `p` of the endless stream of examples fixes which record is read and how it is augmented,
whatever was read before; batch `n` holds positions `n * batch_size` and on.
"""

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from roadmark.odapi import door

door.open()

import tensorflow as tf  # noqa: E402 - the door must be open first
from object_detection import inputs  # noqa: E402
from object_detection.builders import decoder_builder  # noqa: E402
from object_detection.core import standard_fields  # noqa: E402

from roadmark.odapi import picture_mixing, seeded_augmentation, tracing  # noqa: E402

_IMAGE = standard_fields.InputDataFields.image
_PREFETCHED_BATCHES = 4
# Keeps the draws of mixing apart from those of what `change` does with the same seed.
_MIXING = 1 << 20


@dataclasses.dataclass(frozen=True)
class Mixing:
    """Pictures made of several, see `picture_mixing.mixed`.

    Attributes:
        mosaic: Share of the pictures that become a mosaic.
        mixup: Share of the pictures that are blended with another.
        count: Positions of the stream, from the first, that the others are taken from.
    """

    mosaic: float
    mixup: float
    count: int


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of each batch that a worker's input gives.

    Attributes:
        workers: How many share it.
        worker: Which of them, from 0.
        replicas: Devices of a worker, which take its share in turns, an element each.
    """

    workers: int = 1
    worker: int = 0
    replicas: int = 1

    def of(self, batch_size: int) -> int:
        """Examples of one element of the dataset."""
        return batch_size // (self.workers * self.replicas)


def train_dataset(
    config: Any,
    model: Any,
    read_example: Callable[[int], bytes],
    seed: int,
    first_step: int,
    threads: int,
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    mix: Mixing | None = None,
    share: Share = Share(),
) -> tf.data.Dataset:
    """The batches of training step `first_step` and on, without end.

    Args:
        config: A `TrainEvalPipelineConfig`.
        model: The detection model; its `preprocess` is applied to every image.
        read_example: Takes a position in the stream and returns a serialised tf.train.Example.
            Called from several threads.
        seed: Seed of the augmentation.
        first_step: Steps already done.
        threads: Examples prepared at the same time.
        change: Takes a decoded picture, uint8 `[H, W, 3]`, and an int64 `[2]` seed of its own, and
            gives the picture to go on with. Before the config's augmentation.
        mix: Which pictures are made of several; before `change`.
        share: Which part of each batch.

    Returns:
        Pairs of features and labels, as `object_detection.inputs.train_input` documents them.
    """

    def build(input_reader_config, batch_size, transform_input_data_fn, **unused):
        del unused
        decoder = decoder_builder.build(input_reader_config)

        def decode(position):
            return decoder.decode(_read(read_example, position))

        # Whole batches of all workers are apart in the stream, and in each the shares of workers.
        count = batch_size // share.workers

        def example(number):
            position = number // count * batch_size + share.worker * count + number % count
            own_seed = tf.stack([np.int64(seed), position])
            decoded = decode(position)
            if mix is not None:
                mixing_seed = tf.random.experimental.stateless_fold_in(own_seed, _MIXING)
                decoded = picture_mixing.mixed(
                    decoded, decode, mix.count, (mix.mosaic, mix.mixup), mixing_seed
                )
            if change is not None:
                decoded[_IMAGE] = change(decoded[_IMAGE], own_seed)
            with seeded_augmentation.seeded(own_seed):
                return transform_input_data_fn(decoded)

        numbers = tf.data.Dataset.range(first_step * count, np.iinfo(np.int64).max)
        examples = _map(numbers, example, threads).batch(share.of(batch_size), drop_remainder=True)
        return examples.prefetch(_PREFETCHED_BATCHES * share.replicas)

    # The OD API's own seam for another way to read: its transformations stay in charge.
    with mock.patch.dict(inputs.INPUT_BUILDER_UTIL_MAP, dataset_build=build):
        return inputs.train_input(
            config.train_config, config.train_input_reader, config.model, model=model
        )


def _read(read_example: Callable[[int], bytes], position: tf.Tensor) -> tf.Tensor:
    record = tf.numpy_function(read_example, [position], tf.string, stateful=False)
    return tf.ensure_shape(record, [])


def _map(positions: tf.data.Dataset, example: Callable, threads: int) -> tf.data.Dataset:
    function = tracing.trace(example, tf.TensorSpec([], tf.int64))
    random_ops = seeded_augmentation.stateful_random_ops(function.graph)
    if random_ops:
        raise AssertionError(f"augmentation draws from global state: {', '.join(random_ops)}")
    return positions.map(function, num_parallel_calls=threads, deterministic=True)
