"""mAP of an export on some of the user's own pictures: of the stock model, and of all it became."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from roadmark.data import example
from roadmark.errors import UserError
from roadmark.evaluation import records
from roadmark.evaluation.coco import BOXES
from roadmark.evaluation.records import Detect, Selection
from roadmark.odapi.label_map import LabelMap

PICTURES = 16
MAX_DIFFERENCE = 0.005


@dataclasses.dataclass(frozen=True)
class SampledMap:
    """What came of it.

    Attributes:
        source: The records.
        pictures: How many.
        found: mAP of boxes, 0 to 1, by who found them; the stock model first.
    """

    source: str
    pictures: int
    found: Mapping[str, float]

    @property
    def difference(self) -> float:
        """Of the one that is furthest from the stock model."""
        stock, *others = self.found.values()
        return max((abs(one - stock) for one in others), default=0.0)

    @property
    def holds(self) -> bool:
        """Whether all are within the bound."""
        return self.difference <= MAX_DIFFERENCE

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in self.found.items())
        return (
            f"mAP on {self.pictures} pictures of {self.source}: {figures} (allowed apart: "
            f"{MAX_DIFFERENCE:g})"
        )


def select(source: str, is_asked_for: bool) -> Selection | None:
    """Some records, spread evenly.

    Args:
        source: Their glob.
        is_asked_for: Whether the user has named them; else None is returned where there are none.

    Raises:
        UserError: There are none where the user says.
    """
    try:
        return records.select(source, PICTURES)
    except UserError:
        if is_asked_for:
            raise
        return None


def pictures(selection: Selection, count: int) -> list[np.ndarray]:
    """The first pictures of a selection, uint8 `[H, W, 3]` RGB each."""
    first = dataclasses.replace(selection, picked=selection.picked[:count])
    return [
        records.picture(example.parse(record, where), where) for where, record in first.records()
    ]


def measure(selection: Selection, names: LabelMap, detects: Mapping[str, Detect]) -> SampledMap:
    """Has each look at the same pictures, one at a time.

    Args:
        selection: The records.
        names: The model's classes.
        detects: By name; the stock model first.

    Raises:
        UserError: The records have no boxes, or other classes than the model.
    """

    def one(detect: Detect) -> float:
        found = records.detect_all(selection, detect, batch_size=1)
        return float(records.evaluate(selection, found, names).summary[BOXES]["mAP"])

    figures = {name: one(detect) for name, detect in detects.items()}
    return SampledMap(selection.source, len(selection), figures)
