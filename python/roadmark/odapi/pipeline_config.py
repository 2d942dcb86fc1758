"""Pipeline configs of the OD API: read, changed field by field, written. Needs no TensorFlow."""

import copy
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from roadmark.errors import UserError
from roadmark.odapi import protos, text_proto

TrainEvalPipelineConfig = protos.load("pipeline").TrainEvalPipelineConfig

_STEP = re.compile(r"(\w+)(?:\[(\d+)\])?")

_TYPE_NAMES = {
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_INT32: "a whole number",
    FieldDescriptor.CPPTYPE_INT64: "a whole number",
    FieldDescriptor.CPPTYPE_UINT32: "a whole number of 0 or more",
    FieldDescriptor.CPPTYPE_UINT64: "a whole number of 0 or more",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_STRING: "a text",
}


def load(path: str | Path) -> TrainEvalPipelineConfig:
    """Reads a `pipeline.config`.

    Raises:
        UserError: The file is missing, is not text, does not parse (names line and column, and
            the fields that an unknown one may have meant), or describes no model.
    """
    config = text_proto.load(path, TrainEvalPipelineConfig, "pipeline config")
    architecture(config, str(path))
    return config


def save(config: TrainEvalPipelineConfig, path: str | Path) -> None:
    """Writes `config` in text format, whole or not at all; the stock OD API reads it."""
    text_proto.save(config, path)


def architecture(config: TrainEvalPipelineConfig, where: str = "model") -> Any:
    """The message that describes the model: `config.model.ssd`, `config.model.faster_rcnn`, ...

    Args:
        config: The config.
        where: What to name in an error.

    Raises:
        UserError: There is none, or only the name of an experimental model.
    """
    kind = config.model.WhichOneof("model")
    if kind is None:
        raise UserError(where, "it describes no model", "begin with one of the files in configs/")
    model = getattr(config.model, kind)
    if "num_classes" not in model.DESCRIPTOR.fields_by_name:
        raise UserError(
            where,
            f"it describes the model as {kind}, which has no num_classes",
            "describe it as ssd, faster_rcnn or center_net",
        )
    return model


def num_classes(config: TrainEvalPipelineConfig) -> int:
    """The number of classes that the model tells apart, background not counted."""
    return architecture(config).num_classes


def predicts_masks(config: TrainEvalPipelineConfig) -> bool:
    """Whether the model gives masks: Mask R-CNN does."""
    kind = config.model.WhichOneof("model")
    return kind == "faster_rcnn" and config.model.faster_rcnn.number_of_stages == 3


def trained(config: TrainEvalPipelineConfig, names: Sequence[str]) -> list[bool]:
    """Which variables are trained: `update_trainable_variables`, less `freeze_variables`.

    Patterns match from the start of a name, as in `object_detection.utils.variables_helper`. The
    OD API follows both fields under TensorFlow 1 alone.

    Args:
        config: The config.
        names: Of the trainable variables.

    Raises:
        UserError: A pattern is no regular expression or matches no name, or nothing is left.
    """
    fields = {
        field: [_matching(field, pattern, names) for pattern in getattr(config.train_config, field)]
        for field in ("update_trainable_variables", "freeze_variables")
    }
    wanted = fields["update_trainable_variables"] or [set(names)]
    kept = set().union(*wanted).difference(*fields["freeze_variables"])
    if not kept:
        raise UserError(
            "train_config",
            "freeze_variables and update_trainable_variables leave nothing to train",
            "freeze less",
        )
    return [name in kept for name in names]


def _matching(field: str, pattern: str, names: Sequence[str]) -> set[str]:
    where = f"train_config.{field}"
    try:
        found = {name for name in names if re.match(pattern, name)}
    except re.error as error:
        raise UserError(
            where, f"found {pattern!r}, no regular expression: {error}", "correct it"
        ) from None
    if not found:
        raise UserError(
            where,
            f"found {pattern!r}, which matches no variable",
            f"names look like {', '.join(names[:: max(1, len(names) // 4)])}",
        )
    return found


def override(
    config: TrainEvalPipelineConfig, assignments: Iterable[str]
) -> TrainEvalPipelineConfig:
    """A copy of `config` with some fields set.

    Args:
        config: The config.
        assignments: Each `path.to.field=value`. A value is written as in a pipeline config, texts
            with or without quotes. An element of a list is `field[0]`, one past its end appends;
            `field=[a, b]` sets a whole list and `field=[]` empties it. A message is set by
            `field={name: value}`. Setting a field of an alternative (another optimizer) chooses
            that alternative.

    Raises:
        UserError: A field does not exist (with the names that are near), a value is of another
            type, an index is past the end, or the field belongs to another kind of model.
    """
    changed = copy.deepcopy(config)
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals or not path.strip():
            raise UserError(
                f"--set {assignment}",
                "found no field=value",
                "write it as train_config.batch_size=8",
            )
        _Assignment(path.strip(), value.strip()).apply(changed)
    return changed


def set_train_records(config: TrainEvalPipelineConfig, records: str) -> None:
    """Reads training records from `records`: a glob, or several with commas between them."""
    config.train_input_reader.tf_record_input_reader.input_path[:] = records.split(",")


def set_eval_records(config: TrainEvalPipelineConfig, records: str) -> None:
    """Reads evaluation records from `records`: a glob, or several with commas between them."""
    if not config.eval_input_reader:
        config.eval_input_reader.add(shuffle=False, num_epochs=1)
    for reader in config.eval_input_reader:
        reader.tf_record_input_reader.input_path[:] = records.split(",")


def set_label_map(config: TrainEvalPipelineConfig, path: str) -> None:
    """Uses one label map for training and evaluation."""
    for reader in (config.train_input_reader, *config.eval_input_reader):
        reader.label_map_path = path


def set_batch_size(config: TrainEvalPipelineConfig, batch_size: int) -> None:
    """Sets the number of images in a training step."""
    config.train_config.batch_size = batch_size


def set_fine_tune_checkpoint(config: TrainEvalPipelineConfig, checkpoint: str) -> None:
    """Starts from `checkpoint` (`.../ckpt-0`), by default from all of a detector's layers."""
    train_config = config.train_config
    train_config.fine_tune_checkpoint = checkpoint
    if not train_config.fine_tune_checkpoint_type:
        train_config.fine_tune_checkpoint_type = "detection"
    train_config.fine_tune_checkpoint_version = (
        type(train_config)
        .DESCRIPTOR.fields_by_name["fine_tune_checkpoint_version"]
        .enum_type.values_by_name["V2"]
        .number
    )


class _Assignment:
    """One `path=value`, applied to a message."""

    def __init__(self, path: str, value: str):
        self._path, self._value = path, value

    def apply(self, config: Any) -> None:
        steps = [_STEP.fullmatch(step) for step in self._path.split(".")]
        if not all(steps):
            raise self._error("not the path of a field", "write it as train_config.batch_size")
        message = config
        for step in steps[:-1]:
            message = self._enter(message, step.group(1), step.group(2))
        self._set(message, steps[-1].group(1), steps[-1].group(2))

    def _enter(self, message: Any, name: str, index: str | None) -> Any:
        field = self._field(message.DESCRIPTOR, name)
        if field.message_type is None:
            raise self._error(
                f"{name} is {self._kind(field)} and has no fields", f"set {name} itself"
            )
        self._keep_architecture(message, field)
        if not field.is_repeated:
            self._no_index(field, index)
            child = getattr(message, name)
            child.SetInParent()
            return child
        elements = getattr(message, name)
        position = self._position(field, index, len(elements))
        return elements.add() if position == len(elements) else elements[position]

    def _set(self, message: Any, name: str, index: str | None) -> None:
        field = self._field(message.DESCRIPTOR, name)
        self._keep_architecture(message, field)
        if not field.is_repeated:
            self._no_index(field, index)
            parsed = self._parse(message, field, self._value)
            message.ClearField(name)
            message.MergeFrom(parsed)
            return
        if index is not None:
            self._set_element(message, field, index)
            return
        parsed = self._parse(message, field, self._value)
        message.ClearField(name)
        message.MergeFrom(parsed)

    def _set_element(self, message: Any, field: FieldDescriptor, index: str) -> None:
        elements = getattr(message, field.name)
        position = self._position(field, index, len(elements))
        element = getattr(self._parse(message, field, self._value), field.name)
        if len(element) != 1:
            raise self._error(f"found {len(element)} values", f"give one for {field.name}[{index}]")
        whole = [*elements[:position], *element, *elements[position + 1 :]]
        whole = [copy.deepcopy(part) for part in whole]
        message.ClearField(field.name)
        getattr(message, field.name).extend(whole)

    def _parse(self, message: Any, field: FieldDescriptor, value: str) -> Any:
        parsed = type(message)()
        try:
            text_format.Parse(_as_text(field, value), parsed, allow_unknown_extension=False)
        except text_format.ParseError as error:
            raise self._error(
                f"found {value!r}, expected {self._kind(field)}"
                + (f" ({_reason(error)})" if field.message_type else ""),
                "correct the value",
            ) from None
        if any(other is not field for other, _ in parsed.ListFields()):
            raise self._error(
                f"found {value!r}, expected {self._kind(field)} and nothing behind it",
                "give every field a --set of its own",
            )
        return parsed

    def _field(self, owner: Descriptor, name: str) -> FieldDescriptor:
        field = owner.fields_by_name.get(name)
        if field is None:
            raise self._error(
                f"{owner.name} has no field {name!r}",
                text_proto.near(name, list(owner.fields_by_name)),
            )
        return field

    def _keep_architecture(self, message: Any, field: FieldDescriptor) -> None:
        # Entering another member of this oneof would silently throw the whole model away.
        if message.DESCRIPTOR.name != "DetectionModel":
            return
        current = message.WhichOneof("model")
        if current not in (None, field.name):
            raise self._error(
                f"the model of this config is {current}, not {field.name}",
                f"set model.{current}.… instead",
            )

    def _position(self, field: FieldDescriptor, index: str | None, count: int) -> int:
        if index is None:
            raise self._error(
                f"{field.name} is a list of {count}", f"say which, such as {field.name}[0]"
            )
        if int(index) > count:
            raise self._error(
                f"{field.name} has {count} elements, found index {index}",
                f"use an index of at most {count} (which appends)",
            )
        return int(index)

    def _no_index(self, field: FieldDescriptor, index: str | None) -> None:
        if index is not None:
            raise self._error(f"{field.name} is not a list", f"leave out [{index}]")

    def _kind(self, field: FieldDescriptor) -> str:
        if field.enum_type is not None:
            return "one of " + ", ".join(field.enum_type.values_by_name)
        if field.message_type is not None:
            return f"a {field.message_type.name} in braces"
        return _TYPE_NAMES[field.cpp_type]

    def _error(self, problem: str, cure: str) -> UserError:
        return UserError(f"--set {self._path}={self._value}", problem, cure)


def _as_text(field: FieldDescriptor, value: str) -> str:
    """`value` as the text format wants it behind the name of `field`."""
    if field.message_type is not None:
        return f"{field.name} {value}"
    is_list = field.is_repeated and value.startswith("[")
    is_quoted = value[:1] in ("'", '"')
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and not (is_list or is_quoted):
        value = '"' + text_format.text_encoding.CEscape(value.encode(), as_utf8=True) + '"'
    return f"{field.name}: {value}"


def _reason(error: text_format.ParseError) -> str:
    return re.sub(r"^\d+:\d+ : ", "", str(error)).rstrip(".")
