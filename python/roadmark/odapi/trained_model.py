"""Where the config, the weights and the label map of a trained model are.

Needs no TensorFlow.
"""

import dataclasses
from pathlib import Path
from typing import Any

from roadmark import manifest
from roadmark.errors import UserError
from roadmark.odapi import checkpoints, label_map, pipeline_config
from roadmark.odapi.label_map import LabelMap

_CONFIG = "pipeline.config"
_LABEL_MAP = "label_map.pbtxt"


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A trained model on disk.

    Attributes:
        name: Of the run folder, or of the config where there is none.
        config_path: The pipeline config.
        config: What is in it, with `label_map_path` put in.
        checkpoint: Prefix of the checkpoint.
        label_map_path: The label map file.
        label_map: What is in it.
    """

    name: str
    config_path: Path
    config: Any
    checkpoint: Path
    label_map_path: Path
    label_map: LabelMap


def find(
    run: str | Path | None = None,
    checkpoint: str | Path | None = None,
    config: str | Path | None = None,
    labels: str | Path | None = None,
) -> TrainedModel:
    """Finds what belongs to a trained model.

    Args:
        run: A run folder.
        checkpoint: As for `checkpoints.resolve`; the run's newest when None.
        config: The run's own `pipeline.config` when None.
        labels: The run's own `label_map.pbtxt`, or the one that the config names, when None.

    Raises:
        UserError: One of them is missing or damaged, the checkpoint's name gives no step, or the
            label map has an id beyond the config's `num_classes`.
    """
    if run is not None:
        _check_run(Path(run))
    if run is None and (checkpoint is None or config is None):
        raise UserError(
            "command line",
            "found no model to use",
            "give --model_dir, or --config and --checkpoint",
        )
    config_path = Path(config) if config is not None else Path(run) / _CONFIG
    loaded = pipeline_config.load(config_path)
    label_map_path = _label_map_path(run, loaded, labels)
    names = label_map.load(label_map_path)
    _check_ids(loaded, config_path, names, label_map_path)
    pipeline_config.set_label_map(loaded, str(label_map_path))
    return TrainedModel(
        name=Path(run).resolve().name if run is not None else config_path.stem,
        config_path=config_path,
        config=loaded,
        checkpoint=_checkpoint(checkpoint if checkpoint is not None else run),
        label_map_path=label_map_path,
        label_map=names,
    )


def eval_records(model: TrainedModel) -> str:
    """The glob of records that the config evaluates on.

    Raises:
        UserError: The config names none.
    """
    for reader in model.config.eval_input_reader:
        if reader.tf_record_input_reader.input_path:
            return ",".join(reader.tf_record_input_reader.input_path)
    raise UserError(
        model.config_path, "eval_input_reader names no records", "give them as --eval_records"
    )


def _check_run(run: Path) -> None:
    if not run.is_dir():
        raise UserError(
            run, "no such run folder", "train one with: bazel run //python:train -- --config=..."
        )
    if manifest.is_export(run):
        raise UserError(
            run,
            "is an exported model, expected a run folder",
            "give the run's folder as --model_dir; evaluate and infer take an export as --model",
        )


def _checkpoint(path: str | Path) -> Path:
    prefix = checkpoints.resolve(path)
    if not checkpoints.has_step(prefix):
        raise UserError(
            prefix,
            "the name does not end with the training step",
            "rename its files as the OD API does, such as ckpt-400.index and ckpt-400.data-...",
        )
    return prefix


def _label_map_path(run: str | Path | None, config: Any, labels: str | Path | None) -> Path:
    if labels is not None:
        return Path(labels)
    if run is not None and (Path(run) / _LABEL_MAP).is_file():
        return Path(run) / _LABEL_MAP
    return Path(config.train_input_reader.label_map_path)


def _check_ids(config: Any, config_path: Path, names: LabelMap, label_map_path: Path) -> None:
    limit = pipeline_config.num_classes(config)
    beyond = [number for number in names.ids if number > limit]
    if beyond:
        raise UserError(
            label_map_path,
            f"found id {beyond[0]} ({names.name_of(beyond[0])}), but num_classes is {limit} "
            f"in {config_path}",
            "give the label map that the model was trained with as --label_map",
        )
