"""An evaluation as one HTML file, without scripts and without anything to load."""

import base64
import html
import math
from collections.abc import Sequence
from pathlib import Path

from roadmark import atomic
from roadmark.evaluation import charts, evaluation, history, mistake_pictures, page
from roadmark.evaluation.analysis import Analysis, Mistake
from roadmark.evaluation.bootstrap import Interval
from roadmark.evaluation.charts import Axes, Bar, Series
from roadmark.evaluation.coco import BOXES
from roadmark.evaluation.corruption import SEVERITIES
from roadmark.evaluation.evaluation import Evaluation
from roadmark.evaluation.history import History
from roadmark.evaluation.matching import Picture
from roadmark.evaluation.records import Selection
from roadmark.evaluation.tide import ErrorSplit

_MOST_LINES = len(charts.COLOURS)
_MOST_DRIVES = 30


def write(
    found: Evaluation,
    analysis: Analysis,
    pictures: Sequence[Picture],
    selection: Selection,
    path: Path,
    run: History | None = None,
) -> None:
    """Writes the report; pictures of mistakes are part of it.

    Args:
        found: COCO's metrics.
        analysis: The rest.
        pictures: The evaluation's.
        selection: The evaluation's records, in the order of `pictures`.
        path: The .html file.
        run: How the run went that was evaluated; None where that is not known.

    Raises:
        UserError: A record is damaged or its picture cannot be decoded.
    """
    sections = [
        _head(found, analysis),
        _coco(found),
        *_training(found, run),
        _classes(found, analysis),
        _errors(analysis.errors),
        _confusion(analysis),
        _where(analysis),
        _calibration(analysis),
        *_robustness(found),
        _sheet(
            "False positives",
            "Detections that no object of their class is at (IoU 0.5), the highest score first.",
            analysis.false_positives,
            pictures,
            selection,
        ),
        _sheet(
            "Misses",
            "Objects that are not found at the best threshold of their class, the largest first.",
            analysis.misses,
            pictures,
            selection,
        ),
    ]
    atomic.write_text(path, page.document(evaluation.title(found), sections))


def _head(found: Evaluation, analysis: Analysis) -> str:
    summary, sure = found.metrics.summary[BOXES], analysis.confidence
    tiles = [
        ("mAP", summary["mAP"], _between(sure.intervals["mAP"])),
        ("AP50", summary["AP50"], _between(sure.intervals["AP50"])),
        ("AP75", summary["AP75"], "boxes that fit closely"),
        ("AR100", summary["AR100"], "found, at any score"),
        ("ECE", analysis.calibration.expected_error, "error of the scores"),
    ]
    shown = "".join(
        f'<div class="tile">{name}<b>{page.number(value)}</b><small>{note}</small></div>'
        for name, value, note in tiles
    )
    doubt = "" if sure.units >= 10 else ", too few to trust the interval"
    return (
        f"<h1>{html.escape(evaluation.title(found))}</h1>"
        f'<p class="about">{found.metrics.images} pictures with {found.metrics.objects} objects of '
        f"{html.escape(found.records)}</p>"
        f'<div class="tiles">{shown}</div>'
        f"<p>Intervals hold {sure.level:.0%} of {sure.resamples} samples, drawn from {sure.units} "
        f"{sure.unit}{doubt}: on other pictures of the kind, expect values in them.</p>"
    )


def _coco(found: Evaluation) -> str:
    kinds = found.metrics.summary
    heads = ["", *({"bbox": "boxes", "segm": "masks"}[kind] for kind in kinds)]
    rows = [
        [name, *(page.number(summary[name], 4) for summary in kinds.values())]
        for name in evaluation.SUMMARY_METRICS
    ]
    parts = [page.table(heads, rows)]
    if found.losses:
        losses = [[name, page.number(value, 4)] for name, value in found.losses.items()]
        parts.append(page.table(["validation loss", "mean"], losses))
    return f'<h2>COCO metrics</h2><div class="charts">{"".join(map(page.boxed, parts))}</div>'


def _training(found: Evaluation, run: History | None) -> list[str]:
    if run is None:
        return []
    loss = found.losses.get(history.TOTAL_LOSS, math.nan)
    precision = found.metrics.summary[BOXES]["mAP"]
    return [history.section([run.with_evaluation(found.step, loss, precision)])]


def _classes(found: Evaluation, analysis: Analysis) -> str:
    per_class = found.metrics.per_class[BOXES]
    rows = []
    for name, curve in analysis.curves.items():
        row, best = per_class[name], curve.best
        values = (row["AP"], row["AP50"], best.threshold, best.precision, best.recall, best.f1)
        rows.append([name, str(row["objects"]), *(page.number(value) for value in values)])
    heads = ["class", "objects", "AP", "AP50", "best threshold", "precision", "recall", "F1"]
    most = sorted(analysis.curves, key=lambda name: -per_class[name]["objects"])[:_MOST_LINES]
    # In the label map's order, so that colours are the same in every report.
    shown = {name: curve for name, curve in analysis.curves.items() if name in most}
    precision = [
        Series(
            name,
            list(zip(curve.recall, curve.precision, strict=True)),
            (curve.best.recall, curve.best.precision),
        )
        for name, curve in shown.items()
    ]
    f1 = [
        Series(
            name,
            [(number / 100, value) for number, value in enumerate(curve.f1)],
            (curve.best.threshold, curve.best.f1),
        )
        for name, curve in shown.items()
    ]
    some = "" if len(most) == len(rows) else f" Lines: the {len(most)} classes with most objects."
    return (
        "<h2>Classes and score thresholds</h2>"
        "<p>At an IoU of 0.5. A dot is the threshold with the highest F1: take it for "
        f"<code>infer --score_threshold</code>.{some}</p>"
        f'<div class="scroll">{page.table(heads, rows)}</div><div class="charts">'
        + page.boxed(charts.lines("precision over recall", "recall", "precision", precision))
        + page.boxed(charts.lines("F1 over score threshold", "score threshold", "F1", f1))
        + "</div>"
    )


def _errors(errors: ErrorSplit) -> str:
    explained = {
        "classification": "right place, wrong class",
        "localisation": "right class, IoU 0.1 to 0.5",
        "both": "wrong class and IoU 0.1 to 0.5",
        "duplicate": "found a second time",
        "background": "nothing is there",
        "missed": "not found at all",
    }
    order = sorted(errors.costs, key=lambda kind: -errors.costs[kind])
    bars = [Bar(kind, errors.costs[kind], page.number(errors.costs[kind])) for kind in order]
    rows = [
        [kind, explained[kind], str(errors.counts[kind]), page.number(errors.costs[kind], 4)]
        for kind in order
    ]
    return (
        "<h2>What goes wrong</h2>"
        f"<p>How much AP50 (now {page.number(errors.AP50)}) would rise if one kind of mistake were "
        "mended (TIDE, Bolya et al. 2020). Numbers are at any score, so most are of very low "
        "score and cost little. All false positives together cost "
        f"{page.number(errors.false_positives_cost)}, all objects without a detection "
        f"{page.number(errors.false_negatives_cost)}.</p>"
        '<div class="charts">'
        + page.boxed(charts.bars("AP50 lost by kind of mistake", bars, 1))
        + page.boxed(page.table(["kind", "meaning", "number", "AP50 lost"], rows))
        + "</div>"
    )


def _confusion(analysis: Analysis) -> str:
    found = analysis.confusion
    cells = []
    for name, counts in zip(found.classes, found.counts, strict=True):
        total = sum(counts)
        row = "".join(_shaded(count, total) for count in counts)
        cells.append(f"<tr><td>{html.escape(name)}</td>{row}</tr>")
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in ["marked \\ found", *found.classes])
    return (
        "<h2>Which class is taken for which</h2>"
        "<p>At the best threshold of each class and an IoU of 0.5. The last column holds objects "
        "that are missed, the last row detections where nothing is. The shade is the share of the "
        "row.</p>"
        f'<div class="scroll"><table><tr>{heads}</tr>{"".join(cells)}</table></div>'
    )


def _where(analysis: Analysis) -> str:
    bars = [
        Bar(name, row["AP50"], f"{page.number(row['AP50'])} of {row['objects']}")
        for name, row in analysis.sizes.items()
    ]
    sizes = [
        [name, str(row["objects"]), *(page.number(row[key]) for key in ("AP", "AP50", "AR100"))]
        for name, row in analysis.sizes.items()
    ]
    text = (
        "<h2>Where it goes wrong</h2>"
        "<p>By size: the side, in pixels of the picture, of a square as large as the box.</p>"
        '<div class="charts">'
        + page.boxed(charts.bars("AP50 by size", bars, whole=1.0))
        + page.boxed(page.table(["size", "objects", "AP", "AP50", "AR100"], sizes))
        + "</div>"
    )
    if not analysis.drives:
        return text + "<p>The pictures' names tell no drives (<code>--group_by</code> can).</p>"
    drives = [
        [row.name, str(row.pictures), str(row.objects), page.number(row.mAP), page.number(row.AP50)]
        for row in analysis.drives[:_MOST_DRIVES]
    ]
    more = len(analysis.drives) - len(drives)
    rest = f" {more} better ones are in the JSON file." if more else ""
    return f"{text}<p>By drive, the worst first.{rest}</p>" + page.boxed(
        page.table(["drive", "pictures", "objects", "mAP", "AP50"], drives)
    )


def _calibration(analysis: Analysis) -> str:
    bins = analysis.calibration.bins
    points = [(part.score, part.precision) for part in bins if part.count]
    rows = [
        [
            f"{number / 10:.1f}-{number / 10 + 0.1:.1f}",
            str(part.count),
            page.number(part.score),
            page.number(part.precision),
        ]
        for number, part in enumerate(bins)
    ]
    return (
        "<h2>Can scores be believed?</h2>"
        "<p>Of the detections of one score, how many are right at an IoU of 0.5. Below the dashed "
        "line the model is too sure of itself, above it too modest. ECE is the mean distance, "
        f"{page.number(analysis.calibration.expected_error)}.</p>"
        '<div class="charts">'
        + page.boxed(
            charts.lines(
                "precision over score",
                "mean score",
                "precision",
                [Series("precision", points)],
                diagonal=True,
                dots=True,
            )
        )
        + page.boxed(page.table(["score", "detections", "mean score", "precision"], rows))
        + "</div>"
    )


def _robustness(found: Evaluation) -> list[str]:
    if not found.robustness:
        return []
    clean = found.metrics.summary[BOXES]
    rows = [["none", "0", page.number(clean["mAP"]), page.number(clean["AP50"]), ""]]
    lines: dict[str, list[tuple[float, float]]] = {}
    for one in found.robustness:
        kind, severity = one.corruption.kind, one.corruption.severity
        lines.setdefault(kind, [(0.0, clean["AP50"])]).append((float(severity), one.AP50))
        left = f"{one.AP50 / clean['AP50']:.0%}" if clean["AP50"] > 0 else "–"
        rows.append([kind, str(severity), page.number(one.mAP), page.number(one.AP50), left])
    series = [Series(kind, sorted(points)) for kind, points in lines.items()]
    axes = Axes((0.0, float(max(SEVERITIES))), charts.fitting(series).y)
    chart = charts.lines("AP50 over severity", "severity", "AP50", series, dots=True, axes=axes)
    return [
        "<h2>What bad pictures cost</h2>"
        "<p>The same pictures, made worse; 0 is as they are. Severity 1 is the mildest and 5 the "
        "harshest fog, rain, night and blur that training can augment with; JPEG qualities are "
        "those of ImageNet-C.</p>"
        f'<div class="charts">{page.boxed(chart)}'
        + page.boxed(page.table(["corruption", "severity", "mAP", "AP50", "of AP50 left"], rows))
        + "</div>"
    ]


def _sheet(
    heading: str,
    text: str,
    mistakes: Sequence[Mistake],
    pictures: Sequence[Picture],
    selection: Selection,
) -> str:
    files = mistake_pictures.jpegs(mistakes, pictures, selection)
    figures = [
        f'<figure><img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{_caption(mistake)}</figcaption></figure>"
        for mistake, data in zip(mistakes, files, strict=True)
    ]
    mistake_colour = _css(mistake_pictures.MISTAKE_COLOUR)
    marked_colour = _css(mistake_pictures.MARKED_COLOUR)
    legend = (
        f'<p class="legend"><span><i style="background:{mistake_colour}"></i>the mistake</span>'
        f'<span><i style="background:{marked_colour}"></i>what is marked</span></p>'
    )
    body = legend + f'<div class="sheet">{"".join(figures)}</div>' if figures else "<p>None.</p>"
    return f"<h2>{heading}</h2><p>{text} Two of a picture at most.</p>{body}"


def _caption(mistake: Mistake) -> str:
    score = "" if math.isnan(mistake.score) else f" {mistake.score:.2f}"
    ymin, xmin, ymax, xmax = mistake.box
    return (
        f"<b>{html.escape(mistake.class_name)}{score}</b>, {mistake.kind}, "
        f"{xmax - xmin:.0f} × {ymax - ymin:.0f} px<br>{html.escape(mistake.picture)}"
    )


def _shaded(count: int, total: int) -> str:
    share = count / total if total else 0.0
    return f'<td style="background:rgba(0,114,178,{0.6 * share:.2f})">{count}</td>'


def _between(interval: Interval) -> str:
    if math.isnan(interval.low):
        return "no interval"
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _css(colour: tuple[int, int, int]) -> str:
    return f"rgb{colour}"
