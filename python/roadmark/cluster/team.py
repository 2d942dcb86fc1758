"""The processes of a cluster that work on one job, and which of them has which task."""

import collections
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from roadmark.cluster import joining
from roadmark.cluster.choice import Choice
from roadmark.cluster.task import Outcome, Task
from roadmark.cluster.worker import ASKING
from roadmark.errors import UserError
from roadmark.progress import State

# How often machines that have come are looked for.
_LOOK_S = 2.0
# How often those who have been at a task for so long are asked how far they are.
_ASK_S = 10.0
_PAUSE_S = 0.1
Hire = Callable[[Mapping[str, Any]], Any]
"""Makes an actor of `Worker` with Ray's options for it."""
Heard = Callable[[Mapping[str, State]], None]
"""Is told how far tasks under way are, by their names."""

_BEGINNING, _LOADING, _IDLE, _WORKING = range(4)


@dataclasses.dataclass
class _Member:
    """A process.

    Attributes:
        actor: As Ray knows it.
        node: Id of its machine.
        state: What it is about.
        task: What it works on.
        since: When it was given that, by `time.monotonic`.
        state_of_task: How far it was with that when it was last heard of.
    """

    actor: Any
    node: str
    state: int = _BEGINNING
    task: Task | None = None
    since: float = 0.0
    state_of_task: State | None = None


class Team:
    """Has tasks done by actors on all machines of a cluster, and replaces those that are lost.

    Args:
        ray: As `joining.joined` gives it.
        hire: Begins a process.
        choice: How to use the cluster.
        say: Is told what is lost, in lines.
    """

    def __init__(self, ray: Any, hire: Hire, choice: Choice, say: Callable[[str], None]) -> None:
        self._ray, self._hire, self._say = ray, hire, say
        self._cpus, self._tries = choice.cpus_per_worker, choice.tries
        self._wait_s = choice.wait_s
        self._members: list[_Member] = []
        self._answers: dict[Any, _Member] = {}
        # Those who are to say how far they are.
        self._asked: dict[Any, _Member] = {}
        self._last_asked = time.monotonic()
        self._begun: collections.Counter[str] = collections.Counter()
        # Machines that cannot work, and why; how often a process was lost before it could.
        self._refusals: dict[str, str] = {}
        self._losses: collections.Counter[str] = collections.Counter()
        self._names: dict[str, str] = {}
        self._looked = -_LOOK_S
        self._worked = time.monotonic()

    def work(self, tasks: Sequence[Task], heard: Heard) -> Iterator[tuple[Task, Outcome]]:
        """Yields each task with what came of it, as they end.

        Args:
            tasks: What is to be done.
            heard: Is told now and then how far those are that take longer.

        Raises:
            UserError: No machine can work, or none has been free for too long.
        """
        waiting, left = collections.deque(tasks), len(tasks)
        while left:
            self._look(left)
            self._hand_out(waiting)
            self._ask(heard)
            if not self._answers:
                time.sleep(_PAUSE_S)
                continue
            ready, _ = self._ray.wait([*self._answers, *self._asked], timeout=_LOOK_S)
            for answer in ready:
                if answer in self._asked:
                    self._hear(answer, heard)
                    continue
                member = self._answers.pop(answer)
                task, outcome = member.task, self._outcome(answer, member)
                if task is None or outcome is None:
                    continue
                if outcome.failure and outcome.may_pass and self._begun[task.name] < self._tries:
                    self._say(f"{task.name}: {outcome.failure}; trying again")
                    waiting.appendleft(task)
                    continue
                left -= 1
                yield task, self._final(task, outcome)

    def end(self) -> None:
        """Ends the processes, whatever they are about."""
        for member in self._members:
            self._ray.kill(member.actor)

    def _look(self, left: int) -> None:
        """Has processes on machines that have none."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            machines = joining.alive(self._ray)
            for node, facts in machines.items():
                self._names[node] = f"{facts['NodeManagerAddress']} ({node[:6]})"
                self._recruit(node, facts["Resources"], left)
            self._require_work(machines)

    def _recruit(self, node: str, resources: Mapping[str, float], left: int) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
        if not cpus or node in self._refusals:
            return
        each = min(self._cpus or cpus, cpus)
        count = gpus or cpus // each
        here = sum(member.node == node for member in self._members)
        for _ in range(here, count):
            if len(self._members) >= left:
                return
            options = {
                "num_cpus": max(1, cpus // gpus) if gpus else each,
                "num_gpus": 1 if gpus else 0,
                "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
            }
            member = _Member(self._hire(options), node)
            self._members.append(member)
            self._answers[member.actor.begin.remote()] = member

    def _require_work(self, machines: Mapping[str, Any]) -> None:
        """Raises UserError when nothing is going on, and nothing will."""
        if any(member.state != _BEGINNING for member in self._members):
            self._worked = time.monotonic()
            return
        refused = [why for node, why in self._refusals.items() if node in machines]
        if refused and not self._members:
            raise UserError(
                "--cluster",
                f"none of {len(machines)} machines can work: {refused[0]}",
                "put that right on the machines, which need this checkout at this path",
            )
        if time.monotonic() - self._worked > self._wait_s:
            want = f"{self._cpus} free processors" if self._cpus else "all its processors free"
            raise UserError(
                "--cluster",
                f"none of {len(machines)} machines had {want} for {self._wait_s:g} s",
                "see what they do with: ray status; and repeat the command",
            )

    def _hand_out(self, waiting: collections.deque[Task]) -> None:
        for member in self._members:
            if waiting and member.state == _IDLE:
                member.task, member.state = waiting.popleft(), _WORKING
                member.since, member.state_of_task = time.monotonic(), None
                self._begun[member.task.name] += 1
                self._answers[member.actor.run.remote(member.task)] = member

    def _ask(self, heard: Heard) -> None:
        """Asks those who have been at a task for a while, but for who has not answered yet."""
        now = time.monotonic()
        if now - self._last_asked < _ASK_S:
            return
        self._last_asked = now
        if self._asked:
            self._tell(heard)
        silent = [id(member) for member in self._asked.values()]
        for member in self._members:
            is_at_it = member.state == _WORKING and now - member.since >= _ASK_S
            if is_at_it and id(member) not in silent:
                question = member.actor.how_far.options(concurrency_group=ASKING).remote()
                self._asked[question] = member
        if not self._asked:
            self._tell(heard)

    def _hear(self, answer: Any, heard: Heard) -> None:
        member = self._asked.pop(answer)
        try:
            found = self._ray.get(answer)
        except self._ray.exceptions.RayError:
            found = None  # What became of its task is told by another answer.
        if found is not None and member.task is not None and found[0] == member.task.name:
            member.state_of_task = found[1]
        if not self._asked:
            self._tell(heard)

    def _tell(self, heard: Heard) -> None:
        known = [one for one in self._members if one.task and one.state_of_task]
        heard({one.task.name: one.state_of_task for one in known})

    def _outcome(self, answer: Any, member: _Member) -> Outcome | None:
        """What a process says; None when that is about itself, and not a task."""
        try:
            outcome = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            return self._lost(member, error)
        if member.state == _BEGINNING:
            member.state = _LOADING
            self._answers[member.actor.load.remote()] = member
            return None
        if member.state == _LOADING and outcome.failure:
            self._refuse(member, outcome.failure)
            return None
        member.state, member.task = _IDLE, None
        if outcome.may_pass:
            # Nobody knows what an exception that was not foreseen has left in the process.
            self._dismiss(member)
        return outcome

    def _lost(self, member: _Member, error: Exception) -> Outcome | None:
        """What came of the task of a process that has ended, if it had one."""
        where = self._names[member.node]
        self._dismiss(member)
        if member.task is not None:
            return Outcome(failure=f"its process on {where} was lost", may_pass=True)
        self._losses[member.node] += 1
        if self._losses[member.node] >= self._tries:
            self._refusals[member.node] = f"{where}: {_line(error)}"
        return None

    def _refuse(self, member: _Member, why: str) -> None:
        where = self._names[member.node]
        if member.node not in self._refusals:
            self._refusals[member.node] = f"{where}: {why}"
            self._say(f"{where} cannot work: {why}")
        self._dismiss(member)

    def _dismiss(self, member: _Member) -> None:
        self._members.remove(member)
        self._ray.kill(member.actor)

    def _final(self, task: Task, outcome: Outcome) -> Outcome:
        if not outcome.failure or not outcome.may_pass:
            return outcome
        return dataclasses.replace(
            outcome, failure=f"{task.name}: begun {self._tries} times; {outcome.failure}"
        )


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
