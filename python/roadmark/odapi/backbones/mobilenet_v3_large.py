"""MobileNetV3-Large (Howard et al. 2019, arXiv:1905.02244), as Keras applications has it.

The pyramid ends at the last bottleneck: the convolution to 960 channels that follows it serves
classification, and the paper too halves the last stage for detection.
"""

from typing import Any

from roadmark.odapi.backbones.backbone import Backbone


def _make(weights: str | None, depth_multiplier: float) -> Any:
    import tensorflow as tf

    return tf.keras.applications.MobileNetV3Large(
        input_shape=(None, None, 3),
        alpha=depth_multiplier,
        include_top=False,
        weights=weights,
        include_preprocessing=False,
    )


BACKBONE = Backbone(
    name="mobilenet_v3_large",
    make=_make,
    levels={
        2: "expanded_conv_2/Add",
        3: "expanded_conv_5/Add",
        4: "expanded_conv_11/Add",
        5: "expanded_conv_14/Add",
    },
    mean=(127.5, 127.5, 127.5),
    scale=(1 / 127.5, 1 / 127.5, 1 / 127.5),
)
