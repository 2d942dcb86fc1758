"""EfficientNetV2-S (Tan and Le 2021, arXiv:2104.00298), as Keras applications has it.

The pyramid ends before the last convolution, which serves classification.
"""

from typing import Any

from roadmark.odapi.backbones.backbone import Backbone, no_other_width


def _make(weights: str | None, depth_multiplier: float) -> Any:
    import tensorflow as tf

    no_other_width("efficientnet_v2_s", depth_multiplier)
    return tf.keras.applications.EfficientNetV2S(
        input_shape=(None, None, 3),
        include_top=False,
        weights=weights,
        include_preprocessing=False,
    )


BACKBONE = Backbone(
    name="efficientnet_v2_s",
    make=_make,
    levels={2: "block2d_add", 3: "block3d_add", 4: "block5i_add", 5: "block6o_add"},
    mean=(128.0, 128.0, 128.0),
    scale=(1 / 128, 1 / 128, 1 / 128),
)
