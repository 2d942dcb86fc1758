"""How runs went, as charts: total losses and mAP over the steps, training beside validation."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from roadmark.evaluation import charts, page
from roadmark.evaluation.charts import Axes, Series

TOTAL_LOSS = "total_loss"

_MAP = "mAP"
_MOST_POINTS = 200

Rows = Sequence[tuple[int, Mapping[str, float]]]


@dataclasses.dataclass(frozen=True)
class History:
    """One run.

    Attributes:
        name: For the legend.
        training: Step and values of each row of `metrics.csv`.
        validation: Likewise of `evaluations.csv`.
    """

    name: str
    training: Rows = ()
    validation: Rows = ()

    def with_evaluation(self, step: int | None, loss: float, precision: float) -> "History":
        """Where the run did not evaluate itself, what was found of it afterwards stands in.

        Args:
            step: Of the weights; None where it is not known.
            loss: Total; NaN where it is not known.
            precision: mAP.
        """
        if self.validation:
            return self
        found = {} if math.isnan(loss) else {TOTAL_LOSS: loss}
        found |= {} if step is None else {_MAP: precision}
        return dataclasses.replace(self, validation=[(step or 0, found)])


def section(histories: Sequence[History]) -> str:
    """Two charts on one axis of steps; a sentence where there is nothing to draw."""
    losses, precision = [], []
    for number, one in enumerate(histories):
        training = _smoothed(_column(one.training, TOTAL_LOSS))
        losses.append(Series(one.name, training, colour=number))
        validation = _column(one.validation, TOTAL_LOSS)
        mark = validation[-1] if validation else None
        losses.append(Series(one.name, validation, mark, colour=number, is_dashed=True))
        scores = _column(one.validation, _MAP)
        mark = scores[-1] if scores else None
        precision.append(Series(one.name, scores, mark, colour=number))
    if not any(series.points for series in losses + precision):
        return "<h2>Training</h2><p>No run has a metrics.csv.</p>"
    # The first steps' losses would press the rest to the ground.
    axes = charts.fitting([*losses, *precision])
    late = [y for one in losses for _, y in one.points[len(one.points) // 20 :]]
    height = 1.05 * max(late, default=charts.fitting(losses).y[1])
    return (
        "<h2>Training</h2><p>Losses: training is drawn through, smoothed; validation is dashed, "
        "its last value a dot. What lies above the frame is cut off.</p>"
        '<div class="charts">'
        + page.boxed(
            charts.lines(
                "total loss over steps",
                "step",
                "total loss",
                losses,
                axes=Axes(axes.x, (0.0, height)),
            )
        )
        + page.boxed(
            charts.lines(
                "mAP over steps",
                "step",
                "mAP",
                precision,
                axes=Axes(axes.x, charts.fitting(precision).y),
            )
        )
        + "</div>"
    )


def _column(rows: Rows, name: str) -> list[tuple[float, float]]:
    return [(float(step), values[name]) for step, values in rows if name in values]


def _smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of so many neighbours that a chart's width has room for them."""
    width = max(1, math.ceil(len(points) / _MOST_POINTS), len(points) // 50)
    parts = [points[start : start + width] for start in range(0, len(points), width)]
    return [
        (sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts
    ]
