"""Work for a cluster that does as its sources say, and leaves a trace of what was done where."""

import functools
import os
import time
from pathlib import Path
from typing import Any

from roadmark import progress
from roadmark.cluster.task import MakeWork, Task, Work
from roadmark.errors import UserError

_HEARD = "heard"


def make(traces: Path) -> MakeWork:
    """Work that writes a text in capitals.

    A source's text may ask for more: `bad` is a user's mistake; `broken` an exception, and `crash`
    the end of the process, every time; `broken once` and `crash once` the first time alone. `held
    on ID` is to wait for ever on the machine with that id, and elsewhere until something waits
    there. `watched` has two of five lines done until `heard` is told.

    Args:
        traces: Folder for a file `NAME.begun` for each source, a line with the machine's id for
            each time that it was begun, and `NAME.done`, likewise.
    """
    return functools.partial(_make, str(traces))


def make_nothing(why: str) -> MakeWork:
    """Work that cannot be made ready on any machine, for a reason."""
    return functools.partial(_refuse, why)


def heard(traces: Path) -> None:
    """Lets what is `watched` go on."""
    (traces / _HEARD).touch()


def begun(traces: Path, name: str) -> list[str]:
    """The machines on which a source was begun."""
    return _lines(traces / f"{name}.begun")


def done(traces: Path, name: str) -> list[str]:
    """The machines on which it was done."""
    return _lines(traces / f"{name}.done")


def _lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _make(traces: str) -> Work:
    import ray

    node, folder = ray.get_runtime_context().get_node_id(), Path(traces)
    folder.mkdir(parents=True, exist_ok=True)

    def work(task: Task, out: Path) -> dict[str, Any]:
        text, name = Path(task.source).read_text(), task.name.replace("/", "_")
        is_first = not begun(folder, name)
        _trace(folder / f"{name}.begun", node)
        if is_first or not text.endswith("once"):
            _misbehave(text, folder, node)
        target = out / task.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.upper())
        _trace(folder / f"{name}.done", node)
        return {"letters": len(text)}

    return work


def _misbehave(text: str, traces: Path, node: str) -> None:
    kind = text.removesuffix(" once")
    if kind == "bad":
        raise UserError("text", "found 'bad'", "write something else")
    if kind == "broken":
        raise RuntimeError("it broke")
    if kind == "crash":
        os._exit(7)
    if kind == "watched":
        with progress.track("reading", 5, "lines") as meter:
            meter.advance(2)
            while not (traces / _HEARD).exists():
                time.sleep(0.02)
    _, held, where = text.partition("held on ")
    while held and (node == where or not any(where in _lines(one) for one in _all_begun(traces))):
        time.sleep(0.02)


def _all_begun(traces: Path) -> list[Path]:
    return list(traces.glob("*.begun"))


def _trace(path: Path, node: str) -> None:
    with open(path, "a") as lines:
        lines.write(f"{node}\n")


def _refuse(why: str) -> Work:
    raise UserError("here", why, "go elsewhere")
