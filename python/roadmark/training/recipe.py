"""The recipe of a run: what a pipeline config has no field for. Needs no TensorFlow.

A YAML file such as `configs/recipes/all_weather.yaml`; every field may be left out.
"""

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from roadmark import atomic
from roadmark.errors import UserError

PREFIX = "recipe."


def _share(default: float) -> Any:
    return dataclasses.field(default=default, metadata={"least": 0, "most": 1})


@dataclasses.dataclass(frozen=True)
class Weather:
    """How often pictures are turned into ones of bad weather; each is drawn by itself.

    Attributes:
        fog: Share of the pictures that get fog.
        rain: Likewise rain.
        night: Likewise the light of a night.
        blur: Likewise a lens out of focus.
    """

    fog: float = _share(0.0)
    rain: float = _share(0.0)
    night: float = _share(0.0)
    blur: float = _share(0.0)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a run does beyond its pipeline config.

    Attributes:
        accumulate: Parts that each batch is worked through in, one after the other, for less
            memory. The gradients are averaged, which suits losses that are normalised by
            matches; these and batch norm see the parts.
        weather: Augmentation before the config's own.
    """

    accumulate: int = dataclasses.field(default=1, metadata={"least": 1, "most": 1024})
    weather: Weather = dataclasses.field(default_factory=Weather)


def load(path: Path | None, assignments: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and changes some of its fields.

    Args:
        path: A YAML file, or None for a recipe that does nothing.
        assignments: Each `recipe.path.to.field=value`.

    Raises:
        UserError: The file cannot be read, or a field does not exist or has a wrong value; names
            the line or the assignment.
    """
    recipe = Recipe() if path is None else _parsed(_document(path), Recipe(), str(path))
    for assignment in assignments:
        recipe = _assigned(recipe, assignment)
    return recipe


def save(recipe: Recipe, path: Path) -> None:
    """Writes every field."""
    atomic.write_text(path, yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False))


def _document(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(path, f"cannot be read: {error}", "give a recipe's YAML file") from None
    except yaml.MarkedYAMLError as error:
        line = f"{path}:{error.problem_mark.line + 1}" if error.problem_mark else path
        raise UserError(line, f"not YAML: {error.problem}", "correct it") from None


def _parsed(node: yaml.Node | None, default: Any, path: str) -> Any:
    """`default` with what a mapping says."""
    if node is None:
        return default
    where = f"{path}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        raise UserError(where, "expected fields, `name: value`", f"{_known(default)}")
    changes = {}
    for key, value in node.value:
        place = f"{path}:{key.start_mark.line + 1}"
        field = _field(default, str(key.value), place)
        current = getattr(default, field.name)
        if dataclasses.is_dataclass(current):
            changes[field.name] = _parsed(value, current, path)
        else:
            changes[field.name] = _value(field, value, place)
    return dataclasses.replace(default, **changes)


def _assigned(recipe: Recipe, assignment: str) -> Recipe:
    where = f"--set {assignment}"
    path, equals, text = assignment.partition("=")
    if not equals:
        raise UserError(where, "found no field=value", f"write it as {PREFIX}weather.fog=0.2")
    try:
        value = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise UserError(where, f"found {text!r}, no value", "write a number") from None
    return _set(recipe, path.removeprefix(PREFIX).split("."), value, where)


def _set(part: Any, path: list[str], value: yaml.Node | None, where: str) -> Any:
    field = _field(part, path[0], where)
    current = getattr(part, field.name)
    if dataclasses.is_dataclass(current) != (len(path) > 1):
        raise UserError(where, f"{path[0]} is not the name of one value", _known(part))
    new = _set(current, path[1:], value, where) if path[1:] else _value(field, value, where)
    return dataclasses.replace(part, **{field.name: new})


def _field(part: Any, name: str, where: str) -> dataclasses.Field:
    fields = {field.name: field for field in dataclasses.fields(part)}
    if name in fields:
        return fields[name]
    near = difflib.get_close_matches(name, fields, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(where, f"no field {name!r}", f"{hint}{_known(part)}")


def _known(part: Any) -> str:
    return f"there are {', '.join(field.name for field in dataclasses.fields(part))}"


def _value(field: dataclasses.Field, node: yaml.Node | None, where: str) -> int | float:
    value = yaml.SafeLoader("").construct_object(node) if node is not None else None
    kinds = (int,) if field.type is int else (int, float)
    least, most = field.metadata["least"], field.metadata["most"]
    if type(value) not in kinds or not least <= value <= most:
        kind = "a whole number" if field.type is int else "a number"
        raise UserError(
            where,
            f"{field.name}: found {node.value if node is not None else 'nothing'!r}, "
            f"expected {kind} from {least} to {most}",
            "correct it",
        )
    return field.type(value)
