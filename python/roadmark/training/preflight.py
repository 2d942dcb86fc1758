"""What is checked before the first step: the config against the label map and the records.

Every check raises a `UserError` that says what to change. Needs no TensorFlow.
"""

from pathlib import Path
from typing import Any

from roadmark.data import records
from roadmark.errors import UserError
from roadmark.odapi import input_sides, pipeline_config
from roadmark.odapi.label_map import LabelMap
from roadmark.training import anchor_fit, batch_norm_memory, schedule
from roadmark.training.recipe import FLOAT16, Recipe
from roadmark.training.record_index import Contents

_PLAIN = Recipe()
_PLACEHOLDER = "PATH_TO_BE_CONFIGURED"
_PREPARE_CHECK = "list them all with: bazel run //python:prepare -- --check --records=..."


def check_config(
    config: Any, where: str, check_learning_rate: bool, recipe: Recipe = _PLAIN
) -> None:
    """Checks what the config says by itself, and what the recipe adds to it.

    Args:
        config: A `TrainEvalPipelineConfig`, overrides applied.
        where: The config's file, for messages.
        check_learning_rate: Whether a learning rate far from the usual stops the run.
        recipe: Of the run.

    Raises:
        UserError: Something in it cannot work.
    """
    _check_input(config, where)
    input_sides.check(config, where)
    _check_fine_tune(config.train_config, where)
    _check_recipe(config, recipe)
    schedule.check_length(config, where, recipe.schedule)
    if check_learning_rate:
        schedule.check_learning_rate(config, where, recipe.schedule)


def check_records(
    config: Any, where: str, label_map: LabelMap, label_map_path: Path, contents: Contents
) -> None:
    """Checks the config against the label map and what the records hold.

    Args:
        config: A `TrainEvalPipelineConfig`, overrides applied.
        where: The config's file, for messages.
        label_map: The label map.
        label_map_path: Its file, for messages.
        contents: Of the training records.

    Raises:
        UserError: Boxes would be dropped or mistaken, training could not begin, or would fail
            on its way.
    """
    if not contents.boxes:
        raise UserError(
            ", ".join(config.train_input_reader.tf_record_input_reader.input_path),
            f"{contents.images} images without a single box",
            "check how they were made: bazel run //python:prepare -- --check --records=...",
        )
    _check_classes(config, where, label_map, label_map_path, contents)
    _check_masks(config, contents)
    if contents.malformed.count:
        raise UserError(
            contents.malformed.first,
            f"a box that is not finite or ends before it begins, one of {contents.malformed.count}",
            _PREPARE_CHECK,
        )
    if contents.not_images.count:
        raise UserError(
            contents.not_images.first,
            f"bytes that are neither a JPEG nor a PNG image, one of {contents.not_images.count}",
            _PREPARE_CHECK,
        )


def notices(config: Any, contents: Contents) -> list[str]:
    """Lines about what training will do that the user might not expect."""
    lines = []
    limit = config.train_input_reader.max_number_of_boxes
    if contents.crowded.count:
        lines.append(
            f"notice: {contents.crowded.count} boxes are beyond the {limit} per image that "
            f"train_input_reader.max_number_of_boxes admits and are not trained on; the first "
            f"such image is {contents.crowded.first}"
        )
    lines += anchor_fit.notices(config, contents)
    lines += batch_norm_memory.notices(config)
    for reader in config.eval_input_reader:
        for path in reader.tf_record_input_reader.input_path:
            lines += _notice_missing(path)
    return lines


def _notice_missing(eval_records: str) -> list[str]:
    try:
        records.match(eval_records)
    except UserError as error:
        return [f"notice: {eval_records}: {error.problem}; evaluate will need --eval_records"]
    return []


def _check_input(config: Any, where: str) -> None:
    batch = config.train_config.batch_size
    if batch < 1:
        raise UserError(where, f"train_config.batch_size is {batch}", "give it as --batch_size=N")
    if config.train_input_reader.input_type != 1:
        raise UserError(
            where,
            "train_input_reader.input_type is not TF_EXAMPLE",
            "use records of single images, as bazel run //python:prepare makes them",
        )
    resizer = pipeline_config.architecture(config).image_resizer
    padded = resizer.keep_aspect_ratio_resizer.pad_to_max_dimension
    if resizer.HasField("keep_aspect_ratio_resizer") and not padded and batch > 1:
        raise UserError(
            where,
            f"the image resizer gives images of many sizes, which do not fit into a batch of "
            f"{batch}",
            "set pad_to_max_dimension: true in keep_aspect_ratio_resizer, or --batch_size=1",
        )


def _check_recipe(config: Any, recipe: Recipe) -> None:
    train = config.train_config
    if train.batch_size % recipe.accumulate:
        raise UserError(
            "recipe.accumulate",
            f"{train.batch_size} images cannot be shared out evenly among {recipe.accumulate} "
            "parts",
            "choose a batch size that is a multiple of it",
        )
    averaged = train.optimizer.use_moving_average
    if averaged and (recipe.ema or recipe.precision == FLOAT16):
        field = "ema" if recipe.ema else "precision"
        raise UserError(
            f"recipe.{field}",
            f"found {getattr(recipe, field)}, but the config has optimizer.use_moving_average",
            "set train_config.optimizer.use_moving_average=false with --set",
        )
    _check_mixing(config, recipe)
    if recipe.pruning.sparsity and recipe.pruning.begin >= recipe.pruning.end:
        raise UserError(
            "recipe.pruning.end",
            f"found {recipe.pruning.end:g}, which is not after begin, {recipe.pruning.begin:g}",
            "give shares of the run, such as 0.25 and 0.75",
        )
    schedule.check_warmup(config, recipe.schedule)


def _check_mixing(config: Any, recipe: Recipe) -> None:
    reader = config.train_input_reader
    for name in ("mosaic", "mixup"):
        if not getattr(recipe, name):
            continue
        for what in ("load_instance_masks", "num_keypoints", "num_additional_channels"):
            if getattr(reader, what):
                raise UserError(
                    f"recipe.{name}",
                    f"it mixes pictures and boxes, but train_input_reader has {what}",
                    "train without one of them",
                )


def _check_fine_tune(train: Any, where: str) -> None:
    path = train.fine_tune_checkpoint
    if not path:
        return
    if _PLACEHOLDER in path:
        raise UserError(
            where,
            f"fine_tune_checkpoint is still {path!r}",
            "name a checkpoint with --fine_tune_checkpoint=…/ckpt-0, or start from random "
            "weights with --fine_tune_checkpoint= (empty)",
        )
    if train.fine_tune_checkpoint_type not in ("classification", "detection", "full"):
        raise UserError(
            where,
            f"fine_tune_checkpoint_type is {train.fine_tune_checkpoint_type!r}",
            "set it to classification, detection or full",
        )


def _check_classes(
    config: Any, where: str, label_map: LabelMap, label_map_path: Path, contents: Contents
) -> None:
    limit = pipeline_config.num_classes(config)
    field = f"model.{config.model.WhichOneof('model')}.num_classes"
    largest = max([*label_map.ids, *(number for number, _ in contents.classes)])
    cure = f"set {field} to the largest id, here {largest} (--set {field}={largest})"
    for (number, name), found in sorted(contents.classes.items()):
        known = number in label_map.ids
        shown = name or (label_map.name_of(number) if known else "without a name")
        boxes = f"{found.count} boxes, the first in {found.first}"
        if number > limit:
            raise UserError(
                where,
                f"num_classes is {limit}, but id {number} ({shown}) is on {boxes}; "
                "the OD API would drop them without a word",
                cure,
            )
        if not known:
            raise UserError(
                label_map_path,
                f"no item with id {number} ({shown}), which is on {boxes}",
                "add the item, or make the records with this label map",
            )
        if name and label_map.id_of(name) != number:
            raise UserError(
                label_map_path,
                f"class {name!r} with id {number} is on {boxes}, but "
                + _what_it_says(label_map, name, number),
                "give the label map that the records were made with",
            )
    beyond = [number for number in label_map.ids if number > limit]
    if beyond:
        raise UserError(
            where,
            f"num_classes is {limit}, but {label_map_path} has id {beyond[0]} "
            f"({label_map.name_of(beyond[0])})",
            cure,
        )


def _what_it_says(label_map: LabelMap, name: str, number: int) -> str:
    # The OD API goes by the name, and drops boxes whose name it does not find.
    found = label_map.id_of(name)
    if found is None:
        return (
            f"{name!r} is not in the label map (its id {number} is {label_map.name_of(number)!r})"
        )
    return f"{name!r} has id {found} in the label map"


def _check_masks(config: Any, contents: Contents) -> None:
    if config.model.WhichOneof("model") != "faster_rcnn":
        return
    if config.model.faster_rcnn.number_of_stages < 3:
        return
    if not config.train_input_reader.load_instance_masks:
        raise UserError(
            "train_input_reader",
            "Mask R-CNN needs masks, but load_instance_masks is not set",
            "--set train_input_reader.load_instance_masks=true "
            "--set train_input_reader.mask_type=PNG_MASKS",
        )
    if contents.without_masks.count:
        raise UserError(
            contents.without_masks.first,
            f"boxes without masks, which Mask R-CNN cannot learn from, in "
            f"{contents.without_masks.count} of {contents.images} images",
            "prepare the records from annotations with polygons or masks, or train a detector of "
            "boxes, such as configs/faster_rcnn_inception_resnet_v2_640.config",
        )
