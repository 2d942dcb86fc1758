"""The config of a run: the user's file with flags and overrides applied. Needs no TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Any

from roadmark import locations
from roadmark.data import records
from roadmark.errors import UserError
from roadmark.evaluation import records as evaluation_records
from roadmark.evaluation.records import Selection
from roadmark.odapi import label_map, pipeline_config
from roadmark.odapi.label_map import LabelMap
from roadmark.training import evaluations, preflight, recipe, record_index, schedule
from roadmark.training.evaluations import Plan
from roadmark.training.options import LEAST_EVAL_EVERY, TrainOptions
from roadmark.training.recipe import Recipe
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
        plan: When to evaluate.
        selection: What to evaluate on; None where the plan is not to.
        recipe: What the config has no field for.
    """

    config: Any
    label_map_path: Path
    label_map: LabelMap
    index: RecordIndex
    contents: Contents
    plan: Plan
    selection: Selection | None
    recipe: Recipe


def prepare(options: TrainOptions) -> RunConfig:
    """Reads and checks everything that a run depends on.

    Raises:
        UserError: A file is missing or damaged, or config, label map and records do not agree.
    """
    where = str(options.config)
    _check_globs("train_records", options.train_records)
    _check_globs("eval_records", options.eval_records)
    config = as_run(options)
    found = recipe.load(options.recipe, _of_recipe(options, True))
    if options.eval_records is not None:
        records.match(options.eval_records)
    paths = _training_files(config)
    label_map_path = Path(config.train_input_reader.label_map_path)
    names = label_map.load(label_map_path)
    index, contents = record_index.build(paths, config.train_input_reader.max_number_of_boxes)
    preflight.check_records(config, where, names, label_map_path, contents)
    preflight.check_config(config, where, options.check_learning_rate, found)
    plan = _plan(config, options, names)
    selection = None
    if plan.every:
        selection = _selection(config, options, where, names, label_map_path)
    return RunConfig(config, label_map_path, names, index, contents, plan, selection, found)


def _of_recipe(options: TrainOptions, wanted: bool) -> tuple[str, ...]:
    return tuple(one for one in options.overrides if one.startswith(recipe.PREFIX) == wanted)


def _plan(config: Any, options: TrainOptions, names: LabelMap) -> Plan:
    with_masks = pipeline_config.predicts_masks(config)
    known = evaluations.metric_names(list(names.names.values()), with_masks)
    evaluations.check_metric(options.best_by, known)
    last = config.train_config.num_steps
    every = options.eval_every
    if every is None:
        every = max(LEAST_EVAL_EVERY, last // 10) if _has_eval_records(config) else 0
    if options.patience and not every:
        raise UserError(
            "--patience",
            f"found {options.patience}, but nothing is evaluated in this run",
            "give --eval_every, and --eval_records if there are none",
        )
    return Plan(every, last, options.best_by, options.patience)


def _has_eval_records(config: Any) -> bool:
    try:
        return bool(records.match(_eval_path(config)))
    except UserError:
        return False


def _eval_path(config: Any) -> str:
    return ",".join(_input_path(reader) for reader in config.eval_input_reader)


def _selection(
    config: Any, options: TrainOptions, where: str, names: LabelMap, label_map_path: Path
) -> Selection:
    source = _eval_path(config)
    _, contents = record_index.build(
        records.match(source), config.train_input_reader.max_number_of_boxes
    )
    preflight.check_records(config, where, names, label_map_path, contents)
    return evaluation_records.select(source, options.eval_subset)


def as_run(options: TrainOptions) -> Any:
    """The config with every flag and override applied.

    Raises:
        UserError: The file is missing or no config, or an override does not fit.
    """
    config = pipeline_config.load(options.config)
    _set_inputs(config, options)
    if options.batch_size is not None:
        pipeline_config.set_batch_size(config, options.batch_size)
    if options.fine_tune_checkpoint is not None:
        pipeline_config.set_fine_tune_checkpoint(config, options.fine_tune_checkpoint)
    if options.steps is not None:
        schedule.rescale(config, options.steps)
    return pipeline_config.override(config, _of_recipe(options, False))


def _check_globs(flag: str, globs: str | None) -> None:
    if globs is None or all(part.strip() for part in globs.split(",")):
        return
    raise UserError(
        f"--{flag}={globs}",
        "an empty glob",
        "name files, such as 'data/records/train-*', or leave the flag out",
    )


def _set_inputs(config: Any, options: TrainOptions) -> None:
    train_records = options.train_records
    if train_records is None and _unset(_input_path(config.train_input_reader)):
        train_records = locations.TRAIN_RECORDS
    if train_records is not None:
        pipeline_config.set_train_records(config, train_records)
    eval_records = options.eval_records
    if eval_records is None and all(_unset(_input_path(r)) for r in config.eval_input_reader):
        eval_records = locations.EVAL_RECORDS
    if eval_records is not None:
        pipeline_config.set_eval_records(config, eval_records)
    label_map_path = options.label_map
    if label_map_path is None and _unset(config.train_input_reader.label_map_path):
        label_map_path = locations.LABEL_MAP
    if label_map_path is not None:
        pipeline_config.set_label_map(config, str(label_map_path))


def _input_path(reader: Any) -> str:
    return ",".join(reader.tf_record_input_reader.input_path)


def _unset(path: str) -> bool:
    # The model zoo's configs have this word where a path belongs.
    return not path or _PLACEHOLDER in path


def _training_files(config: Any) -> list[Path]:
    globs = _input_path(config.train_input_reader)
    if globs == locations.TRAIN_RECORDS and not locations.RECORDS.is_dir():
        raise UserError(
            locations.TRAIN_RECORDS,
            "no training records yet",
            "make some with: bazel run //python:prepare -- --from=synthetic "
            "(or bazel run //python:demo, which does everything once)",
        )
    return records.match(globs)
