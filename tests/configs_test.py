"""Configs take two training steps and are exported, on small records.

CONFIGS names them (all without it). INPUT_SIZE, where given, shrinks the network's input to so many
pixels a side, and the second stage's work with it; two-stage models get a ResNet-50 for a backbone,
since most of the time goes into graphs. What came of each is a line of `configs.tsv`
among the test's outputs.
"""

import csv
import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadmark import manifest
from roadmark.export import exporter
from roadmark.odapi import pipeline_config, trained_model
from roadmark.testing import small_records
from roadmark.training import loop
from roadmark.training.options import TrainOptions

_FOLDER = Path(__file__).resolve().parents[1] / "configs"
_ALL = sorted(path.stem for path in _FOLDER.glob("*.config"))
_NAMES = os.environ.get("CONFIGS", ",".join(_ALL)).split(",")
_STEPS = 2
_FEW_PROPOSALS = 16


@pytest.mark.parametrize("name", _NAMES)
def test_trains_and_exports(name: str, tmp_path: Path) -> None:
    begin = time.monotonic()
    path = _FOLDER / f"{name}.config"
    records = small_records.write(tmp_path / "records", masks=True)
    trained = loop.train(
        TrainOptions(
            config=path,
            train_records=str(records / "train-*"),
            label_map=records / "label_map.pbtxt",
            model_dir=tmp_path / name,
            steps=_STEPS,
            batch_size=1,
            seed=0,
            overrides=_overrides(pipeline_config.load(path)),
            check_learning_rate=False,
            log_every=1,
        )
    )
    assert trained.step == _STEPS
    losses = [float(row["total_loss"]) for row in _rows(trained.run / "metrics.csv")]
    assert len(losses) == _STEPS
    assert np.isfinite(losses).all()

    exported = exporter.export(trained_model.find(trained.run), tmp_path / "export")
    described = manifest.load(exported.folder)
    assert described.step == _STEPS
    assert (len(described.label_map), described.model) == (3, name)
    _report(name, described.input, losses, exported.agreement, time.monotonic() - begin)


def _overrides(config: Any) -> tuple[str, ...]:
    """What shrinks the work as INPUT_SIZE says, in whatever way the config gives its size."""
    size = os.environ.get("INPUT_SIZE")
    if size is None:
        return ()
    resizer = f"model.{config.model.WhichOneof('model')}.image_resizer"
    kind = pipeline_config.architecture(config).image_resizer.WhichOneof("image_resizer_oneof")
    sides = {
        "fixed_shape_resizer": ("height", "width"),
        "keep_aspect_ratio_resizer": ("min_dimension", "max_dimension"),
    }
    found = [f"{resizer}.{kind}.{side}={size}" for side in sides[kind]]
    for index, option in enumerate(config.train_config.data_augmentation_options):
        if option.WhichOneof("preprocessing_step") == "random_scale_crop_and_pad_to_square":
            step = "random_scale_crop_and_pad_to_square.output_size"
            found.append(f"train_config.data_augmentation_options[{index}].{step}={size}")
    if config.model.WhichOneof("model") == "faster_rcnn":
        found.append("model.faster_rcnn.feature_extractor.type=faster_rcnn_resnet50_keras")
        found.append(f"model.faster_rcnn.first_stage_max_proposals={_FEW_PROPOSALS}")
        found.append(f"model.faster_rcnn.second_stage_batch_size={_FEW_PROPOSALS}")
    return tuple(found)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _report(name: str, size: Any, losses: list[float], agreement: Any, seconds: float) -> None:
    folder = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if folder is None:
        return
    row = {
        "config": name,
        "input": f"{size.height}x{size.width}",
        "loss_1": f"{losses[0]:.3f}",
        "loss_2": f"{losses[1]:.3f}",
        **dataclasses.asdict(agreement),
        "seconds": f"{seconds:.0f}",
    }
    with Path(folder, "configs.tsv").open("a", newline="") as file:
        writer = csv.DictWriter(file, row, delimiter="\t", lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)
