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


FROM_CONFIG, ONE_CYCLE = "config", "one_cycle"
FLOAT32, BFLOAT16, FLOAT16 = "fp32", "bf16", "fp16"


def _share(default: float, most: float = 1.0) -> Any:
    return dataclasses.field(default=default, metadata={"least": 0, "most": most})


def _at_least_once(default: float, most: float) -> Any:
    return dataclasses.field(default=default, metadata={"least": 1, "most": most})


def _count(default: int, least: int, most: int) -> Any:
    return dataclasses.field(default=default, metadata={"least": least, "most": most})


def _choice(default: str, *others: str) -> Any:
    return dataclasses.field(default=default, metadata={"choices": (default, *others)})


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What the config's learning rate is made into.

    Attributes:
        kind: `config`, or `one_cycle` (Smith and Topin 2017, arXiv:1708.07120): up to the config's
            highest rate and down to nearly nothing, both along a cosine. Momentum stays as it is.
        rise: Share of the run in which `one_cycle` rises.
        warmup: Share of the run in which the config's rate is reached from a tenth of it along a
            line, for a config whose own schedule has no warm-up.
        rate_for_batch_size: The batch size that the config's rate is meant for: it is multiplied
            by the run's over this one (Goyal et al. 2017, arXiv:1706.02677); 0 leaves it alone.
    """

    kind: str = _choice(FROM_CONFIG, ONE_CYCLE)
    rise: float = _share(0.3, most=0.9)
    warmup: float = _share(0.0, most=0.9)
    rate_for_batch_size: int = _count(0, 0, 1 << 20)


@dataclasses.dataclass(frozen=True)
class Pruning:
    """Weights that are set to nothing in the course of a run, the smallest of each kernel.

    Attributes:
        sparsity: Share of the weights of each kernel that is zero in the end; 0 for no pruning.
        begin: Share of the run after which it begins.
        end: Share of the run after which the sparsity is reached, along the cubic of Zhu and Gupta
            2017 (arXiv:1710.01878).
        every: Steps between two choices of weights.
    """

    sparsity: float = _share(0.0, most=0.99)
    begin: float = _share(0.25)
    end: float = _share(0.75)
    every: int = _count(50, 1, 1 << 20)


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
        precision: What the network computes in: `fp32`, `bf16` or `fp16`; weights stay float32.
        ema: Decay of an exponential moving average of the weights, which checkpoints then give;
            0 for none.
        repeat_threshold: Pictures with a class that is on a smaller share f of all pictures are
            seen sqrt(this / f) times as often (Gupta et al. 2019, arXiv:1908.03195).
        mined: Pictures of records named `mined-*`, which `evaluate --mine` writes, are seen this
            many times as often as others.
        mosaic: Share of the pictures that become a mosaic of four.
        mixup: Share of the pictures that are blended with another one.
        schedule: Of the learning rate.
        pruning: Of weights.
        weather: Augmentation before the config's own, after mosaic and mixup.
    """

    accumulate: int = _count(1, 1, 1024)
    precision: str = _choice(FLOAT32, BFLOAT16, FLOAT16)
    ema: float = _share(0.0, most=0.99999)
    repeat_threshold: float = _share(0.0)
    mined: float = _at_least_once(1.0, most=100)
    mosaic: float = _share(0.0)
    mixup: float = _share(0.0)
    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    pruning: Pruning = dataclasses.field(default_factory=Pruning)
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


def _value(field: dataclasses.Field, node: yaml.Node | None, where: str) -> int | float | str:
    value = yaml.SafeLoader("").construct_object(node) if node is not None else None
    if _suits(field, value):
        return field.type(value)
    found = node.value if node is not None else "nothing"
    raise UserError(
        where, f"{field.name}: found {found!r}, expected {_expected(field)}", "correct it"
    )


def _suits(field: dataclasses.Field, value: Any) -> bool:
    if field.type is str:
        return value in field.metadata["choices"]
    kinds = (int,) if field.type is int else (int, float)
    return type(value) in kinds and field.metadata["least"] <= value <= field.metadata["most"]


def _expected(field: dataclasses.Field) -> str:
    if field.type is str:
        return f"one of {', '.join(field.metadata['choices'])}"
    kind = "a whole number" if field.type is int else "a number"
    return f"{kind} from {field.metadata['least']} to {field.metadata['most']}"
