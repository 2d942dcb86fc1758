"""A classifier's evaluation as one HTML file, in the style of the detectors' report."""

import base64
import dataclasses
import html
import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from roadmark import atomic
from roadmark.classification import pictures
from roadmark.classification.class_set import ClassSet, Entry
from roadmark.classification.pictures import Pictures
from roadmark.classification.runs import Epoch
from roadmark.classification.scoring import LEVEL, Pair, Scores
from roadmark.evaluation import charts, page
from roadmark.evaluation.charts import Axes, Series

# More classes than these are too many for a table of counts: their matrix is a picture.
_MOST_CELLS = 40
# Of so many classes the worst are shown, and the others when they are asked for.
_WORST = 20
_MATRIX_SIDE = 784
_PAIRS_IN_PICTURES = 8
_PICTURES_OF_A_PAIR = 3
_SHOWN_WIDTH = 220
_JPEG_QUALITY = 80
# Okabe and Ito's blue and vermilion, as in the charts.
_RIGHT, _WRONG = (0, 114, 178), (213, 94, 0)


@dataclasses.dataclass(frozen=True)
class Looked:
    """What a model was shown and what it said.

    Attributes:
        folder: Of the class set.
        entries: The pictures in it.
        images: As the model sees them.
        probabilities: float32 `[N, classes]`.
        maps: Where it looked, float32 `[h, w]` of 0 to 1, by index of the picture.
    """

    folder: Path
    entries: Sequence[Entry]
    images: Pictures
    probabilities: np.ndarray
    maps: dict[int, np.ndarray]

    def picture(self, index: int) -> np.ndarray:
        """uint8 `[H, W, 3]` RGB of a picture in its own shape, for people."""
        return pictures.read(self.folder / self.entries[index].path)

    def surest(self, class_id: int) -> int | None:
        """The picture of a class that the model is surest of; None where there is none."""
        own = [n for n, entry in enumerate(self.entries) if entry.class_id == class_id]
        return max(own, key=lambda n: self.probabilities[n, class_id], default=None)


def write(
    name: str,
    classes: ClassSet,
    split: str,
    scores: Scores,
    looked: Looked,
    rows: Sequence[Epoch],
    best_epoch: int | None,
    path: Path,
) -> None:
    """Writes the report.

    Args:
        name: Of the model.
        classes: The class set.
        split: Of it.
        scores: The numbers.
        looked: What they are of.
        rows: How training went; may be empty.
        best_epoch: The one whose weights these are, where that is known.
        path: The .html file.
    """
    title = f"{name} on {split}"
    sections = [
        _head(title, classes, scores),
        _epochs(rows, best_epoch),
        _classes(scores),
        _confusion(scores),
        _pairs(scores.pairs, classes.classes, looked),
        _maps(classes.classes, looked),
    ]
    atomic.write_text(path, page.document(title, [section for section in sections if section]))


def _head(title: str, classes: ClassSet, scores: Scores) -> str:
    tiles = [
        (
            "top-1",
            scores.accuracy.value,
            f"{scores.accuracy.low:.3f} to {scores.accuracy.high:.3f}",
        ),
        ("top-5", scores.top_5.value, f"{scores.top_5.low:.3f} to {scores.top_5.high:.3f}"),
        ("chance", scores.chance, "the most frequent class"),
        ("cross-entropy", scores.loss, "nats"),
    ]
    shown = "".join(
        f'<div class="tile">{name}<b>{page.number(value)}</b><small>{note}</small></div>'
        for name, value, note in tiles
    )
    return (
        f"<h1>{html.escape(title)}</h1>"
        f'<p class="about">{scores.accuracy.total} pictures of {len(classes.classes)} classes in '
        f"{html.escape(str(classes.folder))}, data version {classes.data_version[:12]}</p>"
        f'<div class="tiles">{shown}</div>'
        f"<p>Intervals are binomial (Wilson): they hold the true share in {LEVEL:.0%} of samples "
        "of this size.</p>"
    )


def _epochs(rows: Sequence[Epoch], best_epoch: int | None) -> str:
    if not rows:
        return ""
    best = next((row for row in rows if row.number == best_epoch), None)
    lines = [
        Series(
            name,
            [(float(row.number), getattr(row, key)) for row in rows],
            (float(best.number), getattr(best, key)) if best else None,
        )
        for name, key in (("training", "accuracy"), ("validation", "val_accuracy"))
    ]
    cells = [
        [
            f"{row.number}, the best" if row is best else str(row.number), str(row.phase),
            page.number(row.accuracy), page.number(row.val_accuracy), f"{row.gap:+.3f}",
            page.number(row.loss), page.number(row.val_loss),
        ]
        for row in rows
    ]  # fmt: skip
    heads = ["epoch", "phase", "accuracy", "val accuracy", "gap", "loss", "val loss"]
    judged = f" Judged here are the weights of epoch {best.number}, the dots." if best else ""
    axes = Axes(charts.fitting(lines).x)
    return (
        "<h2>Training, and how far it over-fits</h2>"
        "<p>The gap is training accuracy (with augmentation and dropout) less validation accuracy. "
        f"One that grows while validation stands still is over-fitting.{judged}</p>"
        '<div class="charts">'
        + page.boxed(charts.lines("accuracy over epochs", "epoch", "accuracy", lines, axes=axes))
        + page.boxed(page.table(heads, cells))
        + "</div>"
    )


def _classes(scores: Scores) -> str:
    rows = [
        [
            name,
            f"{row['support']:.0f}",
            *(page.number(row[key]) for key in ("precision", "recall", "f1-score")),
        ]
        for name, row in scores.per_class.items()
    ]
    rows.sort(key=lambda row: (row[4], row[0]))
    heads = ["class", "pictures", "precision", "recall", "F1"]
    shown = rows if len(rows) <= _MOST_CELLS else rows[:_WORST]
    others = rows[len(shown) :]
    more = (
        f"<details><summary>the other {len(others)}</summary>"
        f"{page.boxed(page.table(heads, others))}</details>"
        if others
        else ""
    )
    return f"<h2>Classes, the worst first</h2>{page.boxed(page.table(heads, shown))}{more}"


def _confusion(scores: Scores) -> str:
    names = list(scores.per_class)
    heading = "<h2>Which class is taken for which</h2>"
    if len(names) > _MOST_CELLS:
        return heading + _matrix_picture(scores.confusion) + _pairs_table(scores.pairs, names)
    # Columns by number, or names would make the table as wide as a wall.
    heads = "<th>true \\ taken for</th>" + "".join(f"<th>{n + 1}</th>" for n in range(len(names)))
    cells = []
    for number, (name, counts) in enumerate(zip(names, scores.confusion, strict=True)):
        total = max(int(counts.sum()), 1)
        row = "".join(
            _cell(int(count), count / total, number == other) for other, count in enumerate(counts)
        )
        cells.append(f"<tr><td>{number + 1} {html.escape(name)}</td>{row}</tr>")
    return heading + page.boxed(f"<table><tr>{heads}</tr>{''.join(cells)}</table>")


def _cell(count: int, share: float, is_right: bool) -> str:
    if not count:
        return "<td>·</td>"
    red, green, blue = _RIGHT if is_right else _WRONG
    # A single mistake can be seen too.
    return f'<td style="background:rgba({red},{green},{blue},{0.1 + 0.5 * share:.2f})">{count}</td>'


def matrix_picture(confusion: np.ndarray) -> np.ndarray:
    """A confusion matrix of many classes as a picture.

    Args:
        confusion: int `[classes, classes]`, rows are true.

    Returns:
        uint8 `[side, side, 3]` RGB: right ones blue, mistakes vermilion, the darker the larger
        the share of the row. What is there once can be seen whatever the row.
    """
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    strength = np.where(confusion > 0, 0.25 + 0.75 * shares, 0.0)[:, :, None]
    diagonal = np.eye(len(confusion), dtype=bool)[:, :, None]
    colours = np.where(diagonal, np.array(_RIGHT), np.array(_WRONG))
    cells = (255 + strength * (colours - 255.0)).round().astype(np.uint8)
    cell = max(_MATRIX_SIDE // len(confusion), 1)
    return cells.repeat(cell, axis=0).repeat(cell, axis=1)


def _matrix_picture(confusion: np.ndarray) -> str:
    bgr = cv2.cvtColor(matrix_picture(confusion), cv2.COLOR_RGB2BGR)
    data = base64.b64encode(cv2.imencode(".png", bgr)[1].tobytes()).decode()
    return (
        f"<p>A row for each of the {len(confusion)} true classes, a column for what it is taken "
        "for, both in the order of their names. Blue is right, red is wrong, darker is a larger "
        "share of the row. Next to the diagonal are names that begin alike, such as models of one "
        "make. The counts are in evaluation.json.</p>"
        '<figure><img class="whole" alt="confusion matrix" style="max-width:784px;'
        'border:1px solid #ccc;image-rendering:pixelated" '
        f'src="data:image/png;base64,{data}"></figure><p></p>'
    )


def _pairs_table(pairs: Sequence[Pair], names: Sequence[str]) -> str:
    rows = [
        [names[pair.true], names[pair.taken_for], f"{pair.count} of {pair.total}"] for pair in pairs
    ]
    return page.boxed(page.table(["class", "taken for", "pictures"], rows)) if rows else ""


def _pairs(pairs: Sequence[Pair], names: Sequence[str], looked: Looked) -> str:
    parts = []
    for pair in pairs[:_PAIRS_IN_PICTURES]:
        figures = [
            figure(
                looked.picture(index),
                f"{looked.probabilities[index, pair.taken_for]:.2f} "
                f"{Path(looked.entries[index].path).name}",
            )
            for index in pair.indices[:_PICTURES_OF_A_PAIR]
        ]
        other = looked.surest(pair.taken_for)
        if other is not None:
            caption = f"for comparison: a true {names[pair.taken_for]}"
            figures.append(figure(looked.picture(other), caption))
        parts.append(
            f"<h3>{html.escape(names[pair.true])} taken for {html.escape(names[pair.taken_for])}: "
            f'{pair.count} of {pair.total}</h3><div class="sheet">{"".join(figures)}</div>'
        )
    body = "".join(parts) or "<p>None: every picture is right.</p>"
    return (
        "<h2>The most confused pairs</h2><p>The surest mistakes of each, with the probability of "
        f"the wrong class, and a picture of what they were taken for.</p>{body}"
    )


def _maps(names: Sequence[str], looked: Looked) -> str:
    if not looked.maps:
        return ""
    figures = []
    for index, map_ in looked.maps.items():
        guess = int(looked.probabilities[index].argmax())
        entry = looked.entries[index]
        said = "right" if guess == entry.class_id else f"is {entry.class_name}"
        figures.append(figure(heated(looked.picture(index), map_), f"{names[guess]}: {said}"))
    return (
        "<h2>Where it looks</h2><p>Grad-CAM (Selvaraju et al. 2017): what speaks for the guess is "
        "red. A model that looks at the background has learnt the background.</p>"
        f'<div class="sheet">{"".join(figures)}</div>'
    )


def heated(image: np.ndarray, map_: np.ndarray) -> np.ndarray:
    """A picture under the colours of an activation map.

    Args:
        image: uint8 `[H, W, 3]` RGB.
        map_: float32 `[h, w]`, 0 to 1.
    """
    heat = cv2.resize(map_, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    levels = (255 * np.clip(heat, 0, 1)).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    return cv2.addWeighted(image, 0.55, colours, 0.45, 0)


def figure(image: np.ndarray, caption: str) -> str:
    """A small picture with a line below it, as HTML.

    Args:
        image: uint8 `[H, W, 3]` RGB.
        caption: Plain text.
    """
    height = math.ceil(_SHOWN_WIDTH * image.shape[0] / image.shape[1])
    shown = pictures.fitted(image, height, _SHOWN_WIDTH)
    bgr = cv2.cvtColor(shown, cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
    data = base64.b64encode(encoded).decode()
    return (
        f'<figure><img class="whole" alt="" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
