"""Fields of what models were set up with, and those in which several differ."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from roadmark.evaluation import page

ABSENT = "–"


@dataclasses.dataclass(frozen=True)
class Setting:
    """A field that not all runs have alike.

    Attributes:
        path: Such as `train_config.batch_size` or `recipe.weather.fog`.
        values: Of each run, `ABSENT` where it does not have the field.
    """

    path: str
    values: Sequence[str]


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


def of_tree(tree: Any, prefix: str) -> dict[str, str]:
    """The leaves of nested mappings, as YAML and JSON have them, by their paths."""
    if isinstance(tree, list) and any(isinstance(one, dict) for one in tree):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        return {prefix: str(tree)}
    found: dict[str, str] = {}
    for key, value in tree.items():
        found |= of_tree(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def section(names: Sequence[str], settings: Sequence[Setting], about: str) -> str:
    """The part of a page that lists them.

    Args:
        names: Of the runs.
        settings: As `differing` gives them.
        about: What was looked at, a sentence.
    """
    rows = [[one.path, *one.values] for one in settings]
    body = (
        f'<div class="scroll settings">{page.table(["field", *names], rows)}</div>'
        if rows
        else "<p>Nothing that is known of.</p>"
    )
    return (
        "<h2>What differs between the set-ups</h2>"
        f"<p>{about} A dash: the run does not set it.</p>{body}"
    )
