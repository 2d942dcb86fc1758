"""What an evaluation found, and how it is shown: a table, JSON, TensorBoard."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from roadmark import atomic
from roadmark.evaluation.analysis import Analysis
from roadmark.evaluation.coco import BOXES, MASKS, CocoMetrics
from roadmark.evaluation.corruption import Robustness

_TITLES = {BOXES: "boxes", MASKS: "masks"}
# As object_detection/metrics/coco_tools.py names them, so that charts of both line up.
_TAG_PREFIXES = {BOXES: "DetectionBoxes_", MASKS: "DetectionMasks_"}
_TAGS = {
    "mAP": "Precision/mAP",
    "AP50": "Precision/mAP@.50IOU",
    "AP75": "Precision/mAP@.75IOU",
    "AP_small": "Precision/mAP (small)",
    "AP_medium": "Precision/mAP (medium)",
    "AP_large": "Precision/mAP (large)",
    "AR1": "Recall/AR@1",
    "AR10": "Recall/AR@10",
    "AR100": "Recall/AR@100",
    "AR_small": "Recall/AR@100 (small)",
    "AR_medium": "Recall/AR@100 (medium)",
    "AR_large": "Recall/AR@100 (large)",
}
SUMMARY_METRICS = tuple(_TAGS)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a model takes; None where that is not known.

    Attributes:
        parameters: Number of weights, batch norm's moving statistics aside.
        flops: Floating-point operations per picture, a multiplication and an addition counted as
            two.
        size_bytes: Of the files that inference needs, or of a checkpoint's weights without those
            of the optimizer.
        ms_per_image: Time per picture.
        timed: What was timed, and on what.
        gzipped_bytes: Of the same after gzip, where pruning left a tenth of them zero or more.
    """

    parameters: int | None = None
    flops: int | None = None
    size_bytes: int | None = None
    ms_per_image: float | None = None
    timed: str = ""
    gzipped_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        model: What was evaluated: a checkpoint or an exported folder.
        records: Files that were evaluated on, as the user named them.
        step: Training step of the weights; None of a file of detections.
        metrics: See `CocoMetrics`.
        losses: Mean over the pictures of each validation loss, by name; empty for an export.
        cost: What the model takes; nothing is known of a file of detections.
        robustness: Metrics on the same pictures made worse, where that was asked for.
    """

    model: str
    records: str
    step: int | None
    metrics: CocoMetrics
    losses: Mapping[str, float]
    cost: Cost = Cost()
    robustness: Sequence[Robustness] = ()


def title(evaluation: Evaluation) -> str:
    """The model and its step, for a heading."""
    return evaluation.model + ("" if evaluation.step is None else f", step {evaluation.step}")


def print_tables(evaluation: Evaluation, console: Console | None = None) -> None:
    """Prints the metrics, those of each class, and the losses."""
    console = console or Console()
    metrics = evaluation.metrics
    console.print(
        f"{title(evaluation)}: "
        f"{metrics.images} pictures with {metrics.objects} objects of {evaluation.records}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(_summary_table(metrics))
    for kind, rows in metrics.per_class.items():
        console.print(_class_table(_TITLES[kind], rows))
    if evaluation.losses:
        console.print(_loss_table(evaluation.losses))
    if evaluation.robustness:
        console.print(_robustness_table(evaluation))


def print_analysis(analysis: Analysis, console: Console | None = None) -> None:
    """Prints how sure mAP is, the best threshold of each class, and what mistakes cost."""
    console = console or Console()
    found = analysis.confidence
    interval = found.intervals["mAP"]
    console.print(
        f"mAP between {_shown(interval.low)} and {_shown(interval.high)} in {found.level:.0%} of "
        f"{found.resamples} samples of {found.units} {found.unit}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(_threshold_table(analysis))
    console.print(_error_table(analysis))


def write_json(evaluation: Evaluation, path: str | Path, analysis: Analysis | None = None) -> None:
    """Writes everything as JSON; a metric that no object bears on is null."""
    found = dataclasses.asdict(evaluation)
    if analysis is not None:
        found["analysis"] = dataclasses.asdict(analysis)
    content = without_nan(found)
    atomic.write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_scalars(evaluation: Evaluation, folder: str | Path) -> None:
    """Writes metrics and losses as TensorBoard scalars at the step of the weights.

    Args:
        evaluation: What to write.
        folder: A TensorBoard run; `eval` beside the training's own run puts validation and
            training losses into the same charts.
    """
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    values = [
        summary_pb2.Summary.Value(tag=tag, simple_value=value)
        for tag, value in scalars(evaluation).items()
    ]
    writer = EventFileWriter(str(folder))
    writer.add_event(
        event_pb2.Event(step=evaluation.step, summary=summary_pb2.Summary(value=values))
    )
    writer.close()


def scalars(evaluation: Evaluation) -> dict[str, float]:
    """Every metric that is defined, and every loss, by its TensorBoard tag."""
    values = dict(evaluation.losses)
    for kind, summary in evaluation.metrics.summary.items():
        for name, value in summary.items():
            values[_TAG_PREFIXES[kind] + _TAGS[name]] = value
    for kind, rows in evaluation.metrics.per_class.items():
        for name, row in rows.items():
            values[f"{_TAG_PREFIXES[kind]}PerformanceByCategory/mAP/{name}"] = row["AP"]
    return {tag: value for tag, value in values.items() if not math.isnan(value)}


def _summary_table(metrics: CocoMetrics) -> Table:
    table = Table(title="COCO metrics", title_justify="left")
    table.add_column("")
    for kind in metrics.summary:
        table.add_column(_TITLES[kind], justify="right")
    for name in _TAGS:
        table.add_row(name, *(_shown(summary[name]) for summary in metrics.summary.values()))
    return table


def _class_table(title: str, rows: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title=f"per class ({title})", title_justify="left")
    for column in ("class", "objects", "AP", "AP50", "AR100"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for name, row in rows.items():
        values = (_shown(row[key]) for key in ("AP", "AP50", "AR100"))
        table.add_row(name, str(row["objects"]), *values)
    return table


def _loss_table(losses: Mapping[str, float]) -> Table:
    table = Table(title="validation losses", title_justify="left")
    table.add_column("loss")
    table.add_column("mean", justify="right")
    for name, value in losses.items():
        table.add_row(name, f"{value:.4f}")
    return table


def _robustness_table(evaluation: Evaluation) -> Table:
    table = Table(title="pictures made worse", title_justify="left")
    table.add_column("corruption")
    for column in ("severity", "mAP", "AP50"):
        table.add_column(column, justify="right")
    clean = evaluation.metrics.summary[BOXES]
    table.add_row("none", "0", _shown(clean["mAP"]), _shown(clean["AP50"]))
    for one in evaluation.robustness:
        kind, severity = one.corruption.kind, str(one.corruption.severity)
        table.add_row(kind, severity, _shown(one.mAP), _shown(one.AP50))
    return table


def _threshold_table(analysis: Analysis) -> Table:
    table = Table(title="the score threshold with the best F1", title_justify="left")
    table.add_column("class")
    for column in ("threshold", "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for name, curve in analysis.curves.items():
        best = curve.best
        values = (best.threshold, best.precision, best.recall, best.f1)
        table.add_row(name, *(_shown(value) for value in values))
    return table


def _error_table(analysis: Analysis) -> Table:
    table = Table(title="kinds of mistakes (TIDE)", title_justify="left")
    table.add_column("kind")
    table.add_column("number", justify="right")
    table.add_column("AP50 lost", justify="right")
    for kind, count in analysis.errors.counts.items():
        table.add_row(kind, str(count), _shown(analysis.errors.costs[kind]))
    return table


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def without_nan(value: Any) -> Any:
    """A tree for JSON, with None for NaN."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
