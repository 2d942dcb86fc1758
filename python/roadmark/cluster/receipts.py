"""Notes of what is finished, beside the results, by which the next command knows it.

A task's receipt is the last of its files to appear. It says what was worked on, how, and what came
of it; a task is done when receipt, source, settings and results agree.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

from roadmark.cluster.outputs import GivenBack, Outputs
from roadmark.cluster.task import Task

_FOLDER = ".finished"
_AT_ONCE = 16


def digest(settings: Mapping[str, Any]) -> str:
    """What tells settings, which JSON can hold, from others."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def finished(outputs: Outputs, tasks: Sequence[Task], settings: str) -> dict[str, dict[str, Any]]:
    """The facts of the tasks that are done, by name.

    A receipt whose results have gone goes too, so that it misleads nobody.

    Args:
        outputs: Where results are.
        tasks: Those asked for.
        settings: What `digest` gave.
    """
    sizes = outputs.sizes()
    noted = [task for task in tasks if _name(task) in sizes]

    def facts(task: Task) -> dict[str, Any] | None:
        receipt = _read(outputs, task)
        if not _is_of(receipt, task, settings):
            return None
        if all(sizes.get(name) == size for name, size in receipt["results"].items()):
            return receipt["facts"]
        outputs.remove(_name(task))
        return None

    with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        found = zip(noted, pool.map(facts, noted), strict=True)
        return {task.name: known for task, known in found if known is not None}


def finished_elsewhere(
    outputs: Outputs | GivenBack, task: Task, settings: str
) -> dict[str, Any] | None:
    """The facts of a task that a machine has done of which nothing was heard since, or None."""
    receipt = _read(outputs, task)
    return receipt["facts"] if _is_of(receipt, task, settings) else None


def publish(
    outputs: Outputs | GivenBack,
    task: Task,
    settings: str,
    folder: Path,
    facts: Mapping[str, Any],
) -> None:
    """Puts a task's results in their place, those of an earlier run aside.

    Args:
        outputs: The place.
        task: The task.
        settings: What `digest` gave.
        folder: Holds the results, under the names that they are to have.
        facts: As the work gave them.
    """
    names = written(folder)
    sizes = {name: (folder / name).stat().st_size for name in names}
    _withdraw(outputs, task, names)
    outputs.publish(folder, names)
    receipt = {
        "source": task.name,
        "identity": task.identity,
        "settings": settings,
        "results": sizes,
        "facts": facts,
    }
    outputs.write(_name(task), (json.dumps(receipt, indent=1) + "\n").encode())


def _withdraw(outputs: Outputs | GivenBack, task: Task, keep: Sequence[str]) -> None:
    """Removes what an earlier run made of the task, the receipt first."""
    before = _read(outputs, task)
    if not before:
        return
    outputs.remove(_name(task))
    for name in before.get("results", {}).keys() - set(keep):
        outputs.remove(name)


def written(folder: Path) -> list[str]:
    """The files below a folder, by their names there."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path.relative_to(folder).as_posix() for path in paths]


def _read(outputs: Outputs | GivenBack, task: Task) -> dict[str, Any]:
    try:
        found = json.loads(outputs.read(_name(task)) or "{}")
    except ValueError:  # Someone has written into it.
        return {}
    return found if isinstance(found, dict) else {}


def _is_of(receipt: Mapping[str, Any], task: Task, settings: str) -> bool:
    identity = json.loads(json.dumps(task.identity))
    return receipt.get("identity") == identity and receipt.get("settings") == settings


def _name(task: Task) -> str:
    return f"{_FOLDER}/{task.name}.json"
