"""Every field of what detectors' runs were set up with."""

import json
from pathlib import Path
from typing import Any

import yaml

from roadmark.errors import UserError
from roadmark.evaluation import set_ups
from roadmark.odapi import pipeline_config

CONFIG = "pipeline.config"

_RECIPE = "recipe.yaml"
_VERSIONS = "versions.json"


def of_folder(folder: Path) -> dict[str, str]:
    """Every field of a run's config, recipe and versions by its path; of those that are there.

    Raises:
        UserError: One of them cannot be read.
    """
    found: dict[str, str] = {}
    if (folder / CONFIG).is_file():
        found |= _of_message(pipeline_config.load(folder / CONFIG))
    if (folder / _RECIPE).is_file():
        found |= set_ups.of_tree(_read(folder / _RECIPE, yaml.safe_load), "recipe")
    if (folder / _VERSIONS).is_file():
        found |= set_ups.of_tree(_read(folder / _VERSIONS, json.loads), "versions")
    return found


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


def _read(path: Path, parse: Any) -> Any:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        problem = str(error).replace("\n", " ")
        raise UserError(path, f"cannot be read: {problem}", "restore or remove it") from None
