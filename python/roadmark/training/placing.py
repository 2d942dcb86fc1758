"""Has the machines of a Ray cluster train together, and begins again when one of them is lost."""

import ctypes
import dataclasses
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from roadmark.cluster import joining
from roadmark.cluster.choice import Choice
from roadmark.errors import UserError
from roadmark.training import cluster
from roadmark.training.cluster import Cluster
from roadmark.training.options import TrainOptions

_POLL_S = 0.5
# How long the others may take to end when one has, so that the reason is known.
_GRACE_S = 20.0
# A run writes a checkpoint when it is asked to stop.
_STOPPING_S = 120.0
_KEPT_LINES = 20
_MISTAKE = 2
_DIE_WITH_PARENT = 1  # prctl(2), PR_SET_PDEATHSIG
_ERROR = "error: "


@dataclasses.dataclass(frozen=True)
class Placement:
    """A run of several workers.

    Attributes:
        choice: The cluster; `tries` is how often the run is begun.
        workers: How many there are; each has a machine, or `cpus_per_worker` processors, for
            itself.
        command: What runs `train` in Python: its file and its flags.
    """

    choice: Choice
    workers: int
    command: Sequence[str]


def train(placement: Placement, options: TrainOptions, say: Callable[[str], None]) -> None:
    """Trains, from the newest checkpoint on where there is one.

    Args:
        placement: What, and where.
        options: What the command's flags mean.
        say: Is told what the chief says.

    Raises:
        UserError: The cluster cannot be reached or has no room, a worker answers with a user's
            mistake, or workers were lost too often.
    """
    choice = placement.choice
    cluster.check(Cluster(placement.workers), options)
    with joining.joined(choice.address) as ray:
        for number in range(1, choice.tries + 1):
            why = _Team(ray, placement, say).train()
            if why is None:
                return
            if number < choice.tries:
                say(f"{why}; going on from the last checkpoint (begun {number} of {choice.tries})")
    raise UserError(
        f"--tries={choice.tries}",
        f"lost workers so often, at last: {why}",
        "repeat the command to go on from the last checkpoint",
    )


class _Team:
    """The workers of one try."""

    def __init__(self, ray: Any, placement: Placement, say: Callable[[str], None]) -> None:
        self._ray, self._placement, self._say = ray, placement, say
        self._codes: dict[int, int] = {}
        self._last: dict[int, list[str]] = {}

    def train(self) -> str | None:
        """Trains to the end; says why it came to none when a worker was lost."""
        actors, addresses = self._hire()
        try:
            self._start(actors, addresses)
            why = self._follow(actors)
        except self._ray.exceptions.RayError as error:
            why = f"a worker was lost: {_first_line(error)}"
        except BaseException:
            self._stop(actors)
            raise
        finally:
            self._dismiss(actors)
        return why

    def _hire(self) -> tuple[list[Any], list[str]]:
        """Has an actor in each place; gives their processes' addresses too."""
        choice, workers = self._placement.choice, self._placement.workers
        hire, end = self._ray.remote(_Worker), time.monotonic() + choice.wait_s
        problem = ""
        while True:
            places = _places(joining.alive(self._ray), choice.cpus_per_worker)
            if len(places) >= workers:
                actors = [hire.options(**options).remote() for options in places[:workers]]
                try:
                    asked = [one.address.remote() for one in actors]
                    left = max(_POLL_S, end - time.monotonic())
                    return actors, self._ray.get(asked, timeout=left)
                except self._ray.exceptions.RayError as error:
                    # As when a machine has gone, and the others do not know yet.
                    self._dismiss(actors)
                    problem = f", and not all have begun: {_first_line(error)}"
            if time.monotonic() > end:
                raise UserError(
                    f"--workers={workers}",
                    f"found room for {len(places)} in {choice.wait_s:g} s in the cluster at "
                    f"{choice.address}{problem}",
                    f"start Ray on more machines: ray start --address={joining.gcs(self._ray)}",
                )
            time.sleep(_POLL_S)

    def _start(self, actors: Sequence[Any], addresses: Sequence[str]) -> None:
        members, command = {"worker": addresses}, list(self._placement.command)
        tasks = [{"type": "worker", "index": index} for index in range(len(actors))]
        configs = [json.dumps({"cluster": members, "task": task}) for task in tasks]
        given = zip(actors, configs, strict=True)
        try:
            self._ray.get([one.start.remote(command, os.getcwd(), config) for one, config in given])
        except self._ray.exceptions.RayTaskError as error:
            raise UserError(
                "--cluster",
                f"a machine cannot begin: {error.cause}",
                "the machines need this checkout, and this folder, at the same path",
            ) from None

    def _dismiss(self, actors: Sequence[Any]) -> None:
        for actor in actors:
            self._ray.kill(actor)

    def _follow(self, actors: Sequence[Any]) -> str | None:
        ended = None
        while len(self._codes) < len(actors):
            for index, actor in enumerate(actors):
                try:
                    lines, code = self._ray.get(actor.poll.remote())
                except self._ray.exceptions.RayError:
                    return f"worker {index + 1} of {len(actors)} was lost with its machine"
                self._hear(index, lines, code)
            bad = [code for code in self._codes.values() if code]
            if bad and ended is None:
                ended = time.monotonic()
            if ended is not None and time.monotonic() - ended > _GRACE_S:
                break
            time.sleep(_POLL_S)
        return self._reason(len(actors))

    def _hear(self, index: int, lines: Sequence[str], code: int | None) -> None:
        self._last[index] = [*self._last.get(index, []), *lines][-_KEPT_LINES:]
        for line in lines:
            # Each tells what it cannot do, and the reason is told once, at the end.
            if index == 0 and not line.startswith(_ERROR):
                self._say(line)
        if code is not None:
            self._codes.setdefault(index, code)

    def _reason(self, workers: int) -> str | None:
        """Why training is not done; None when it is.

        Raises:
            UserError: It never will be: a worker names a user's mistake.
        """
        errors = {
            index: next((one for one in reversed(lines) if one.startswith(_ERROR)), "")
            for index, lines in self._last.items()
        }
        for index, code in self._codes.items():
            line = errors[index].removeprefix(_ERROR)
            if code == _MISTAKE and line and cluster.UNREACHABLE not in line:
                raise _WorkerMistakeError(line)
        for index, code in sorted(self._codes.items()):
            if code and cluster.UNREACHABLE not in errors[index]:
                words = f"signal {-code}" if code < 0 else f"exit code {code}"
                last = f", {self._last[index][-1]}" if code > 0 and self._last[index] else ""
                return f"worker {index + 1} of {workers} ended with {words}{last}"
        if any(self._codes.values()):
            return "the workers did not reach each other"
        return None

    def _stop(self, actors: Sequence[Any]) -> None:
        """Asks for a checkpoint."""
        asked = [actor.stop.remote() for actor in actors]
        self._ray.wait(asked, num_returns=len(asked), timeout=_STOPPING_S)


class _WorkerMistakeError(UserError):
    """What a worker said of a user's mistake, in its own words."""

    def __init__(self, line: str) -> None:
        super().__init__("", "", "")
        self.args = (line,)


class _Worker:
    """Runs `train` in a process of its own; a Ray actor."""

    def address(self) -> str:
        """Where the others reach the process."""
        import ray

        with socket.create_server(("", 0)) as free:
            return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"

    def start(self, command: Sequence[str], folder: str, config: str) -> None:
        """Begins to train.

        Args:
            command: Arguments of Python.
            folder: Where the user is.
            config: `TF_CONFIG`.
        """
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {cluster.VARIABLE: config, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
            errors="replace",
            preexec_fn=end_with_parent,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def poll(self) -> tuple[list[str], int | None]:
        """What it said since the last time, and its exit code if it has ended."""
        code = self._process.poll()
        if code is not None:
            self._reader.join()
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get())
        return lines, code

    def stop(self) -> None:
        """Has it write a checkpoint and end."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))


def _places(
    machines: Mapping[str, Mapping[str, Any]], cpus_per_worker: int
) -> list[dict[str, Any]]:
    """Ray's options for an actor in each place, one on each machine before a second on any."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    found: list[tuple[int, dict[str, Any]]] = []
    for node, facts in machines.items():
        cpus, gpus = (int(facts["Resources"].get(kind, 0)) for kind in ("CPU", "GPU"))
        each = min(cpus_per_worker or cpus, cpus)
        count = cpus // each if each else 0
        options = {
            "num_cpus": each,
            "num_gpus": gpus // count if count else 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
        }
        found += [(number, options) for number in range(count)]
    return [options for _, options in sorted(found, key=lambda one: one[0])]


def end_with_parent() -> None:
    """Has a process that is about to be started end with the one that starts it."""
    # A machine's loss is the end of all its processes; that of Ray alone is to be so too.
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
