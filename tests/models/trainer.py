"""Renders street scenes, trains a config on them and exports it: the action of `trained_model`."""

import os
from pathlib import Path

from absl import flags

from roadmark import app, locations
from roadmark.data import preparation
from roadmark.data.formats.request import Request
from roadmark.odapi import trained_model
from roadmark.training.options import TrainOptions

_CONFIG = flags.DEFINE_string("config", None, "The pipeline config.", required=True)
_OUT = flags.DEFINE_string("out", None, "The run folder to make.", required=True)
_NUM_IMAGES = flags.DEFINE_integer("num_images", None, "Scenes to render.", required=True)
_STEPS = flags.DEFINE_integer("steps", None, "Steps to train.", required=True)
_SET = flags.DEFINE_multi_string("set", [], "path.to.field=value of the config.")
_RECORDS = Path("records")


def main() -> None:
    """Makes the folder."""
    config, run = Path(_CONFIG.value).absolute(), Path(_OUT.value).absolute()
    run.mkdir(parents=True, exist_ok=True)
    # Paths relative to the folder: the as-run config must not name the sandbox.
    os.chdir(run)
    preparation.prepare(
        preparation.Options(
            request=Request(num_images=_NUM_IMAGES.value, seed=0),
            format="synthetic",
            out=_RECORDS,
            val_fraction=0.1,
            seed=0,
        )
    )
    _train_and_export(config)


def _train_and_export(config: Path) -> None:
    from roadmark.export import exporter
    from roadmark.training import loop

    run = Path.cwd()
    loop.train(
        TrainOptions(
            config=config,
            train_records=str(_RECORDS / Path(locations.TRAIN_RECORDS).name),
            eval_records=str(_RECORDS / Path(locations.EVAL_RECORDS).name),
            label_map=_RECORDS / locations.LABEL_MAP.name,
            model_dir=run,
            steps=_STEPS.value,
            seed=0,
            overrides=tuple(_SET.value),
            keep_checkpoints=1,
        )
    )
    exporter.export(trained_model.find(run), locations.export_dir(run))


if __name__ == "__main__":
    app.run(main)
