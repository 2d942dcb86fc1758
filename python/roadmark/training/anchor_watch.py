"""Notices that no anchor is ever matched to a box, and says why. Needs no TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from roadmark.errors import UserError
from roadmark.training import anchor_fit
from roadmark.training.record_index import Contents

# Batches in a row, all of them with boxes.
BATCHES = 20
BOXES = "boxes_per_image"
_LOCALIZATION = "localization_loss"


class AnchorWatch:
    """Watches the steps of a run.

    A loss of locations that is exactly 0 means that no anchor was matched: only matched ones count
    for it.

    Args:
        config: The as-run `TrainEvalPipelineConfig`.
        contents: Of the training records.
    """

    def __init__(self, config: Any, contents: Contents):
        self._config, self._contents = config, contents
        self._without = 0

    def add(self, step: int, steps: Sequence[Mapping[str, float]]) -> None:
        """Takes in the values of steps, the last of which is `step`.

        Raises:
            UserError: None of the last batches had a match.
        """
        first = step - len(steps) + 1
        for number, values in enumerate(steps, start=first):
            losses = [value for name, value in values.items() if name.endswith(_LOCALIZATION)]
            # A batch without boxes tells nothing.
            if not losses or not values.get(BOXES):
                continue
            self._without = 0 if any(losses) else self._without + 1
            if self._without >= BATCHES:
                raise self._error(number, values[BOXES])

    def _error(self, step: int, boxes: float) -> UserError:
        return UserError(
            f"training step {step}",
            f"in {BATCHES} batches in a row, this one with {boxes:.3g} boxes to an image, no "
            f"anchor was matched to a box{self._sizes()}",
            "set the anchors (anchor_scale, min_level, max_level, aspect_ratios) to the sizes of "
            "the boxes, a larger image_resizer, a lower matched_threshold, or "
            "force_match_for_each_row",
        )

    def _sizes(self) -> str:
        sizes, images = self._contents.sizes()
        found = np.sqrt(anchor_fit.network_sizes(self._config, sizes, images).prod(axis=1))
        low, middle, high = np.percentile(found, (5, 50, 95))
        text = (
            f": the square root of a box's area is {middle:.3g} pixels of the network's input "
            f"(90% of them {low:.3g} to {high:.3g})"
        )
        anchors = anchor_fit.anchor_sizes(self._config)
        if anchors is None:
            return text
        scales = np.sqrt(anchors.prod(axis=1))
        return f"{text}, that of an anchor's {scales.min():.3g} to {scales.max():.3g}"
