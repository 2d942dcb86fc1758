"""What is shared out: a file or a part of the work, and what came of it."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Task:
    """One piece of work, which a machine does as a whole.

    Attributes:
        name: Path of its source below what they all have in common, with `/` between its parts.
        source: What the work takes: a path, an address in a bucket, or anything that is pickled.
        identity: What tells the source from another one of this name, for JSON.
    """

    name: str
    source: Any
    identity: Mapping[str, Any]


Work = Callable[[Task, Path], Mapping[str, Any]]
"""Does a task: writes files into an empty folder, under the names that they are to have below the
folder for results, and gives facts about them, for JSON. A `UserError` is not tried again."""

MakeWork = Callable[[], Work]
"""Is called once in each process that works, as to load a model; pickled by its name."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        facts: As the work gave them; empty when it failed.
        seconds: What it took.
        failure: One line; empty when all went well.
        may_pass: Whether another try may go well.
        files: What was written, by name, where it goes back to the command.
    """

    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    failure: str = ""
    may_pass: bool = False
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
