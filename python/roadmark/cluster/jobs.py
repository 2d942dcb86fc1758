"""Shares tasks out among the machines of a cluster, and goes on when one of them is lost."""

import dataclasses
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from roadmark import progress
from roadmark.cluster import joining, outputs, receipts
from roadmark.cluster.choice import Choice
from roadmark.cluster.task import MakeWork, Outcome, Task
from roadmark.cluster.team import Hire, Team
from roadmark.cluster.worker import ASKING, Worker

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        what: In words, for the progress, such as `annotating`.
        unit: The tasks in words, such as `videos`.
        make: See `MakeWork`.
        out: Folder for the results: a path that all machines see, or an address in a bucket.
        settings: What results depend on besides the sources; JSON can hold it.
        told: A task's facts in words.
        gives_back: Whether this process writes the results, which are small, and not who works;
            `out` need be here alone then.
    """

    what: str
    unit: str
    make: MakeWork
    out: str
    settings: Mapping[str, Any]
    told: Callable[[Mapping[str, Any]], str]
    gives_back: bool = False


@dataclasses.dataclass(frozen=True)
class JobResult:
    """What came of a job.

    Attributes:
        facts: Of each task that is done, by its name, in the order of the tasks.
        before: How many were done by earlier commands.
        failures: One line for each task that failed, by its name.
    """

    facts: Mapping[str, Mapping[str, Any]]
    before: int
    failures: Mapping[str, str]


def run(job: Job, tasks: Sequence[Task], choice: Choice, say: Say = print) -> JobResult:
    """Does what is missing of a job.

    Each process works on one task at a time. A task whose process or machine is lost, or that fails
    in a way that may pass, is begun again on another, or a new one; one that fails for good does
    not hold up the others. Machines that join meanwhile get work too. How far tasks are that take
    longer is shown beside the progress of the whole, where the work tells by `progress.track`.

    Args:
        job: The job.
        tasks: Its tasks; names differ.
        choice: The cluster.
        say: Is told of each task, in a line.

    Raises:
        UserError: The cluster cannot be reached, has too few machines, or none of them can work.
    """
    command, settings = uuid.uuid4().hex[:12], receipts.digest(job.settings)
    place = outputs.at(job.out, command)
    place.check_writable()
    done = receipts.finished(place, tasks, settings)
    missing = [task for task in tasks if task.name not in done]
    if done:
        say(f"{len(done)} of {len(tasks)} {job.unit} are done: going on with the others")
    if not missing:
        return JobResult({task.name: done[task.name] for task in tasks}, len(done), {})
    failures: dict[str, str] = {}
    with joining.joined(choice.address) as ray:
        joining.wait_for_nodes(ray, choice.address, choice.nodes, choice.wait_s)
        team = Team(ray, _hiring(ray, job, command, settings), choice, say)
        try:
            with progress.track(job.what, len(tasks), job.unit, len(done)) as meter:
                for task, outcome in team.work(missing, meter.show_parts):
                    for name, content in outcome.files.items():
                        place.write(name, content)
                    meter.advance()
                    _tell(job, task, outcome, say)
                    if outcome.failure:
                        failures[task.name] = outcome.failure
                    else:
                        done[task.name] = outcome.facts
        finally:
            team.end()
            place.clean()
    facts = {task.name: done[task.name] for task in tasks if task.name in done}
    return JobResult(facts, len(tasks) - len(missing), failures)


def _hiring(ray: Any, job: Job, command: str, settings: str) -> Hire:
    place = None if job.gives_back else job.out
    given = (job.make, os.getcwd(), place, command, settings)
    hired = ray.remote(concurrency_groups={ASKING: 1})(Worker)
    return lambda options: hired.options(**options).remote(*given)


def _tell(job: Job, task: Task, outcome: Outcome, say: Say) -> None:
    if outcome.failure:
        say(f"{task.name}: failed")
    else:
        say(f"{task.name}: {job.told(outcome.facts)} in {outcome.seconds:.1f} s")
