"""Weather in the input graph: what each kind does to a picture, and that its seed decides."""

import numpy as np
import pytest
import tensorflow as tf

from roadmark.training import weather
from roadmark.training.recipe import Weather

_SEED = tf.constant([3, 7], tf.int64)
_KINDS = ("fog", "rain", "night", "blur")


@pytest.fixture(scope="module")
def street():
    """A light sky over a dark road with sharp stripes."""
    image = np.full((120, 160, 3), 60, np.uint8)
    image[:60] = (150, 180, 220)
    image[60:, ::8] = 250
    return image


def _changed(image, kind, seed=_SEED):
    apply = tf.function(lambda image, seed: weather.apply(image, Weather(**{kind: 1.0}), seed))
    return apply(image, seed).numpy()


@pytest.mark.parametrize("kind", _KINDS)
def test_the_seed_decides(street, kind):
    once, again = (_changed(street, kind) for _ in range(2))
    other = _changed(street, kind, tf.constant([3, 8], tf.int64))
    assert (once.shape, once.dtype) == (street.shape, np.uint8)
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
    assert (once != street).any()


def test_night_is_dark_and_blue(street):
    dark = _changed(street, "night").astype(float)
    assert dark.mean() < 0.6 * street.mean()
    red, _, blue = (dark[:60, :, channel].mean() for channel in range(3))
    assert blue / red > 220 / 150


def test_fog_takes_contrast_from_what_is_far(street):
    foggy = _changed(street, "fog").astype(float)
    contrast = foggy[60:].std(axis=(1, 2))
    assert contrast[0] < 0.5 * street[60].std()
    assert (np.diff(contrast) > -1).all()


def test_rain_has_streaks_brighter_than_the_picture(street):
    wet = _changed(street[:60], "rain").astype(float)
    assert np.median(wet) < np.median(street[:60])
    assert 0.005 < (wet.mean(axis=-1) > street[:60].mean(axis=-1) + 5).mean() < 0.5


def test_blur_keeps_the_mean_and_loses_the_edges(street):
    soft = _changed(street, "blur").astype(float)
    assert soft.mean() == pytest.approx(street.mean(), abs=1)
    assert (
        np.abs(np.diff(soft[90, :, 0])).max() < np.abs(np.diff(street[90, :, 0].astype(int))).max()
    )


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)])
def test_the_share_of_pictures(street, share, expected):
    apply = tf.function(lambda seed: weather.apply(street, Weather(fog=share), seed))
    changed = [
        (apply(tf.constant([0, number], tf.int64)).numpy() != street).any() for number in range(100)
    ]
    assert np.mean(changed) == pytest.approx(expected, abs=0.12)
