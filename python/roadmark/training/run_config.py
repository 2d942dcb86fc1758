"""The config of a run: the user's file with flags and overrides applied. Needs no TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Any

from roadmark import locations
from roadmark.data import records
from roadmark.errors import UserError
from roadmark.odapi import label_map, pipeline_config
from roadmark.odapi.label_map import LabelMap
from roadmark.training import preflight, record_index, schedule
from roadmark.training.options import TrainOptions
from roadmark.training.record_index import Contents, RecordIndex

_PLACEHOLDER = "PATH_TO_BE_CONFIGURED"


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All that training needs to know, checked.

    Attributes:
        config: The `TrainEvalPipelineConfig` as run.
        label_map_path: The label map file.
        label_map: What is in it.
        index: The training examples.
        contents: What they hold.
    """

    config: Any
    label_map_path: Path
    label_map: LabelMap
    index: RecordIndex
    contents: Contents


def prepare(options: TrainOptions) -> RunConfig:
    """Reads and checks everything that a run depends on.

    Raises:
        UserError: A file is missing or damaged, or config, label map and records do not agree.
    """
    where = str(options.config)
    config = as_run(options)
    paths = _training_files(config)
    label_map_path = Path(config.train_input_reader.label_map_path)
    names = label_map.load(label_map_path)
    index, contents = record_index.build(paths, config.train_input_reader.max_number_of_boxes)
    preflight.check_records(config, where, names, label_map_path, contents)
    preflight.check_config(config, where, options.check_learning_rate)
    return RunConfig(config, label_map_path, names, index, contents)


def as_run(options: TrainOptions) -> Any:
    """The config with every flag and override applied.

    Raises:
        UserError: The file is missing or no config, or an override does not fit.
    """
    config = pipeline_config.load(options.config)
    _set_inputs(config, options)
    if options.batch_size is not None:
        config.train_config.batch_size = options.batch_size
    if options.fine_tune_checkpoint is not None:
        config.train_config.fine_tune_checkpoint = options.fine_tune_checkpoint
    if options.steps is not None:
        _check_steps(options.steps)
        schedule.rescale(config, options.steps)
    pipeline_config.override(config, list(options.overrides))
    return config


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise UserError("--steps", f"found {steps}, expected at least 1", "give --steps=N")


def _set_inputs(config: Any, options: TrainOptions) -> None:
    if not config.eval_input_reader:
        config.eval_input_reader.add()
    readers = [config.train_input_reader, *config.eval_input_reader]
    given = [options.train_records] + [options.eval_records] * (len(readers) - 1)
    defaults = [locations.TRAIN_RECORDS] + [locations.EVAL_RECORDS] * (len(readers) - 1)
    for reader, globs, default in zip(readers, given, defaults, strict=True):
        paths = reader.tf_record_input_reader.input_path
        if globs is not None:
            paths[:] = [glob.strip() for glob in globs.split(",")]
        elif _unset("".join(paths)):
            paths[:] = [default]
        if options.label_map is not None:
            reader.label_map_path = str(options.label_map)
        elif _unset(reader.label_map_path):
            reader.label_map_path = str(locations.LABEL_MAP)


def _unset(path: str) -> bool:
    # The model zoo's configs have this word where a path belongs.
    return not path or _PLACEHOLDER in path


def _training_files(config: Any) -> list[Path]:
    globs = list(config.train_input_reader.tf_record_input_reader.input_path)
    if globs == [locations.TRAIN_RECORDS] and not locations.RECORDS.is_dir():
        raise UserError(
            locations.TRAIN_RECORDS,
            "no training records yet",
            "make some with: bazel run //python:prepare -- --from=synthetic "
            "(or bazel run //python:demo, which does everything once)",
        )
    return records.match(",".join(globs))
