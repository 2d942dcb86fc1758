"""Configs take two training steps, are resumed for a third, evaluate and are exported.

On small rendered records, or on those that RECORDS (a pattern) and LABEL_MAP name, except where a
model learns masks. CONFIGS names the configs (all without it). INPUT_SIZE, where given, shrinks the
network's input to so many pixels a side, and the second stage's work with it; two-stage models get
a ResNet-50 for a backbone, since most of the time goes into graphs, and none is resumed or
evaluated. What came of each is a line of `configs.tsv` among the test's outputs.
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
from roadmark.odapi import label_map as label_maps
from roadmark.odapi import pipeline_config, trained_model
from roadmark.testing import small_records
from roadmark.training import loop
from roadmark.training.options import TrainOptions, TrainResult

_FOLDER = Path(__file__).resolve().parents[1] / "configs"
_ALL = sorted(path.stem for path in _FOLDER.glob("*.config"))
_NAMES = os.environ.get("CONFIGS", ",".join(_ALL)).split(",")
_STEPS = 2
_FEW_PROPOSALS = 16


@pytest.mark.parametrize("name", _NAMES)
def test_trains_and_exports(name: str, tmp_path: Path) -> None:
    begin = time.monotonic()
    path = _FOLDER / f"{name}.config"
    config = pipeline_config.load(path)
    records, label_map = _records(config, tmp_path / "records")
    classes = label_maps.load(label_map).ids
    num_classes = f"model.{config.model.WhichOneof('model')}.num_classes={max(classes)}"
    options = TrainOptions(
        config=path,
        train_records=records,
        label_map=label_map,
        model_dir=tmp_path / name,
        steps=_STEPS,
        batch_size=1,
        seed=0,
        overrides=(num_classes, *_overrides(config)),
        check_learning_rate=False,
        log_every=1,
    )
    trained = loop.train(options)
    assert trained.step == _STEPS
    if "INPUT_SIZE" not in os.environ:
        trained = _resume_and_evaluate(options)
    losses = [float(row["total_loss"]) for row in _rows(trained.run / "metrics.csv")]
    assert len(losses) == trained.step
    assert np.isfinite(losses).all()

    exported = exporter.export(trained_model.find(trained.run), tmp_path / "export")
    described = manifest.load(exported.folder)
    assert described.step == trained.step
    assert (len(described.label_map), described.model) == (len(classes), name)
    _report(name, described.input, losses, exported.agreement, time.monotonic() - begin)


def _resume_and_evaluate(options: TrainOptions) -> TrainResult:
    further = _STEPS + 1
    result = loop.train(
        dataclasses.replace(
            options,
            steps=further,
            eval_every=further,
            eval_records=options.train_records,
            eval_subset=1,
        )
    )
    (row,) = _rows(result.run / "evaluations.csv")
    assert (result.step, int(row["step"])) == (further, further)
    assert np.isfinite(float(row["total_loss"]))
    assert 0 <= float(row["mAP"]) <= 1
    return result


def _records(config: Any, folder: Path) -> tuple[str, Path]:
    """The pattern of the records to train on, and their label map."""
    if "RECORDS" in os.environ and not pipeline_config.predicts_masks(config):
        return os.environ["RECORDS"], Path(os.environ["LABEL_MAP"])
    rendered = small_records.write(folder, masks=True)
    return str(rendered / "train-*"), rendered / "label_map.pbtxt"


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
