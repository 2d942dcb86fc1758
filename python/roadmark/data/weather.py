"""Bad weather for pictures of streets, in TensorFlow: fog, rain, night, a lens out of focus.

Boxes stay as they are. Strengths are in shares of the picture's size or brightness, so that they do
not depend on its resolution. Each kind takes a picture as float32 `[H, W, 3]` RGB, 0 to 255; the
int64 `[2]` seed that all its draws follow from; and a strength from 0, mild, to 1, harsh, which is
drawn too when it is None.
"""

from collections.abc import Callable

import tensorflow as tf

Kind = Callable[[tf.Tensor, tf.Tensor, float | None], tf.Tensor]

# From mild to harsh.
_BLUR_SIGMAS = (0.002, 0.006)
_FOG = (0.8, 2.4)
_FOG_LIGHT = (170.0, 225.0)
_NIGHT_LIGHT = (0.45, 0.18)
_NIGHT_TINT = (0.82, 0.9, 1.0)
_NIGHT_NOISE = (2.0, 8.0)
# Share of the pixels that streaks cover.
_RAIN_COVER = (0.01, 0.05)
_RAIN_LENGTH = 0.05
_RAIN_GREY = 0.8
_RAIN_SLANT = (-0.4, 0.4)


def night(pixels: tf.Tensor, seed: tf.Tensor, strength: float | None = None) -> tf.Tensor:
    """Little light, somewhat blue, with the sensor's noise. float32 `[H, W, 3]`, 0 to 255."""
    light = _amount(_NIGHT_LIGHT, _fold(seed, 0), strength)
    dark = pixels * light * tf.constant(_NIGHT_TINT)
    deviation = _amount(_NIGHT_NOISE, _fold(seed, 1), strength)
    return dark + deviation * tf.random.stateless_normal(tf.shape(pixels), _fold(seed, 2))


def fog(pixels: tf.Tensor, seed: tf.Tensor, strength: float | None = None) -> tf.Tensor:
    """Light scattered by the air, after Koschmieder: more of it the farther away.

    The lower edge of a street picture is near and its middle far. float32 `[H, W, 3]`, 0 to 255.
    """
    density = _amount(_FOG, _fold(seed, 0), strength)
    light = _amount(_FOG_LIGHT, _fold(seed, 1))
    height = tf.cast(tf.shape(pixels)[0], tf.float32)
    rows = tf.range(height) / height
    distance = tf.clip_by_value(2 * (1 - rows), 0.0, 1.0)
    transmission = tf.exp(-density * distance)[:, tf.newaxis, tf.newaxis]
    return pixels * transmission + light * (1 - transmission)


def rain(pixels: tf.Tensor, seed: tf.Tensor, strength: float | None = None) -> tf.Tensor:
    """Grey light and bright slanted streaks. float32 `[H, W, 3]`, 0 to 255."""
    size = tf.shape(pixels)[:2]
    length = tf.maximum(3, tf.cast(tf.cast(size[0], tf.float32) * _RAIN_LENGTH, tf.int32))
    share = _amount(_RAIN_COVER, _fold(seed, 0), strength) / tf.cast(length, tf.float32)
    drops = tf.cast(tf.random.stateless_uniform(size, _fold(seed, 1)) < share, tf.float32)
    slant = _amount(_RAIN_SLANT, _fold(seed, 2))
    streaks = tf.clip_by_value(_smeared(drops, length, slant), 0.0, 1.0)[..., tf.newaxis]
    grey = tf.reduce_mean(pixels, axis=-1, keepdims=True)
    dull = _RAIN_GREY * (0.6 * pixels + 0.4 * grey)
    return dull + 0.5 * streaks * (255 - dull)


def _smeared(drops: tf.Tensor, length: tf.Tensor, slant: tf.Tensor) -> tf.Tensor:
    """Each drop drawn out into a line of `length` rows."""
    rows = tf.range(length)
    columns = tf.cast(tf.cast(rows - length // 2, tf.float32) * slant, tf.int32) + length // 2
    line = tf.scatter_nd(tf.stack([rows, columns], axis=1), tf.ones([length]), [length, length])
    kernel = line[..., tf.newaxis, tf.newaxis]
    return tf.nn.conv2d(drops[tf.newaxis, ..., tf.newaxis], kernel, 1, "SAME")[0, ..., 0]


def blur(pixels: tf.Tensor, seed: tf.Tensor, strength: float | None = None) -> tf.Tensor:
    """A Gaussian blur. float32 `[H, W, 3]`, 0 to 255."""
    sigma = _amount(_BLUR_SIGMAS, _fold(seed, 0), strength)
    sigma *= tf.cast(tf.shape(pixels)[0], tf.float32)
    radius = tf.cast(tf.math.ceil(3 * sigma), tf.int32)
    offsets = tf.cast(tf.range(-radius, radius + 1), tf.float32)
    weights = tf.exp(-0.5 * tf.square(offsets / sigma))
    weights /= tf.reduce_sum(weights)
    # Channels as a batch: a depthwise convolution wants its kernel's channels known.
    planes = tf.transpose(pixels, [2, 0, 1])[..., tf.newaxis]
    padding = [[0, 0], [radius, radius], [radius, radius], [0, 0]]
    planes = tf.pad(planes, padding, "SYMMETRIC")
    planes = tf.nn.conv2d(planes, weights[:, tf.newaxis, tf.newaxis, tf.newaxis], 1, "VALID")
    planes = tf.nn.conv2d(planes, weights[tf.newaxis, :, tf.newaxis, tf.newaxis], 1, "VALID")
    return tf.ensure_shape(tf.transpose(planes[..., 0], [1, 2, 0]), [None, None, 3])


def changed(
    kind: Kind, image: tf.Tensor, seed: tf.Tensor, strength: float | None = None
) -> tf.Tensor:
    """A picture after one of the kinds above, uint8 `[H, W, 3]` as it was before."""
    pixels = kind(tf.cast(image, tf.float32), seed, strength)
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)


def _fold(seed: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)


def _amount(
    limits: tuple[float, float], seed: tf.Tensor, strength: float | None = None
) -> tf.Tensor:
    mild, harsh = limits
    if strength is None:
        return tf.random.stateless_uniform([], seed, min(limits), max(limits))
    return tf.constant(mild + strength * (harsh - mild), tf.float32)
