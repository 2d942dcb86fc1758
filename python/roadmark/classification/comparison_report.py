"""A comparison of classifiers for the terminal, as one HTML file, and as JSON."""

import dataclasses
import html
import json
import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from roadmark import atomic
from roadmark.classification import pictures, report
from roadmark.classification.comparing import RESAMPLES, Comparison, Difference
from roadmark.classification.predictions import Prediction
from roadmark.classification.scoring import LEVEL
from roadmark.evaluation import charts, evaluation, figures, page, set_ups
from roadmark.evaluation.charts import Axes, Series
from roadmark.evaluation.figures import Figure, scaled

_MOST_CLASSES = 40
_HEADS = ("runs", "metric", "difference", "verdict", "95% of samples", "only one is right", "p")
# Of these, what a terminal has room for.
_SHOWN = 5


def print_tables(comparison: Comparison, console: Console | None = None) -> None:
    """Prints the figures and the differences."""
    console = console or Console()
    for note in comparison.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True, markup=False)
    console.print(_about(comparison), highlight=False, soft_wrap=True)
    rows = (*_figures(comparison), *_class_figures(comparison))
    console.print(figures.as_table(_names(comparison), rows))
    table = Table(title="differences on the same pictures", title_justify="left")
    for head in _HEADS[:_SHOWN]:
        table.add_column(head, justify="left" if head in ("runs", "metric", "verdict") else "right")
    for one in comparison.differences:
        table.add_row(*(escape(cell) for cell in _cells(comparison, one)[:_SHOWN]))
    console.print(table)
    console.print(f"fields of the set-ups that differ: {len(comparison.settings)}")


def write_json(comparison: Comparison, path: Path) -> None:
    """Writes all but the pictures; what is not known is null."""
    names = _names(comparison)
    content = {
        "split": comparison.split,
        "pictures": comparison.pictures,
        "classes": dict(comparison.classes),
        "notes": list(comparison.notes),
        "runs": [
            {
                "name": one.run.name,
                "class_set": str(one.run.class_set),
                "data_version": one.run.data_version,
                "accuracy": dataclasses.asdict(one.accuracy),
                "top_5_accuracy": dataclasses.asdict(one.top_5),
                "loss": one.loss,
                "recall": dict(one.recall),
                "best_epoch": one.run.best_epoch,
                "gap": one.run.best.gap if one.run.best else math.nan,
                "cost": dataclasses.asdict(one.run.cost),
                "train_seconds": one.run.train_seconds,
            }
            for one in comparison.results
        ],
        "differences": [
            dataclasses.asdict(one)
            | {"first": names[one.first], "second": names[one.second], "is_real": one.is_real}
            for one in comparison.differences
        ],
        "settings": {
            one.path: dict(zip(names, one.values, strict=True)) for one in comparison.settings
        },
        "disagreements": [
            {name: _said(one) for name, one in zip(names, own, strict=True)} | {"picture": key}
            for key, own in _disagreeing(comparison)
        ],
    }
    text = json.dumps(evaluation.without_nan(content), indent=2, allow_nan=False)
    atomic.write_text(path, text + "\n")


def write(comparison: Comparison, path: Path) -> None:
    """Writes the report.

    Args:
        comparison: What to show.
        path: The .html file.

    Raises:
        UserError: A picture that is there cannot be decoded.
    """
    names = _names(comparison)
    about = "Fields of the configs, and what the runs began with."
    sections = [
        _head(comparison),
        _differences(comparison),
        _training(comparison),
        _coverage(comparison),
        _classes(comparison),
        set_ups.section(names, comparison.settings, about),
        _disagreements(comparison),
    ]
    atomic.write_text(path, page.document(" | ".join(names), sections))


def _names(comparison: Comparison) -> list[str]:
    return [one.run.name for one in comparison.results]


def _about(comparison: Comparison) -> str:
    return (
        f"{comparison.pictures} pictures of {len(comparison.classes)} classes, split "
        f"{comparison.split}"
    )


def _figures(comparison: Comparison) -> list[Figure]:
    results = comparison.results
    best = [one.run.best for one in results]
    costs = [one.run.cost for one in results]
    return [
        Figure("top-1", [one.accuracy.value for one in results], 4, "max"),
        Figure("top-1, from", [one.accuracy.low for one in results], 4, ""),
        Figure("top-1, to", [one.accuracy.high for one in results], 4, ""),
        Figure("top-5", [one.top_5.value for one in results], 4, "max"),
        Figure("cross-entropy, nats", [one.loss for one in results], 4, "min"),
        Figure("over-fitting gap", [one.gap if one else math.nan for one in best], 4, ""),
        Figure("parameters, million", [scaled(c.parameters, 1e6) for c in costs], 2, "min"),
        Figure("size, MB", [scaled(c.size_bytes, 1e6) for c in costs], 2, "min"),
        Figure("ms per picture", [scaled(c.ms_per_image, 1) for c in costs], 1, "min"),
        Figure("training, minutes", [one.run.train_seconds / 60 for one in results], 1, "min"),
        Figure("epochs", [float(len(one.run.epochs)) for one in results], 0, ""),
        Figure("best epoch", [float(one.run.best_epoch) for one in results], 0, ""),
    ]


def _class_figures(comparison: Comparison) -> list[Figure]:
    """Recall of each class; of many classes, those on which the runs differ most."""
    rows = [
        Figure(f"recall {name} ({count})", [one.recall[name] for one in comparison.results], 3,
               "max")
        for name, count in comparison.classes.items()
    ]  # fmt: skip
    if len(rows) > _MOST_CLASSES:
        rows.sort(key=lambda row: min(row.values) - max(row.values))
    return rows[:_MOST_CLASSES]


def _cells(comparison: Comparison, one: Difference) -> list[str]:
    names = _names(comparison)
    return [
        f"{names[one.second]} less {names[one.first]}",
        one.metric,
        f"{one.value:+.4f}",
        "real" if one.is_real else "may be chance",
        f"{one.interval.low:+.4f} to {one.interval.high:+.4f}",
        f"{one.only_second} against {one.only_first}",
        f"{one.p:.2g}",
    ]


def _head(comparison: Comparison) -> str:
    names = _names(comparison)
    notes = "".join(f"<p><b>Note:</b> {html.escape(note)}.</p>" for note in comparison.notes)
    timed = {one.run.name: one.run.cost.timed for one in comparison.results if one.run.cost.timed}
    said = "; ".join(f"{name}: {text}" for name, text in timed.items())
    if len(set(timed.values())) == 1:
        said = next(iter(timed.values()))
    return (
        f"<h1>{html.escape(', '.join(names))}</h1>"
        f'<p class="about">{_about(comparison)}</p>{notes}'
        + page.boxed(figures.as_html(names, _figures(comparison)))
        + f"<p>Bold is the best. Top-1 lies from … to … in {LEVEL:.0%} of samples of this size "
        "(Wilson). The over-fitting gap is training accuracy (with augmentation and dropout) less "
        "validation accuracy, at the best epoch. Parameters leave out batch norm's moving "
        "statistics, size is that of the weights. Training minutes are those in steps. ms per "
        f"picture: {html.escape(said or 'not known')}.</p>"
    )


def _differences(comparison: Comparison) -> str:
    rows = [_cells(comparison, one) for one in comparison.differences]
    return (
        "<h2>Which differences are real?</h2>"
        "<p>Only pictures that one of two runs has right and the other wrong tell them apart. p is "
        "the chance of so unequal numbers of these, were both equally good (McNemar's exact test); "
        f"below {1 - LEVEL:.2f} a difference is called real, and of twenty such calls about equal "
        f"models one is wrong. The interval is of {RESAMPLES:,} samples of the pictures (paired "
        "bootstrap). All speaks of other pictures, not of other training seeds.</p>"
        + page.boxed(page.table(_HEADS, rows))
    )


def _training(comparison: Comparison) -> str:
    losses, accuracies = [], []
    for number, one in enumerate(comparison.results):
        epochs, best, name = one.run.epochs, one.run.best, one.run.name
        for lines, trained, validated in (
            (losses, "loss", "val_loss"),
            (accuracies, "accuracy", "val_accuracy"),
        ):
            points = [(float(e.number), getattr(e, validated)) for e in epochs]
            mark = (float(best.number), getattr(best, validated)) if best else None
            lines.append(Series(name, points, mark, number))
            points = [(float(e.number), getattr(e, trained)) for e in epochs]
            lines.append(Series(name, points, None, number, is_dashed=True))
    fitted = charts.fitting(losses)
    # A first epoch's losses would press the rest to the ground.
    late = [y for one in losses for _, y in one.points[len(one.points) // 5 :]]
    cut = Axes(fitted.x, (0.0, 1.05 * max(late, default=1.0)))
    unit = Axes(fitted.x)
    return (
        "<h2>Training</h2><p>Validation is drawn through, its best epoch a dot; training, with "
        "augmentation and dropout, is dashed. What lies above the frame is cut off.</p>"
        '<div class="charts">'
        + page.boxed(
            charts.lines("accuracy over epochs", "epoch", "accuracy", accuracies, axes=unit)
        )
        + page.boxed(charts.lines("loss over epochs", "epoch", "loss", losses, axes=cut))
        + "</div>"
    )


def _coverage(comparison: Comparison) -> str:
    lines = [
        Series(one.run.name, one.coverage, colour=number)
        for number, one in enumerate(comparison.results)
    ]
    return (
        "<h2>How far can it be trusted?</h2>"
        "<p>Accuracy when only the surest part of the pictures is labelled and the rest is left "
        'to a person: to the right all are.</p><div class="charts">'
        + page.boxed(charts.lines("accuracy over coverage", "share of pictures", "accuracy", lines))
        + "</div>"
    )


def _classes(comparison: Comparison) -> str:
    rows = _class_figures(comparison)
    all_ = len(comparison.classes)
    about = "" if len(rows) == all_ else f" of the {len(rows)} of {all_} on which they differ most"
    return (
        f"<h2>By class</h2><p>Recall{about}; in brackets the number of pictures.</p>"
        + page.boxed(figures.as_html(_names(comparison), rows))
    )


def _disagreeing(comparison: Comparison) -> list[tuple[str, list[Prediction]]]:
    return [
        (key, [one.run.predictions[key] for one in comparison.results])
        for key in comparison.disagreements
    ]


def _disagreements(comparison: Comparison) -> str:
    parts = []
    for key, own in _disagreeing(comparison):
        shown = "".join(
            _picture(result.run.class_set / one.path, f"{result.run.name}: {_said(one)}")
            for result, one in zip(comparison.results, own, strict=True)
        )
        title = html.escape(f"{own[0].class_name} ({Path(key).name})")
        parts.append(f'<h3>{title}</h3><div class="sheet">{shown}</div>')
    return (
        f"<h2>Where they disagree</h2><p>Some have {comparison.disagreeing} of the "
        f"{comparison.pictures} pictures right and others wrong. Those are shown on which the "
        "probability of the true class differs most, as each run was given them.</p>"
        + ("".join(parts) or "<p>Nowhere.</p>")
    )


def _said(one: Prediction) -> str:
    verdict = "right" if one.is_right else "wrong"
    return f"{one.guesses[0]} {one.probabilities[0]:.2f}, {verdict}"


def _picture(path: Path, caption: str) -> str:
    if path.is_file():
        return report.figure(pictures.read(path), caption)
    return f"<figure><figcaption>{html.escape(f'{caption} ({path} is gone)')}</figcaption></figure>"
