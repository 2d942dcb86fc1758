"""Every field of what runs were set up with, and the fields in which they differ."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from roadmark.errors import UserError
from roadmark.odapi import pipeline_config

ABSENT = "–"
CONFIG = "pipeline.config"

_RECIPE = "recipe.yaml"
_VERSIONS = "versions.json"


@dataclasses.dataclass(frozen=True)
class Setting:
    """A field that not all runs have alike.

    Attributes:
        path: Such as `train_config.batch_size` or `recipe.weather.fog`.
        values: Of each run, `ABSENT` where it does not have the field.
    """

    path: str
    values: Sequence[str]


def of_folder(folder: Path) -> dict[str, str]:
    """Every field of a run's config, recipe and versions by its path; of those that are there.

    Raises:
        UserError: One of them cannot be read.
    """
    found: dict[str, str] = {}
    if (folder / CONFIG).is_file():
        found |= _of_message(pipeline_config.load(folder / CONFIG))
    if (folder / _RECIPE).is_file():
        found |= _of_tree(_read(folder / _RECIPE, yaml.safe_load), "recipe")
    if (folder / _VERSIONS).is_file():
        found |= _of_tree(_read(folder / _VERSIONS, json.loads), "versions")
    return found


def differing(settings: Sequence[Mapping[str, str]]) -> list[Setting]:
    """The fields in which runs differ, in the order of their paths in the files.

    Args:
        settings: Of each run; one without any, such as a result from elsewhere, has no say.
    """
    known = [one for one in settings if one]
    paths = dict.fromkeys(path for one in known for path in one)
    return [
        Setting(path, [one.get(path, ABSENT) for one in settings])
        for path in paths
        if len({one.get(path) for one in known}) > 1
    ]


def _of_message(message: Any, prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for field, value in message.ListFields():
        path = prefix + field.name
        # A map or a list of messages is a list of parts, a list of values one value.
        many = not hasattr(value, "ListFields") and hasattr(value, "__len__")
        parts = list(value) if many and not isinstance(value, str | bytes) else [value]
        if parts and hasattr(parts[0], "ListFields"):
            is_list = parts[0] is not value
            for number, part in enumerate(parts):
                own = f"{path}[{number}]" if is_list else path
                # A message without fields says by its being there which kind is chosen.
                found |= _of_message(part, f"{own}.") or {own: "{}"}
        else:
            found[path] = ", ".join(_shown(field, part) for part in parts)
    return found


def _shown(field: Any, value: Any) -> str:
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _of_tree(tree: Any, prefix: str) -> dict[str, str]:
    if not isinstance(tree, dict):
        return {prefix: str(tree)}
    found: dict[str, str] = {}
    for key, value in tree.items():
        found |= _of_tree(value, f"{prefix}.{key}")
    return found


def _read(path: Path, parse: Any) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = str(error).replace("\n", " ")
        raise UserError(path, f"cannot be read: {problem}", "restore or remove it") from None
