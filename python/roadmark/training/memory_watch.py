"""How much memory is left, watched while the first steps are taken. Needs no TensorFlow.

A GPU's allocator says when a batch is too large. The processor's memory is promised before it is
there, and Linux kills the process that then uses it (SIGKILL), without a word. So one looks.
"""

import contextlib
import dataclasses
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

# Short enough for what a few processors can fill meanwhile.
_EVERY_SECONDS = 0.02
# What must be left: of the whole, and no more than that many bytes.
_RESERVE = 0.05
_LARGEST_RESERVE = 512 << 20
# Files of a memory control group, version 2 and 1: its limit, what is used, and the lines of
# `memory.stat` with what the system takes back from the cache of files.
_GROUP_FILES = (
    ("", "memory.max", "memory.current", ("inactive_file", "active_file")),
    (
        "memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
)


@dataclasses.dataclass(frozen=True)
class Memory:
    """What a process may use.

    Attributes:
        whole: Bytes that there are.
        left: Bytes of it that can still be had.
    """

    whole: int
    left: int

    @property
    def is_short(self) -> bool:
        """Whether so little is left that the system is about to kill."""
        return self.left < min(_RESERVE * self.whole, _LARGEST_RESERVE)

    def __str__(self) -> str:
        return f"{self.left / 1e9:.1f} GB of memory are left of {self.whole / 1e9:.1f} GB"


OnShort = Callable[[Memory], None]
Look = Callable[[], Memory]


def scarcest(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Memory:
    """The machine's memory, or that of a control group (a container's limit), if less is left.

    Args:
        proc: Where the system tells of itself.
        groups: Where control groups are mounted.
    """
    found = [_machine(proc), *_control_groups(proc, groups)]
    return min(found, key=lambda memory: memory.left)


@contextlib.contextmanager
def watching(on_short: OnShort | None, look: Look = scarcest) -> Iterator[threading.Event]:
    """A block during which memory is watched.

    Args:
        on_short: What to do when it is short, once, in another thread; takes what was seen. None
            for not to watch.
        look: What sees how much is left.

    Yields:
        An event that ends the watch when it is set.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_EVERY_SECONDS):
            memory = look()
            if memory.is_short:
                on_short(memory)
                return

    if on_short is not None:
        threading.Thread(target=watch, name="memory watch", daemon=True).start()
    try:
        yield ended
    finally:
        ended.set()


def _machine(proc: Path) -> Memory:
    text = (proc / "meminfo").read_text()
    found = {name: int(kb) * 1024 for name, kb in re.findall(r"(\w+):\s*(\d+) kB", text)}
    return Memory(found["MemTotal"] + found["SwapTotal"], found["MemAvailable"] + found["SwapFree"])


def _control_groups(proc: Path, groups: Path) -> Iterator[Memory]:
    for line in (proc / "self" / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        for folder, limit, used, cached in _GROUP_FILES:
            # Of a container the path may be the host's, and the mount its own: then the root is.
            own = groups / folder / path.strip("/")
            for group in (own, *own.parents):
                if group.is_relative_to(groups / folder) and (group / limit).is_file():
                    yield from _group(group, limit, used, cached)


def _group(folder: Path, limit: str, used: str, cached: tuple[str, ...]) -> Iterator[Memory]:
    text = (folder / limit).read_text().strip()
    if text == "max":
        return
    stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    taken = int((folder / used).read_text()) - sum(int(stat[name]) for name in cached)
    yield Memory(int(text), int(text) - taken)
