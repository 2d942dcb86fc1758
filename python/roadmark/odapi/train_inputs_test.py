"""Batches follow from seed and step alone, however they are prepared."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from roadmark.odapi import models, pipeline_config, seeded_augmentation, tracing, train_inputs
from roadmark.odapi.stand_ins import contrib_image
from roadmark.testing import small_records

import tensorflow as tf  # isort: skip - the door above must be open first

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "quickstart.config"
SIZE = "model.ssd.image_resizer.fixed_shape_resizer"
# Between them they use every kind of draw: uniform, integer, normal, cropped.
HEAVY = """[
  {random_horizontal_flip {}},
  {random_adjust_hue {}},
  {random_crop_image {}},
  {random_pad_image {}},
  {random_jitter_boxes {}},
  {random_patch_gaussian {random_coef: 0.0}},
  {random_jpeg_quality {}}
]"""


def _hashes(seed: int, first_step: int, count: int, threads: int = 2, mix=None) -> list[str]:
    return [_hash(batch) for batch in _batches(seed, first_step, threads, mix).take(count)]


def _batches(seed: int, first_step: int, threads: int, mix=None, augmentation=HEAVY):
    config = pipeline_config.override(
        pipeline_config.load(CONFIG),
        [
            f"{SIZE}.height=64",
            f"{SIZE}.width=64",
            "train_config.batch_size=2",
            "train_input_reader.label_map_path=",
            f"train_config.data_augmentation_options={augmentation}",
        ],
    )
    return train_inputs.train_dataset(
        config,
        models.build(config, is_training=True),
        lambda position: small_records.record(int(position) % 5),
        seed,
        first_step,
        threads,
        mix=mix,
    )


def _hash(batch) -> str:
    digest = hashlib.sha256()
    for tensor in tf.nest.flatten(batch):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def whole() -> list[str]:
    return _hashes(seed=1, first_step=0, count=6)


def test_a_resumed_run_sees_the_batches_of_an_uninterrupted_one(whole):
    assert _hashes(seed=1, first_step=3, count=3, threads=1) == whole[3:]


def test_batches_differ_from_each_other_and_with_the_seed(whole):
    assert len(set(whole + _hashes(seed=2, first_step=0, count=3))) == 9


def test_mixed_pictures_follow_from_seed_and_step_too(whole):
    mix = train_inputs.Mixing(mosaic=0.5, mixup=0.5, count=5)
    mixed = _hashes(seed=1, first_step=0, count=4, mix=mix)
    assert _hashes(seed=1, first_step=2, count=2, threads=1, mix=mix) == mixed[2:]
    assert not set(mixed) & set(whole)


COLOURS = np.array([(200, 30, 30), (30, 200, 30), (30, 30, 200)])


@pytest.mark.parametrize(
    ("mosaic", "mixup", "least_boxes"), [(1.0, 0.0, 2.0), (0.0, 1.0, 2.5)], ids=["mosaic", "mixup"]
)
def test_boxes_stay_on_what_they_are_around(mosaic, mixup, least_boxes):
    """Every class of the small records has a colour."""
    mix = train_inputs.Mixing(mosaic, mixup, count=5)
    counts, sound = [], []
    for features, labels in _batches(1, 0, 2, mix, augmentation="[]").take(10):
        for image, boxes, classes, weights, count in zip(
            features["image"].numpy(),
            labels["groundtruth_boxes"].numpy(),
            labels["groundtruth_classes"].numpy(),
            labels["groundtruth_weights"].numpy(),
            labels["num_groundtruth_boxes"].numpy(),
            strict=True,
        ):
            counts.append(count)
            pixels = (image + 1) * 127.5
            for box, one_hot, weight in zip(
                boxes[:count], classes[:count], weights[:count], strict=True
            ):
                assert ((box >= 0) & (box <= 1)).all()
                centre = pixels[tuple((np.array(box[:2] + box[2:]) / 2 * 63.9).astype(int))]
                # Mixup shows it as strongly as it counts.
                lean = COLOURS[one_hot.argmax()] - 100
                sound.append(float((centre - 100) @ lean > 0.3 * weight * (lean @ lean)))
            assert mosaic or 0 < weights[:count].min() < 1
    assert np.mean(counts) >= least_boxes
    # A box that another one lies on has its colour.
    assert np.mean(sound) > 0.75


def test_auto_augment_follows_from_seed_and_position():
    batches = _batches(1, 0, 2, augmentation="[{autoaugment_image {policy_name: 'v0'}}]")
    seen = [_hash(batch) for batch in batches.take(10)]
    assert [_hash(batch) for batch in batches.take(3)] == seen[:3]
    # The five pictures come again at every fifth batch.
    assert len({*seen}) > 5
    for _, labels in batches.take(5):
        boxes, counts = labels["groundtruth_boxes"].numpy(), labels["num_groundtruth_boxes"].numpy()
        for picture, count in zip(boxes, counts, strict=True):
            assert ((picture[:count] >= 0) & (picture[:count] <= 1)).all()
            assert (picture[:count, 2:] > picture[:count, :2]).all()


def test_each_round_of_a_loop_draws_its_own():
    overlay = seeded_augmentation.autoaugment_utils.tf

    @tf.function(autograph=False)
    def drawn(seed):
        with seeded_augmentation.seeded(seed):
            return overlay.while_loop(
                lambda index, values: index < 8,
                lambda index, values: (
                    index + 1,
                    tf.tensor_scatter_nd_update(
                        values, [[index]], [overlay.random_uniform([], dtype=tf.float32)]
                    ),
                ),
                [tf.constant(0), tf.zeros(8)],
            )[1]

    first = drawn(tf.constant([1, 2], tf.int64)).numpy()
    assert len(set(first)) == 8
    assert (drawn(tf.constant([1, 2], tf.int64)).numpy() == first).all()
    assert (drawn(tf.constant([1, 3], tf.int64)).numpy() != first).all()


def test_pictures_are_turned_moved_and_sheared_as_by_tf_contrib():
    picture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3) + 1
    moved = contrib_image.translate(tf.constant(picture), [2, 1]).numpy()
    assert (moved[1:, 2:] == picture[:-1, :-2]).all()
    assert not moved[0].any()
    square = picture[:, :4]
    turned = contrib_image.rotate(tf.constant(square), np.pi / 2).numpy()
    assert (turned == np.rot90(square)).all()
    sheared = contrib_image.transform(tf.constant(picture), [1, 1, 0, 0, 1, 0, 0, 0]).numpy()
    for row in range(4):
        assert (sheared[row, : 5 - row] == picture[row, row:]).all()


def test_draws_from_global_state_are_noticed():
    function = tf.function(lambda: tf.cond(tf.random.uniform([]) > 0.5, lambda: 1, lambda: 2))
    graph = function.get_concrete_function().graph
    assert seeded_augmentation.stateful_random_ops(graph) == ["RandomUniform"]


def test_functions_that_need_autograph_get_it():
    def magnitude(value):
        if value < 0:
            return -value
        return value

    graph = tracing.trace(magnitude, tf.TensorSpec([], tf.float32))
    assert [float(graph(tf.constant(value))) for value in (-2.0, 3.0)] == [2.0, 3.0]
