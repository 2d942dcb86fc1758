"""Feature extractors of the OD API over a Keras backbone, with its FPN or its BiFPN."""

import functools
from collections.abc import Callable
from typing import Any

from roadmark.odapi import door
from roadmark.odapi.backbones import registry
from roadmark.odapi.backbones.backbone import Backbone

door.open()

import tensorflow as tf  # noqa: E402
from object_detection.builders import model_builder  # noqa: E402
from object_detection.meta_architectures import ssd_meta_arch  # noqa: E402
from object_detection.models import (  # noqa: E402
    bidirectional_feature_pyramid_generators as bifpn,
)
from object_detection.models import feature_map_generators  # noqa: E402
from object_detection.utils import ops, shape_utils  # noqa: E402

# Smaller pictures have nothing left at the top of a pyramid.
_LEAST_SIDE = 33
_FPN_DEPTH = 256


def register() -> None:
    """Makes the OD API know `ssd_NAME_fpn_keras` and `ssd_NAME_bifpn_keras` of every backbone."""
    known = model_builder.SSD_KERAS_FEATURE_EXTRACTOR_CLASS_MAP
    for backbone in registry.BACKBONES.values():
        known[f"ssd_{backbone.name}_fpn_keras"] = functools.partial(FpnExtractor, backbone)
        known[f"ssd_{backbone.name}_bifpn_keras"] = functools.partial(BiFpnExtractor, backbone)


def cut(backbone: Backbone, weights: str | None, width: float, lowest: int, highest: int) -> Any:
    """The backbone up to its highest level.

    Args:
        backbone: What to build.
        weights: A file of weights for it, or None for random ones.
        width: The config's `depth_multiplier`.
        lowest: Level of the first of its outputs.
        highest: Of the last.

    Returns:
        A `tf_keras.Model` with an output for each level.

    Raises:
        ValueError: The backbone has no such level or width.
    """
    for level in (lowest, highest):
        if level not in backbone.levels:
            have = ", ".join(map(str, sorted(backbone.levels)))
            raise ValueError(f"{backbone.name} has the levels {have}; found {level}")
    whole = backbone.make(weights, width)
    names = [backbone.levels[level] for level in range(lowest, highest + 1)]
    outputs = [whole.get_layer(name).output for name in names]
    return tf.keras.Model(whole.inputs, outputs, name=backbone.name)


class _Extractor(ssd_meta_arch.SSDKerasFeatureExtractor):
    """What both have in common; the arguments are those that the OD API's builder gives.

    Attributes:
        classification_backbone: The backbone, which `fine_tune_checkpoint_type: classification`
            restores.
    """

    def __init__(self, backbone: Backbone, lowest: int, highest: int, **options: Any) -> None:
        if options["use_explicit_padding"]:
            raise ValueError(f"{backbone.name}: use_explicit_padding is not supported")
        super().__init__(**options)
        self._mean, self._scale = backbone.mean, backbone.scale
        self._lowest, self._highest = lowest, highest
        self._backbone_highest = min(highest, max(backbone.levels))
        self.classification_backbone = cut(
            backbone, None, self._depth_multiplier, lowest, self._backbone_highest
        )
        if self._override_base_feature_extractor_hyperparams:
            _override(self.classification_backbone, self._conv_hyperparams)

    def preprocess(self, resized_inputs: tf.Tensor) -> tf.Tensor:
        """Normalises float32 `[N, H, W, 3]` RGB of 0 to 255 as the backbone's weights want it."""
        return (resized_inputs - self._mean) * self._scale

    def _levels_of(self, pictures: tf.Tensor) -> list[tuple[str, tf.Tensor]]:
        """The backbone's levels, by name."""
        checked = shape_utils.check_min_image_dim(_LEAST_SIDE, pictures)
        padded = ops.pad_to_multiple(checked, self._pad_to_multiple)
        # None leaves it to the learning phase, as the OD API's own batch norm does.
        training = False if self._freeze_batchnorm else None
        found = self.classification_backbone(padded, training=training)
        found = found if isinstance(found, list | tuple) else [found]
        return [(f"level_{self._lowest + number}", one) for number, one in enumerate(found)]


class FpnExtractor(_Extractor):
    """With a feature pyramid (Lin et al. 2017), and stride-2 convolutions above the backbone."""

    def __init__(
        self,
        backbone: Backbone,
        fpn_min_level: int = 3,
        fpn_max_level: int = 7,
        additional_layer_depth: int = _FPN_DEPTH,
        **options: Any,
    ) -> None:
        super().__init__(backbone, fpn_min_level, fpn_max_level, **options)
        self._depth = max(int(additional_layer_depth * self._depth_multiplier), self._min_depth)
        self._top_down: Any = None
        self._coarse: list[list[Any]] = []

    def build(self, input_shape: Any) -> None:
        """Makes the layers above the backbone."""
        del input_shape
        self._top_down = feature_map_generators.KerasFpnTopDownFeatureMaps(
            num_levels=self._backbone_highest + 1 - self._lowest,
            depth=self._depth,
            use_depthwise=self._use_depthwise,
            is_training=self._is_training,
            conv_hyperparams=self._conv_hyperparams,
            freeze_batchnorm=self._freeze_batchnorm,
            name="FeatureMaps",
        )
        for level in range(self._backbone_highest + 1, self._highest + 1):
            block = feature_map_generators.create_conv_block(
                self._use_depthwise, 3, "SAME", 2, f"coarse_{level}", self._conv_hyperparams,
                self._is_training, self._freeze_batchnorm, self._depth,
            )  # fmt: skip
            self._coarse.append(block)
        self.built = True

    def _extract_features(self, preprocessed_inputs: tf.Tensor) -> list[tf.Tensor]:
        levels = self._levels_of(preprocessed_inputs)
        merged = self._top_down(levels)
        maps = [merged[f"top_down_{name}"] for name, _ in levels]
        for block in self._coarse:
            coarse = maps[-1]
            for layer in block:
                coarse = layer(coarse)
            maps.append(coarse)
        return maps


class BiFpnExtractor(_Extractor):
    """With the pyramid of EfficientDet (Tan, Pang, Le 2020)."""

    def __init__(
        self,
        backbone: Backbone,
        bifpn_min_level: int = 3,
        bifpn_max_level: int = 7,
        bifpn_num_iterations: int = 3,
        bifpn_num_filters: int = 64,
        bifpn_combine_method: str = "fast_attention",
        **options: Any,
    ) -> None:
        if options["use_depthwise"]:
            raise ValueError("use_depthwise: a BiFPN's convolutions are separable already")
        super().__init__(backbone, bifpn_min_level, bifpn_max_level, **options)
        self._iterations, self._combine = bifpn_num_iterations, bifpn_combine_method
        self._filters = max(bifpn_num_filters, self._min_depth)
        self._bifpn: Any = None

    def build(self, input_shape: Any) -> None:
        """Makes the layers above the backbone."""
        del input_shape
        self._bifpn = bifpn.KerasBiFpnFeatureMaps(
            bifpn_num_iterations=self._iterations,
            bifpn_num_filters=self._filters,
            fpn_min_level=self._lowest,
            fpn_max_level=self._highest,
            input_max_level=self._backbone_highest,
            is_training=self._is_training,
            conv_hyperparams=self._conv_hyperparams,
            freeze_batchnorm=self._freeze_batchnorm,
            bifpn_node_params={"combine_method": self._combine},
            name="bifpn",
        )
        self.built = True

    def _extract_features(self, preprocessed_inputs: tf.Tensor) -> list[tf.Tensor]:
        return list(self._bifpn(self._levels_of(preprocessed_inputs)).values())


def _override(model: Any, hyperparams: Any) -> None:
    """Gives the backbone the config's weight decay and batch norm, in place of its own."""
    layers = tf.keras.layers
    statistics = hyperparams.batch_norm_params() if hyperparams.use_batch_norm() else {}
    regularizer = hyperparams.params().get("kernel_regularizer")
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = statistics.get("momentum", layer.momentum)
            layer.epsilon = statistics.get("epsilon", layer.epsilon)
        elif isinstance(layer, layers.Conv2D) and regularizer is not None:
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            kernel = layer.depthwise_kernel if depthwise else layer.kernel
            layer.add_loss(_penalty(regularizer, kernel))


def _penalty(regularizer: Callable[[Any], Any], kernel: Any) -> Callable[[], Any]:
    return lambda: regularizer(kernel)
