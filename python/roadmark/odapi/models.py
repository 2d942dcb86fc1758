"""Detection models as a pipeline config describes them."""

from typing import Any

from roadmark.errors import UserError
from roadmark.odapi import door
from roadmark.odapi.pipeline_config import TrainEvalPipelineConfig

door.open()

from object_detection.builders import model_builder  # noqa: E402

from roadmark.odapi.backbones import extractors  # noqa: E402

extractors.register()


def build(config: TrainEvalPipelineConfig, is_training: bool) -> Any:
    """Builds the model of a config; its variables appear when it first sees an image.

    Args:
        config: The pipeline config.
        is_training: Whether the model is built for training (batch norm, dropout) or inference.

    Returns:
        An `object_detection.core.model.DetectionModel`.

    Raises:
        UserError: The OD API cannot build what the config describes; the problem is its own words.
    """
    try:
        return model_builder.build(config.model, is_training=is_training)
    except (ValueError, KeyError) as error:
        raise UserError(
            "pipeline config, model",
            f"the Object Detection API cannot build it: {error}",
            "compare it with the configs in configs/",
        ) from error
