from pathlib import Path

import pytest

from roadmark.errors import UserError
from roadmark.inference import child_process

_PROGRAM = """
import json, os, signal, sys
what = sys.argv[1]
print("some library's noise")
if what == "says":
    print(json.dumps({"answer": 42}))
elif what == "order":
    print(json.dumps({"order": list({str(number) for number in range(50)})}))
elif what == "mistake":
    print(json.dumps({"mistake": ["a.tfrecord", "is empty", "choose another"]}))
elif what == "fails":
    raise ValueError("Unknown op: Frobnicate")
elif what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
else:
    sys.exit(3)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "program_for_test.py").write_text(_PROGRAM)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda what: child_process.run(
        "program_for_test", [what], Path("raw"), "cannot be converted", "report it"
    )


def test_what_it_says_last_is_taken(run):
    assert run("says") == {"answer": 42}


def test_sets_lie_in_the_same_order_each_time(run):
    """Converters go by it, and equal models are to give equal files."""
    assert run("order") == run("order")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("mistake", "a.tfrecord: is empty; choose another"),
        ("fails", "raw: cannot be converted: ValueError: Unknown op: Frobnicate; report it"),
        (
            "killed",
            "raw: cannot be converted: the process was ended by signal 9, as for want of memory; "
            "report it",
        ),
        ("ends", "raw: cannot be converted: the process ended with code 3; report it"),
    ],
)
def test_failure_is_one_line(run, what, says):
    with pytest.raises(UserError) as caught:
        run(what)
    assert str(caught.value) == says
