"""The figures of a comparison, a row each, for the terminal, the page and JSON alike."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from roadmark.comparison.comparing import Comparison, RunResult
from roadmark.evaluation.bootstrap import Difference
from roadmark.evaluation.coco import BOXES
from roadmark.evaluation.evaluation import Cost
from roadmark.evaluation.figures import Figure, as_table, scaled

_METRICS = ("mAP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100")


def figures(comparison: Comparison) -> list[Figure]:
    """All rows."""
    results = comparison.results
    rows = [
        Figure(name, [one.metrics.summary[BOXES][name] for one in results], 4, "max")
        for name in _METRICS
    ]
    costs = [one.run.cost for one in results]
    return [
        *rows,
        Figure("training loss", [one.run.training_loss for one in results], 4, ""),
        Figure("validation loss", [one.run.validation_loss for one in results], 4, ""),
        Figure("over-fitting gap", [one.run.gap for one in results], 4, ""),
        Figure("parameters, million", [scaled(c.parameters, 1e6) for c in costs], 2, "min"),
        Figure("GFLOPs per picture", [scaled(c.flops, 1e9) for c in costs], 2, "min"),
        Figure("size, MB", [scaled(c.size_bytes, 1e6) for c in costs], 2, "min"),
        *_pruned(costs),
        Figure("ms per picture", [scaled(c.ms_per_image, 1) for c in costs], 1, "min"),
        Figure("training, hours", [one.run.train_hours for one in results], 2, "min"),
        Figure("steps", [scaled(one.run.step, 1) for one in results], 0, ""),
    ]


def _pruned(costs: Sequence[Cost]) -> list[Figure]:
    sizes = [scaled(one.gzipped_bytes, 1e6) for one in costs]
    if all(map(math.isnan, sizes)):
        return []
    return [Figure("size after gzip, MB", sizes, 2, "")]


def class_figures(comparison: Comparison) -> list[Figure]:
    """AP of each class."""
    rows = [one.metrics.per_class[BOXES] for one in comparison.results]
    return [
        Figure(
            f"AP {name} ({rows[0][name]['objects']})", [row[name]["AP"] for row in rows], 4, "max"
        )
        for name in rows[0]
    ]


def size_figures(comparison: Comparison) -> list[Figure]:
    """AP50 of objects of each size."""
    rows = [one.sizes for one in comparison.results]
    return [
        Figure(
            f"{name} ({rows[0][name]['objects']})", [row[name]["AP50"] for row in rows], 4, "max"
        )
        for name in rows[0]
    ]


def verdict(difference: Difference) -> str:
    """Whether a difference is real, in words."""
    if math.isnan(difference.interval.low):
        return "cannot be told"
    if not difference.is_real:
        return "may be chance"
    return "real"


def names(comparison: Comparison) -> list[str]:
    """Of the runs."""
    return [one.run.name for one in comparison.results]


def timed(results: Sequence[RunResult]) -> list[str]:
    """What was timed of each run, once where it is the same for all."""
    texts = {one.run.name: one.run.cost.timed for one in results if one.run.cost.timed}
    if len(set(texts.values())) <= 1:
        return [f"ms per picture: {text}" for text in set(texts.values())]
    return [f"ms per picture of {name}: {text}" for name, text in texts.items()]


def print_tables(comparison: Comparison, console: Console | None = None) -> None:
    """Prints the figures and the differences."""
    console = console or Console()
    for note in comparison.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True, markup=False)
    console.print(
        f"{comparison.pictures} pictures with {comparison.objects} objects of {comparison.records}",
        highlight=False,
        soft_wrap=True,
    )
    rows = (*figures(comparison), *class_figures(comparison))
    console.print(as_table(names(comparison), rows))
    console.print(_differences(comparison))
    console.print(f"fields of config, recipe and versions that differ: {len(comparison.settings)}")


def _differences(comparison: Comparison) -> Table:
    title = f"differences (bootstrap over {comparison.units} {comparison.unit})"
    table = Table(title=title, title_justify="left")
    for head in ("runs", "metric", "difference", "95% interval", ""):
        table.add_column(head, justify="left" if head in ("runs", "metric", "") else "right")
    shown = names(comparison)
    for one in comparison.differences:
        table.add_row(
            escape(f"{shown[one.second]} less {shown[one.first]}"),
            one.metric,
            f"{one.value:+.4f}",
            f"{one.interval.low:+.4f} to {one.interval.high:+.4f}",
            verdict(one),
        )
    return table
