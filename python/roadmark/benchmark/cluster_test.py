"""The suite `cluster`, without Ray: files in this process, and the rows that times make."""

import threading

import pytest

from roadmark.benchmark import cluster
from roadmark.benchmark.cluster import _Times


def test_files_end_one_after_the_other_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ends = cluster._ends_alone(4)
    assert len(ends) == 4
    assert ends == sorted(set(ends))
    assert not list(tmp_path.iterdir())


def test_only_the_later_half_counts():
    assert cluster._between([0.0, 9.0, 9.5, 10.0, 10.5, 11.0]) == 0.5


def test_no_process_is_ready_before_all_are(tmp_path, monkeypatch):
    ready = tmp_path / "ready"
    waiting = threading.Thread(target=cluster._make, args=(str(ready), 2), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    (ready / "another").touch()
    waiting.join(60)
    assert not waiting.is_alive()
    monkeypatch.setattr(cluster, "_PATIENCE_S", 0.01)
    with pytest.raises(TimeoutError, match=r"fewer than 3 processes began in 0.01 s"):
        cluster._make(str(ready), 3)


@pytest.mark.parametrize(("start_s", "more"), [(11.0, 2.0), (4.0, 1e-3)], ids=["more", "none"])
def test_a_machine_more_is_what_the_others_add_to_the_first(start_s, more):
    times = {1: _Times(5.0, 0.02, 0.01), 4: _Times(start_s, 0.005, 0.01)}
    found = [(row.operation, row.size, row.ours, row.ratio) for row in cluster._rows(times)]
    assert found == [
        ("a file", "1 machine", 20.0, 0.5),
        ("a file", "4 machines", 5.0, 2.0),
        ("a command", "1 machine", 5.0, 6.0),
        ("a machine more", "of 4", more, 10.0 / more),
    ]


def test_what_could_not_be_measured_has_no_row():
    """As when Ray does not start so many nodes on a busy machine."""
    assert not list(cluster._rows({}))
    found = [row.operation for row in cluster._rows({2: _Times(5.0, 0.02, 0.01)})]
    assert found == ["a file", "a command"]
