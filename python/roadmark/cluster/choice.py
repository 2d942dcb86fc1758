"""How a user wants a cluster to be used."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Choice:
    """How a cluster is used.

    Attributes:
        address: As `joining.joined` takes it.
        nodes: How many machines it must have before the work begins.
        cpus_per_worker: Processors of each process that works; 0 for one process on each machine,
            or one for each GPU of it.
        tries: How often a task is begun before it counts as failed.
        wait_s: How long to wait for machines, and for processors that are free.
    """

    address: str
    nodes: int = 1
    cpus_per_worker: int = 0
    tries: int = 3
    wait_s: float = 120.0
