"""A comparison as one HTML file, without scripts and without anything to load, and as JSON."""

import base64
import dataclasses
import html
import json
import math
from collections.abc import Sequence
from pathlib import Path

from roadmark import atomic
from roadmark.comparison import disagreement_pictures, table
from roadmark.comparison.comparing import Comparison, Disagreement, RunResult
from roadmark.evaluation import (
    average_precision,
    charts,
    curves,
    evaluation,
    figures,
    history,
    page,
    set_ups,
)
from roadmark.evaluation.charts import Series
from roadmark.evaluation.coco import BOXES
from roadmark.evaluation.figures import Figure
from roadmark.evaluation.history import History
from roadmark.evaluation.records import Selection


def write_json(comparison: Comparison, path: Path) -> None:
    """Writes all but the pictures; what is not known is null."""
    names = table.names(comparison)
    results = [
        {
            "name": one.run.name,
            "detections": str(one.run.detections),
            "step": one.run.step,
            "metrics": dataclasses.asdict(one.metrics),
            "sizes": one.sizes,
            "intervals": {key: dataclasses.asdict(value) for key, value in one.intervals.items()},
            "training_loss": one.run.training_loss,
            "losses": one.run.losses,
            "gap": one.run.gap,
            "cost": dataclasses.asdict(one.run.cost),
            "train_hours": one.run.train_hours,
        }
        for one in comparison.results
    ]
    differences = [
        {
            "first": names[one.first],
            "second": names[one.second],
            "metric": one.metric,
            "value": one.value,
            "interval": dataclasses.asdict(one.interval),
            "is_real": one.is_real,
        }
        for one in comparison.differences
    ]
    disagreements = [
        {
            "picture": one.picture,
            "runs": {
                name: {
                    "right": len(verdict.right),
                    "wrong": len(verdict.wrong),
                    "missed": len(verdict.missed),
                }
                for name, verdict in zip(names, one.verdicts, strict=True)
            },
        }
        for one in comparison.disagreements
    ]
    kept = ("records", "pictures", "objects", "unit", "units", "resamples", "seed", "notes")
    content = {name: getattr(comparison, name) for name in kept} | {
        "runs": results,
        "differences": differences,
        "settings": {
            one.path: dict(zip(names, one.values, strict=True)) for one in comparison.settings
        },
        "disagreements": disagreements,
    }
    text = json.dumps(evaluation.without_nan(content), indent=2, allow_nan=False)
    atomic.write_text(path, text + "\n")


def write(comparison: Comparison, selection: Selection, path: Path) -> None:
    """Writes the report.

    Args:
        comparison: What to show.
        selection: Its records, for the pictures.
        path: The .html file.

    Raises:
        UserError: A record is damaged or its picture cannot be decoded.
    """
    sections = [
        _head(comparison),
        _differences(comparison),
        _training(comparison),
        _curves(comparison),
        _parts(comparison),
        _settings(comparison),
        _disagreements(comparison, selection),
    ]
    title = " | ".join(table.names(comparison))
    atomic.write_text(path, page.document(title, sections))


def _head(comparison: Comparison) -> str:
    notes = "".join(f"<p><b>Note:</b> {html.escape(note)}.</p>" for note in comparison.notes)
    timed = "; ".join(table.timed(comparison.results))
    about = (
        "Bold is the best. Losses are totals: training is the mean of the last tenth of the rows "
        "of metrics.csv, validation is on these pictures, the gap is validation less training. "
        "FLOPs count a multiplication and an addition as two; parameters leave out batch norm's "
        f"moving statistics. Training hours are those in steps. {timed}".strip()
    )
    return (
        f"<h1>{html.escape(', '.join(table.names(comparison)))}</h1>"
        f'<p class="about">{comparison.pictures} pictures with {comparison.objects} objects of '
        f"{html.escape(comparison.records)}</p>{notes}"
        + page.boxed(_figures(comparison, "", table.figures(comparison)))
        + f"<p>{html.escape(about)}.</p>"
    )


def _figures(comparison: Comparison, what: str, rows: Sequence[Figure]) -> str:
    return figures.as_html(table.names(comparison), rows, what)


def _differences(comparison: Comparison) -> str:
    names = table.names(comparison)
    rows = [
        [
            f"{names[one.second]} less {names[one.first]}",
            one.metric,
            _signed(one.value),
            table.verdict(one),
            f"{_signed(one.interval.low)} to {_signed(one.interval.high)}",
        ]
        for one in comparison.differences
    ]
    doubt = "" if comparison.units >= 10 else " These are too few to trust the intervals."
    return (
        "<h2>Which differences are real?</h2>"
        f"<p>The same {comparison.units} {comparison.unit} are drawn with replacement for both "
        f"runs, {comparison.resamples} times (paired bootstrap). A difference is called real when "
        "95% of the samples' differences lie on one side of zero; of twenty such calls about "
        f"equal models one is wrong.{doubt} It speaks of other pictures, not of other training "
        "seeds.</p>"
        + page.boxed(
            page.table(["runs", "metric", "difference", "verdict", "95% of samples"], rows)
        )
    )


def _training(comparison: Comparison) -> str:
    return history.section([_history(one) for one in comparison.results])


def _history(one: RunResult) -> History:
    run = one.run
    found = History(run.name, run.training, run.validation)
    return found.with_evaluation(run.step, run.validation_loss, one.metrics.summary[BOXES]["mAP"])


def _curves(comparison: Comparison) -> str:
    recalls, thresholds = average_precision.RECALLS.tolist(), curves.THRESHOLDS.tolist()
    precision = [
        Series(one.run.name, list(zip(recalls, one.precision, strict=True)), colour=number)
        for number, one in enumerate(comparison.results)
    ]
    f1 = [
        Series(one.run.name, list(zip(thresholds, one.f1, strict=True)), colour=number)
        for number, one in enumerate(comparison.results)
    ]
    return (
        "<h2>Precision, recall, F1</h2>"
        "<p>At an IoU of 0.5, mean over the classes; the area below precision is AP50.</p>"
        '<div class="charts">'
        + page.boxed(charts.lines("precision over recall", "recall", "precision", precision))
        + page.boxed(charts.lines("F1 over score threshold", "score threshold", "F1", f1))
        + "</div>"
    )


def _parts(comparison: Comparison) -> str:
    return (
        "<h2>By class and by size</h2>"
        "<p>In brackets the number of objects. Sizes: the side, in pixels of the picture, of a "
        "square as large as the box.</p>"
        '<div class="charts">'
        + page.boxed(_figures(comparison, "AP of a class", table.class_figures(comparison)))
        + page.boxed(_figures(comparison, "AP50 by size", table.size_figures(comparison)))
        + "</div>"
    )


def _settings(comparison: Comparison) -> str:
    about = "Fields of the configs as run, the recipes and the versions, of the runs that have any."
    return set_ups.section(table.names(comparison), comparison.settings, about)


def _disagreements(comparison: Comparison, selection: Selection) -> str:
    files = disagreement_pictures.jpegs(comparison.disagreements, selection)
    parts = [
        _pictures(comparison, one, own)
        for one, own in zip(comparison.disagreements, files, strict=True)
    ]
    legend = "".join(
        f'<span><i style="background:rgb{colour}"></i>{what}</span>'
        for colour, what in (
            (disagreement_pictures.RIGHT_COLOUR, "right"),
            (disagreement_pictures.WRONG_COLOUR, "wrong"),
            (disagreement_pictures.MISSED_COLOUR, "missed"),
        )
    )
    body = f'<p class="legend">{legend}</p>{"".join(parts)}' if parts else "<p>Nowhere.</p>"
    return (
        "<h2>Where they disagree</h2>"
        "<p>The pictures in which the numbers of mistakes differ most, at the best threshold of "
        f"each run and class and an IoU of 0.5; two of a drive at most.</p>{body}"
    )


def _pictures(comparison: Comparison, one: Disagreement, files: Sequence[bytes]) -> str:
    figures = "".join(
        f'<figure><img class="whole" alt="" '
        f'src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption><b>{html.escape(name)}</b>: {len(verdict.right)} right, "
        f"{len(verdict.wrong)} wrong, {len(verdict.missed)} missed</figcaption></figure>"
        for name, verdict, data in zip(table.names(comparison), one.verdicts, files, strict=True)
    )
    return f'<h3>{html.escape(one.picture)}</h3><div class="sheet wide">{figures}</div>'


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.4f}"
