"""The flags of an app that can share its work out among machines."""

import sys

from absl import flags

from roadmark.cluster.choice import Choice
from roadmark.cluster.jobs import JobResult

# They are the app's that has them defined, whose --help lists them.
flags.disclaim_key_flags()

_CLUSTER = "cluster"
_OURS = (_CLUSTER, "nodes", "workers", "cpus_per_worker", "tries")


def define(unit: str) -> flags.FlagHolder:
    """Defines `--cluster` and what goes with it.

    Args:
        unit: What is shared out, in words.

    Returns:
        The flag of the address, which is None where one machine does all itself.
    """
    flags.DEFINE_integer("nodes", 1, "Machines the cluster must have before work begins.", 1)
    flags.DEFINE_integer(
        "cpus_per_worker", 0, "Processors of each working process; 0: a process per machine.", 0
    )
    flags.DEFINE_integer("tries", 3, f"How often each of the {unit} is tried on a cluster.", 1)
    return _define_cluster(f"Share out {unit}: HOST:PORT of a Ray cluster, auto, or local.")


def define_workers() -> flags.FlagHolder:
    """Defines `--cluster` and what goes with it, for work that several machines do together.

    Returns:
        The flag of the address, which is None where one machine does all itself.
    """
    flags.DEFINE_integer("workers", 2, "On a cluster: machines that work together.", 1)
    flags.DEFINE_integer(
        "cpus_per_worker", 0, "On a cluster: processors of each worker; 0: a machine each.", 0
    )
    flags.DEFINE_integer("tries", 3, "On a cluster: how often to begin when workers are lost.", 1)
    return _define_cluster("Work together: HOST:PORT of a Ray cluster, auto, or local.")


def given_besides() -> list[str]:
    """The command line's flags, without those that this module defines."""
    every = (flags.FLAGS[name] for name in flags.FLAGS if name not in _OURS)
    found = {flag.name: flag for flag in every if flag.present}
    return [line for flag in found.values() for line in flag.serialize().splitlines()]


def choice() -> Choice:
    """What the flags say."""
    given = flags.FLAGS
    nodes = given.nodes if "nodes" in given else 1
    return Choice(given[_CLUSTER].value, nodes, given.cpus_per_worker, given.tries)


def end(result: JobResult) -> int:
    """Names what failed, a line each.

    Returns:
        The exit code: 2 if anything did.
    """
    for line in result.failures.values():
        print(f"error: {line}", file=sys.stderr)
    return 2 if result.failures else 0


def _define_cluster(text: str) -> flags.FlagHolder:
    defined = flags.DEFINE_string(_CLUSTER, None, text)
    others = {name: flags.FLAGS[name].default for name in _OURS[1:] if name in flags.FLAGS}
    flags.register_multi_flags_validator(
        [_CLUSTER, *others],
        lambda given: given[_CLUSTER] or all(given[name] == others[name] for name in others),
        message=f"--{', --'.join(others)} go with --cluster",
    )
    return defined
