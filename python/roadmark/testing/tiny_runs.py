"""Training runs of seconds: the quickstart config at 64 x 64 with a few layers, on 7 pictures."""

import dataclasses
from pathlib import Path
from typing import Any

from roadmark.testing import small_records
from roadmark.training.options import TrainOptions

ROOT = Path(__file__).resolve().parents[3]
_SIZE = "model.ssd.image_resizer.fixed_shape_resizer"
_PREDICTOR = "model.ssd.box_predictor.weight_shared_convolutional_box_predictor"
RATE = "train_config.optimizer.adam_optimizer.learning_rate.cosine_decay_learning_rate"
OVERRIDES = (
    f"{_SIZE}.height=64",
    f"{_SIZE}.width=64",
    "model.ssd.feature_extractor.depth_multiplier=0.25",
    # Fewer layers and levels: what takes time at this size is building the graph.
    "model.ssd.feature_extractor.fpn.min_level=4",
    "model.ssd.feature_extractor.fpn.max_level=5",
    "model.ssd.anchor_generator.multiscale_anchor_generator.min_level=4",
    "model.ssd.anchor_generator.multiscale_anchor_generator.max_level=5",
    f"{_PREDICTOR}.num_layers_before_predictor=1",
    # So low that rounding does not grow into different losses within the test.
    f"{RATE}.learning_rate_base=1e-5",
    f"{RATE}.warmup_learning_rate=1e-6",
    "train_config.data_augmentation_options=[{random_horizontal_flip {}}, {random_crop_image {}}]",
)


def options(run: Path, records: Path, steps: int, **changes: Any) -> TrainOptions:
    """A run of 2 pictures a step.

    Args:
        run: Its folder.
        records: A folder for the records, which are written.
        steps: Its length.
        changes: Other options, by name; `overrides` come after those of the tiny model.
    """
    small_records.write(records, count=7)
    changes["overrides"] = (*OVERRIDES, *changes.get("overrides", ()))
    whole = TrainOptions(
        config=ROOT / "configs" / "quickstart.config",
        train_records=f"{records}/train-*",
        label_map=records / "label_map.pbtxt",
        model_dir=run,
        steps=steps,
        batch_size=2,
        checkpoint_every=10,
        keep_checkpoints=2,
        log_every=1,
    )
    return dataclasses.replace(whole, **changes)
