"""Workers on Ray nodes on the loopback: their places, and what is done when one is lost.

They run a program that ends as `train` does, and not `train` itself.
"""

import dataclasses
import threading
import time
from pathlib import Path

import pytest
import ray.cluster_utils

from roadmark.cluster.choice import Choice
from roadmark.errors import UserError
from roadmark.training import placing
from roadmark.training.options import TrainOptions
from roadmark.training.placing import Placement

_STEPS = 4
_WAIT_S = 60
# Takes the folder of the run, and what goes wrong with worker 2: `killed` and `hangs` in the first
# try alone. The chief goes on where the folder says; where something goes wrong it waits after two
# steps until the other one has gone, as TensorFlow does.
_PROGRAM = """
import json, os, pathlib, signal, sys, time
run, trouble = pathlib.Path(sys.argv[1]), sys.argv[2]
found = json.loads(os.environ["TF_CONFIG"])
addresses = found["cluster"]["worker"]
assert len(set(addresses)) == 2 and all(":" in one for one in addresses)

def wait(until):
    while not until():
        time.sleep(0.02)

def others():
    return sorted(run.glob("other-*"))

if found["task"]["index"]:
    number = len(others())
    (run / f"other-{number}.{os.getpid()}").touch()
    if trouble == "mistake":
        print("error: records: found none; make some")
        sys.exit(2)
    if trouble == "always" or (trouble == "killed" and not number):
        os.kill(os.getpid(), signal.SIGKILL)
    wait(lambda: (run / "done").exists() and not (trouble == "hangs" and not number))
    sys.exit(0)

number = len(list(run.glob("chief-*")))
(run / f"chief-{number}").touch()
wait(lambda: len(others()) > number)
steps = run / "steps"
done = len(steps.read_text().split()) if steps.exists() else 0
for step in range(done + 1, 5):
    with open(steps, "a") as file:
        file.write(f"{step}\\n")
    print("step", step, flush=True)
    if step == 2 and trouble != "nothing":
        process = pathlib.Path("/proc") / others()[number].suffix[1:]
        wait(lambda: not process.exists())
        print("error: worker 1 of 2: another worker cannot be reached: gone; repeat")
        sys.exit(2)
(run / "done").touch()
"""


@pytest.fixture(scope="module")
def cluster():
    found = ray.cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    found.add_node(num_cpus=1)
    yield found
    found.shutdown()


@pytest.fixture
def placement(tmp_path, cluster):
    def make(trouble, **changes):
        program = tmp_path / "program.py"
        program.write_text(_PROGRAM)
        choice = dataclasses.replace(Choice(cluster.address, cpus_per_worker=1, tries=2), **changes)
        return Placement(choice, 2, (str(program), str(tmp_path), trouble))

    return make


def _train(placement, **options):
    said = []
    placing.train(placement, TrainOptions(Path("a.config"), **options), said.append)
    return said


def test_the_workers_find_each_other_and_the_chief_is_heard(tmp_path, placement):
    said = _train(placement("nothing"))
    assert said == [f"step {step}" for step in range(1, _STEPS + 1)]
    assert (tmp_path / "steps").read_text().split() == ["1", "2", "3", "4"]


def test_a_worker_that_is_killed_is_begun_again_and_no_step_twice(tmp_path, placement):
    said = _train(placement("killed"))
    assert (tmp_path / "steps").read_text().split() == ["1", "2", "3", "4"]
    assert "worker 2 of 2 ended with signal 9; going on from the last checkpoint" in said[2]
    assert len(list(tmp_path.glob("other-*"))) == 2


def _is_held(folder):
    steps = folder / "steps"
    return list(folder.glob("other-*")) and steps.exists() and "2" in steps.read_text()


def test_the_place_of_a_node_that_dies_is_taken_by_another(tmp_path, placement, cluster):
    doomed = cluster.list_all_nodes()[1]

    def kill():
        end = time.monotonic() + _WAIT_S
        while not _is_held(tmp_path) and time.monotonic() < end:
            time.sleep(0.02)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    said = _train(placement("hangs"))
    killer.join()
    assert (tmp_path / "steps").read_text().split() == ["1", "2", "3", "4"]
    assert any("going on from the last checkpoint" in line for line in said)


def test_workers_that_are_lost_too_often(placement):
    with pytest.raises(UserError, match=r"--tries=2: lost workers so often, .* signal 9; repeat"):
        _train(placement("always"))


def test_a_users_mistake_is_told_in_the_workers_words(tmp_path, placement):
    with pytest.raises(UserError, match=r"^records: found none; make some$"):
        _train(placement("mistake"))
    assert len(list(tmp_path.glob("other-*"))) == 1


@pytest.mark.parametrize(
    ("workers", "options", "says"),
    [
        pytest.param(9, {}, r"--workers=9: found room for \d in 0.2 s", id="nodes that never join"),
        pytest.param(2, {"patience": 3}, "--patience: not with 2 workers", id="patience"),
    ],
)
def test_what_cannot_begin(placement, workers, options, says):
    wanted = dataclasses.replace(placement("nothing", wait_s=0.2), workers=workers)
    with pytest.raises(UserError, match=says):
        _train(wanted, **options)


def test_places_are_on_each_machine_first():
    def machine(cpus, gpus=0):
        return {"Resources": {"CPU": cpus, "GPU": gpus}}

    a, b, c = (letter * 56 for letter in "abc")
    machines = {a: machine(4, 2), b: machine(2), c: machine(0)}
    whole = placing._places(machines, 0)
    assert [(one["num_cpus"], one["num_gpus"]) for one in whole] == [(4, 2), (2, 0)]
    shared = placing._places(machines, 2)
    assert [one["scheduling_strategy"].node_id for one in shared] == [a, b, a]
    assert [one["num_gpus"] for one in shared] == [1, 0, 1]
    assert [one["num_cpus"] for one in shared] == [2, 2, 2]
