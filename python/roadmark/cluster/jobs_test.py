"""Work shared out among several Ray nodes on the loopback: losses, resuming, mistakes.

One cluster serves all: a head without processors of its own, and a node with one that stays.
"""

import dataclasses
import io
import json
import socket
import threading
import time

import pytest
import ray.cluster_utils

from roadmark.cluster import jobs, sources, team
from roadmark.cluster.choice import Choice
from roadmark.cluster.jobs import Job
from roadmark.errors import UserError
from roadmark.testing import shared_work

_HELD_S = 60


@pytest.fixture(scope="module")
def cluster():
    found = ray.cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    found.add_node(num_cpus=1)
    yield found
    found.shutdown()


class _Work:
    """Texts to be written in capitals, by a command that can be repeated."""

    def __init__(self, folder, cluster):
        self.sources, self.out, self.traces = (folder / name for name in ("in", "out", "traces"))
        self.choice = Choice(cluster.address)
        self.said = []

    def put(self, **texts):
        for name, text in texts.items():
            path = self.sources / f"{name.replace('__', '/')}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, make=None, **settings):
        job = Job(
            what="writing",
            unit="texts",
            make=make or shared_work.make(self.traces),
            out=str(self.out),
            settings=settings,
            told=lambda facts: f"{facts['letters']} letters",
        )
        tasks = sources.files(str(self.sources), (".txt",))
        return jobs.run(job, tasks, self.choice, self.said.append)

    def results(self):
        return {
            path.relative_to(self.out).as_posix(): path.read_text()
            for path in self.out.rglob("*.txt")
            if path.is_file()
        }

    def begun(self, name):
        return len(shared_work.begun(self.traces, f"{name}.txt"))


@pytest.fixture
def work(tmp_path, cluster):
    return _Work(tmp_path, cluster)


def test_all_is_done_once_and_only_what_is_missing_again(work):
    work.put(a="one", b__c="two", d="three")
    result = work.run(size=1)
    assert work.results() == {"a.txt": "ONE", "b/c.txt": "TWO", "d.txt": "THREE"}
    assert list(result.facts) == ["a.txt", "b/c.txt", "d.txt"]
    assert result.facts["d.txt"] == {"letters": 5}
    assert (result.before, result.failures) == (0, {})
    assert not list(work.out.glob(".unfinished"))

    # The same command finds all done; it takes no cluster for that.
    working = work.choice
    work.choice = Choice("127.0.0.1:1")
    assert work.run(size=1).before == 3
    work.choice = working
    # Another source of the same name, one that is new, and a result that has gone.
    work.put(a="four", e="five")
    (work.out / "b" / "c.txt").unlink()
    assert work.run(size=1).before == 1
    assert work.results() == {
        "a.txt": "FOUR", "b/c.txt": "TWO", "d.txt": "THREE", "e.txt": "FIVE",
    }  # fmt: skip
    assert [work.begun(name) for name in ("a", "b_c", "d", "e")] == [2, 2, 1, 1]
    # Other settings.
    work.put(b__c="six")
    assert work.run(size=2).before == 0


def test_what_may_pass_is_tried_again_and_what_fails_holds_up_nobody(work):
    work.put(a="bad", b="broken once", c="crash once", d="crash", e="fine")
    work.choice = dataclasses.replace(work.choice, tries=2)
    result = work.run()
    assert work.results() == {"b.txt": "BROKEN ONCE", "c.txt": "CRASH ONCE", "e.txt": "FINE"}
    assert list(result.facts) == ["b.txt", "c.txt", "e.txt"]
    assert result.failures["a.txt"] == "text: found 'bad'; write something else"
    assert result.failures["d.txt"].startswith("d.txt: begun 2 times; its process on")
    assert [work.begun(name) for name in "abcde"] == [1, 2, 2, 2, 1]
    assert any(line.startswith("b.txt: RuntimeError: it broke (") for line in work.said)
    assert not list(work.out.glob(".unfinished"))


def test_a_node_that_dies_loses_nothing_and_nothing_is_done_twice(work, cluster):
    doomed = cluster.add_node(num_cpus=1)
    names = [f"t{number}" for number in range(6)]
    work.put(**{name: f"{name} held on {doomed.node_id}" for name in names})
    work.choice = dataclasses.replace(work.choice, nodes=3)

    def held():
        traces = {name: shared_work.begun(work.traces, f"{name}.txt") for name in names}
        return [name for name, nodes in traces.items() if doomed.node_id in nodes]

    def kill():
        end = time.monotonic() + _HELD_S
        while not held() and time.monotonic() < end:
            time.sleep(0.02)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    result = work.run()
    killer.join()
    assert result.failures == {}
    assert sorted(work.results()) == [f"{name}.txt" for name in names]
    (lost,) = held()
    for name in names:
        assert work.begun(name) == (2 if name == lost else 1)
        (node,) = shared_work.done(work.traces, f"{name}.txt")
        assert node != doomed.node_id


class _Watching(io.StringIO):
    """A stderr on which somebody waits for a line."""

    def __init__(self, wanted, seen):
        super().__init__()
        self._wanted, self._seen = wanted, seen

    def write(self, text):
        written = super().write(text)
        if self._wanted in self.getvalue():
            self._seen()
        return written


def test_how_far_a_task_is_is_told_while_it_is_done(work, monkeypatch):
    """The task waits until the command's stderr says it."""
    work.put(a="watched", b="one")
    errors = _Watching("a.txt: reading: 2/5 lines, ", lambda: shared_work.heard(work.traces))
    monkeypatch.setattr("sys.stderr", errors)
    monkeypatch.setattr(team, "_ASK_S", 0.05)
    assert work.run().failures == {}
    assert work.results() == {"a.txt": "WATCHED", "b.txt": "ONE"}
    assert "b.txt: " not in errors.getvalue()


def test_an_answer_that_was_lost_is_found_again(work, cluster, monkeypatch):
    """A task that was done by a machine which could not say so any more is not done again."""
    work.put(a="one")
    work.run()
    receipt = work.out / ".finished" / "a.txt.json"
    noted = receipt.read_text()
    # As if the driver had looked before the receipt was there.
    monkeypatch.setattr(jobs.receipts, "finished", lambda *given: {})
    assert work.run().facts["a.txt"] == {"letters": 3}
    assert work.begun("a") == 1
    assert receipt.read_text() == noted
    assert json.loads(noted)["results"] == {"a.txt": 3}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            {"nodes": 9},
            r"--nodes=9: found \d after 0.2 s in the cluster at .*; start Ray on the others with",
            id="a node that never joins",
        ),
        pytest.param(
            {"address": "127.0.0.1:1"},
            "--cluster=127.0.0.1:1: cannot be reached: .*refused; start one with: ray start",
            id="nobody listens",
        ),
        pytest.param({"address": "127.0.0.1"}, "an address is HOST:PORT", id="no port"),
    ],
)
def test_a_cluster_that_is_not_there(work, change, says):
    work.put(a="one")
    work.choice = dataclasses.replace(work.choice, wait_s=0.2, **change)
    with pytest.raises(UserError, match=says):
        work.run()


def test_a_server_that_is_no_cluster(work, monkeypatch):
    work.put(a="one")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        work.choice = Choice(f"127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(UserError, match="cannot be reached"):
            work.run()


def test_machines_that_cannot_work(work):
    work.put(a="one")
    with pytest.raises(UserError, match=r"none of \d machines can work: .* no engine here; go"):
        work.run(shared_work.make_nothing("no engine here"))
