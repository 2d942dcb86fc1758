"""The ranked table of a search."""

import math
from collections.abc import Sequence

from rich.table import Table

from roadmark.tuning import space
from roadmark.tuning.searching import Trial


def of(ranked: Sequence[Trial], metric: str, last: int) -> Table:
    """A row for each trial.

    Args:
        ranked: Best first.
        metric: What they are ranked by.
        last: The last step of a whole run.
    """
    table = Table(title="trials, the best first", title_justify="left")
    table.add_column("", justify="right")
    fields = sorted(ranked[0].fields)
    for head in (*fields, metric, "at step", "ended"):
        table.add_column(head, justify="left" if head == "ended" else "right", overflow="fold")
    for number, one in enumerate(ranked, start=1):
        values = [space.assigned("", one.fields[field]).removeprefix("=") for field in fields]
        value = "–" if math.isnan(one.value) else f"{one.value:.4f}"
        table.add_row(str(number), *values, value, str(one.step), _ended(one, last))
    return table


def _ended(trial: Trial, last: int) -> str:
    if trial.failure:
        return f"failed: {trial.failure}"
    return "whole run" if trial.reached >= last else f"stopped after step {trial.reached}"
