"""The part of TensorFlow 1's `tf.contrib.image` that auto-augment uses, on today's kernels.

The formulas are those of `tf.contrib.image`: a transform maps a point of the output to one of the
input, and the nearest pixel is taken.
"""

from collections.abc import Sequence

import tensorflow as tf


def transform(image: tf.Tensor, transforms: Sequence[float | tf.Tensor]) -> tf.Tensor:
    """Applies a projective transform to one image.

    Args:
        image: `[height, width, channels]`, of any number type.
        transforms: `(a0, a1, a2, b0, b1, b2, c0, c1)`: the output's point `(x, y)` is the input's
            `((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k)`, `k = c0 x + c1 y + 1`.

    Returns:
        An image of the same shape, 0 where the input has nothing.
    """
    found = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.stack([tf.cast(value, tf.float32) for value in transforms])[None],
        output_shape=tf.shape(image)[:2],
        interpolation="NEAREST",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )
    return tf.ensure_shape(found[0], image.shape)


def rotate(image: tf.Tensor, angles: float | tf.Tensor) -> tf.Tensor:
    """Turns an image counter-clockwise around its centre, by an angle in radians."""
    height, width = (tf.cast(tf.shape(image)[axis] - 1, tf.float32) for axis in (0, 1))
    cosine, sine = tf.cos(angles), tf.sin(angles)
    x_offset = (width - (cosine * width - sine * height)) / 2
    y_offset = (height - (sine * width + cosine * height)) / 2
    return transform(image, [cosine, -sine, x_offset, sine, cosine, y_offset, 0.0, 0.0])


def translate(image: tf.Tensor, translations: Sequence[float | tf.Tensor]) -> tf.Tensor:
    """Moves an image by `(dx, dy)` pixels, to the right and down."""
    dx, dy = (tf.cast(value, tf.float32) for value in translations)
    return transform(image, [1.0, 0.0, -dx, 0.0, 1.0, -dy, 0.0, 0.0])
