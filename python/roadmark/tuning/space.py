"""What to search: fields of a config or a recipe, and what their values are drawn from."""

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roadmark.errors import UserError
from roadmark.odapi import pipeline_config
from roadmark.training import recipe

UNIFORM, LOG_UNIFORM, WHOLE, CHOICE = "uniform", "loguniform", "randint", "choice"

_FORM = re.compile(r"(?P<kind>\w+)\((?P<values>.*)\)", re.DOTALL)
_CURE = (
    "write field=loguniform(1e-4,1e-2), =uniform(0,0.5), =randint(1,8) or =choice(a,b); the upper "
    "end of randint is left out"
)


@dataclasses.dataclass(frozen=True)
class Search:
    """One field.

    Attributes:
        field: Its path, as `train --set` takes it.
        kind: `uniform`, `loguniform`, `randint` or `choice`.
        values: The lower and the upper end, or for `choice` the texts.
    """

    field: str
    kind: str
    values: tuple[float | int | str, ...]

    def extremes(self) -> tuple[float | int | str, ...]:
        """Values that every other one lies between; all of a choice."""
        if self.kind == WHOLE:
            return (self.values[0], self.values[1] - 1)
        return self.values


def parse(texts: Sequence[str]) -> tuple[Search, ...]:
    """Reads `field=kind(values)`.

    Raises:
        UserError: There is none, one is not written so, or a field is given twice.
    """
    if not texts:
        raise UserError("--search", "found nothing to search", _CURE)
    searches = tuple(map(_parsed, texts))
    fields = [one.field for one in searches]
    for number, field in enumerate(fields):
        if field in fields[:number]:
            raise UserError(f"--search {texts[number]}", "the field is given twice", "give it once")
    return searches


def check(
    searches: Sequence[Search], config: Path, recipe_path: Path | None, overrides: Sequence[str]
) -> Any:
    """Sets each field to its extreme values, to see that it can be.

    Args:
        searches: As `parse` gives them.
        config: The pipeline config.
        recipe_path: The recipe, or None.
        overrides: `field=value` for both, as `train --set` takes them.

    Returns:
        The config with the overrides, before any search.

    Raises:
        UserError: The config or the recipe cannot be read, or a field does not exist or does not
            take such values.
    """
    loaded = pipeline_config.override(
        pipeline_config.load(config), [one for one in overrides if not _is_recipe(one)]
    )
    for one in searches:
        for value in one.extremes():
            assignment = assigned(one.field, value)
            if _is_recipe(one.field):
                recipe.load(recipe_path, [*filter(_is_recipe, overrides), assignment])
            else:
                pipeline_config.override(loaded, [assignment])
    return loaded


def assigned(field: str, value: Any) -> str:
    """`field=value`, as `train --set` takes it."""
    return f"{field}={value:.6g}" if isinstance(value, float) else f"{field}={value}"


def _is_recipe(assignment: str) -> bool:
    return assignment.startswith(recipe.PREFIX)


def _parsed(text: str) -> Search:
    where = f"--search {text}"
    field, equals, drawn = text.partition("=")
    found = _FORM.fullmatch(drawn.strip())
    if not equals or not field or found is None:
        raise UserError(where, "found no field and values", _CURE)
    kind, values = found["kind"], [part.strip() for part in found["values"].split(",")]
    if kind not in (UNIFORM, LOG_UNIFORM, WHOLE, CHOICE):
        raise UserError(where, f"found {kind!r}", _CURE)
    if kind == CHOICE:
        if not all(values) or len(set(values)) != len(values):
            raise UserError(where, "found an empty choice, or one twice", _CURE)
        return Search(field, kind, tuple(values))
    ends = tuple(_number(part, kind) for part in values)
    if len(ends) != 2 or not all(map(math.isfinite, ends)) or ends[0] >= ends[1]:
        raise UserError(where, f"found {found['values']!r}, expected two rising numbers", _CURE)
    if kind == LOG_UNIFORM and ends[0] <= 0:
        raise UserError(where, f"found {ends[0]:g}, expected more than 0", _CURE)
    return Search(field, kind, ends)


def _number(text: str, kind: str) -> float | int:
    try:
        return int(text) if kind == WHOLE else float(text)
    except ValueError:
        return math.nan
