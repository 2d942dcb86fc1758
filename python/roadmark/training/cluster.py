"""The workers that train together, as TF_CONFIG describes them. Needs no TensorFlow."""

import dataclasses
import json
import os
from typing import Any

from roadmark.errors import UserError
from roadmark.training.options import TrainOptions

VARIABLE = "TF_CONFIG"
UNREACHABLE = "another worker cannot be reached"
"""What the others say when one is lost."""

_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)
# The first of these that a cluster has is its chief.
_JOBS = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes of one run and which of them this is.

    Attributes:
        workers: How many there are.
        index: Which one this is, from 0; 0 is the chief, which alone writes.
    """

    workers: int = 1
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this one writes checkpoints and metrics, and evaluates."""
        return self.index == 0


def here() -> Cluster:
    """The cluster that the environment describes; this process alone without TF_CONFIG.

    Raises:
        UserError: TF_CONFIG is not what TensorFlow expects.
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        return Cluster()
    try:
        found = json.loads(text)
        members, task = found["cluster"], found["task"]
        jobs = [job for job in _JOBS if job in members]
        earlier = jobs[: jobs.index(task["type"])]
        workers = sum(len(members[job]) for job in jobs)
        index = sum(len(members[job]) for job in earlier) + int(task["index"])
        if set(members) - set(_JOBS) or not 0 <= int(task["index"]) < len(members[task["type"]]):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise UserError(
            VARIABLE,
            f"found {text!r}, no cluster of chief and workers with a task in it",
            f"write it as {_EXAMPLE}",
        ) from None
    return Cluster(workers, index)


def check(cluster: Cluster, options: TrainOptions) -> None:
    """Refuses what several workers cannot agree on.

    Raises:
        UserError: There are several, and the options want what only one process can do.
    """
    if cluster.workers == 1:
        return
    for flag, is_set, cure in (
        ("--restart", options.restart, "remove the run folder, or choose another --model_dir"),
        ("--patience", options.patience, "leave it out; best/ is kept all the same"),
    ):
        if is_set:
            raise UserError(flag, f"not with {cluster.workers} workers", cure)


def lost(cluster: Cluster, reason: Any) -> UserError:
    """What the others say when a worker is not there any more."""
    return UserError(
        f"worker {cluster.index + 1} of {cluster.workers}",
        f"{UNREACHABLE}: {str(reason).splitlines()[0][:120]}",
        "the checkpoints are whole: repeat the command on every worker to resume",
    )
