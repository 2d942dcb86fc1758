"""The raw network of a config, with random weights."""

from pathlib import Path

from roadmark.manifest import ONE_STAGE
from roadmark.odapi import exporting, models, pipeline_config


def save(config_path: Path, raw: Path) -> None:
    """Writes the raw SavedModel of a pipeline config to the folder `raw`."""
    config = pipeline_config.load(config_path)
    network = models.build(config, is_training=False)
    spec = exporting.input_spec(config, network)
    is_one_stage = exporting.postprocess_spec(config).architecture == ONE_STAGE
    count = len(exporting.anchors(network, spec)) if is_one_stage else None
    exporting.save_raw(network, spec, count, raw)
