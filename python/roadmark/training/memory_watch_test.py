"""What counts as the memory that is left, and that a process hears of it in time."""

import queue
import threading
from pathlib import Path

import pytest

from roadmark.training import memory_watch
from roadmark.training.memory_watch import Memory

_GB = 1 << 30
_MEMINFO = {"MemTotal": 16, "MemFree": 1, "MemAvailable": 10, "SwapTotal": 2, "SwapFree": 1}
_V2 = "0::/user.slice/session\n"
_STAT = "anon 1\ninactive_file 1073741824\nactive_file 1073741824\n"
_V1_STAT = "cache 1\ntotal_inactive_file 0\ntotal_active_file 1073741824\n"


def _system(folder: Path, cgroup: str, files: dict[str, str]) -> tuple[Path, Path]:
    proc, groups = folder / "proc", folder / "cgroup"
    (proc / "self").mkdir(parents=True)
    lines = [f"{name}: {gb * _GB // 1024} kB\n" for name, gb in _MEMINFO.items()]
    (proc / "meminfo").write_text("".join(lines))
    (proc / "self" / "cgroup").write_text(cgroup)
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    return proc, groups


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        pytest.param("", {}, Memory(18 * _GB, 11 * _GB), id="the machine with its swap"),
        pytest.param(
            _V2,
            {
                "user.slice/session/memory.max": f"{8 * _GB}\n",
                "user.slice/session/memory.current": f"{7 * _GB}\n",
                "user.slice/session/memory.stat": _STAT,
            },
            Memory(8 * _GB, 3 * _GB),
            id="a group's limit, less what is no cache of files",
        ),
        pytest.param(
            _V2,
            {
                "user.slice/session/memory.max": "max\n",
                "user.slice/memory.max": f"{4 * _GB}\n",
                "user.slice/memory.current": f"{5 * _GB}\n",
                "user.slice/memory.stat": _STAT,
            },
            Memory(4 * _GB, _GB),
            id="the limit of a group above",
        ),
        pytest.param(
            "4:memory:/docker/1f\n0::/\n",
            {
                "memory/memory.limit_in_bytes": f"{2 * _GB}\n",
                "memory/memory.usage_in_bytes": f"{2 * _GB}\n",
                "memory/memory.stat": _V1_STAT,
            },
            Memory(2 * _GB, _GB),
            id="a container, version 1: the path is the host's",
        ),
        pytest.param(
            "4:memory:/\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/memory.usage_in_bytes": f"{2 * _GB}\n",
                "memory/memory.stat": _V1_STAT,
            },
            Memory(18 * _GB, 11 * _GB),
            id="version 1 without a limit",
        ),
    ],
)
def test_the_scarcest_memory_counts(tmp_path, cgroup, files, expected):
    assert memory_watch.scarcest(*_system(tmp_path, cgroup, files)) == expected


@pytest.mark.parametrize(
    ("whole", "left", "short"),
    [(16.0, 0.6, False), (16.0, 0.4, True), (4.0, 0.3, False), (4.0, 0.19, True)],
)
def test_short_is_a_twentieth_and_never_more_than_half_a_gigabyte(whole, left, short):
    assert Memory(int(whole * _GB), int(left * _GB)).is_short == short


def test_it_is_told_once_when_memory_is_short():
    seen = iter([Memory(16 * _GB, 9 * _GB), Memory(16 * _GB, 1), Memory(16 * _GB, 0)])
    told = queue.Queue()
    with memory_watch.watching(told.put, lambda: next(seen)):
        assert told.get(timeout=300) == Memory(16 * _GB, 1)
    assert next(seen) == Memory(16 * _GB, 0)


def test_it_looks_no_more_once_there_is_enough():
    looked = queue.Queue()

    def look() -> Memory:
        looked.put(None)
        return Memory(16 * _GB, 9 * _GB)

    others = set(threading.enumerate())
    with memory_watch.watching(pytest.fail, look) as enough:
        (watch,) = set(threading.enumerate()) - others
        looked.get(timeout=300)
        enough.set()
        watch.join(300)
        assert not watch.is_alive()


def test_the_memory_of_this_machine_is_read():
    found = memory_watch.scarcest()
    assert 0 < found.left <= found.whole
