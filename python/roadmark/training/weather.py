"""How often training turns pictures into ones of bad weather.

Every draw follows from the seed of the picture, so a resumed run sees the same weather.
"""

import tensorflow as tf

from roadmark.data.weather import blur, changed, fog, night, rain
from roadmark.training.recipe import Weather


def apply(image: tf.Tensor, weather: Weather, seed: tf.Tensor) -> tf.Tensor:
    """Changes a picture as often as the recipe says.

    Args:
        image: uint8 `[H, W, 3]` RGB.
        weather: The share of pictures for each kind.
        seed: int64 `[2]`, of the picture.

    Returns:
        The same shape and dtype.
    """
    kinds = ((weather.night, night), (weather.fog, fog), (weather.rain, rain), (weather.blur, blur))
    chances = tf.random.stateless_uniform([len(kinds)], _fold(seed, 0))
    for number, (share, kind) in enumerate(kinds):
        if share > 0:
            image = tf.cond(
                chances[number] < share,
                lambda image=image, kind=kind, number=number: changed(
                    kind, image, _fold(seed, number + 1)
                ),
                lambda image=image: image,
            )
    return image


def _fold(seed: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)
