"""Draws what each run makes of a picture."""

from collections.abc import Sequence

import cv2
import numpy as np

from roadmark.comparison.comparing import Disagreement, Verdict
from roadmark.data import example
from roadmark.evaluation import records
from roadmark.evaluation.records import Selection

# RGB; of Okabe and Ito's palette, which the colour-blind can tell apart.
RIGHT_COLOUR, WRONG_COLOUR, MISSED_COLOUR = (0, 158, 115), (213, 94, 0), (86, 180, 233)

_WIDTH = 480
_JPEG_QUALITY = 75


def jpegs(disagreements: Sequence[Disagreement], selection: Selection) -> list[list[bytes]]:
    """A JPEG file, 480 pixels wide, of each picture and each run.

    Args:
        disagreements: What to draw.
        selection: The records of the comparison.

    Raises:
        UserError: A record is damaged or its picture cannot be decoded.
    """
    wanted = {one.number: index for index, one in enumerate(disagreements)}
    drawn: list[list[bytes]] = [[] for _ in disagreements]
    for number, (where, record) in enumerate(selection.records()):
        if number in wanted:
            pixels = records.picture(example.parse(record, where), where)
            verdicts = disagreements[wanted[number]].verdicts
            drawn[wanted[number]] = [_drawn(pixels, verdict) for verdict in verdicts]
    return drawn


def _drawn(pixels: np.ndarray, verdict: Verdict) -> bytes:
    scale = _WIDTH / pixels.shape[1]
    size = (_WIDTH, max(1, round(pixels.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(pixels, size, interpolation=way)
    boxes = (
        (verdict.missed, MISSED_COLOUR),
        (verdict.right, RIGHT_COLOUR),
        (verdict.wrong, WRONG_COLOUR),
    )
    for own, colour in boxes:
        corners = np.clip(np.rint(own * scale), -(2**14), 2**14).astype(int)
        for ymin, xmin, ymax, xmax in corners.tolist():
            cv2.rectangle(small, (xmin, ymin), (xmax, ymax), colour, 2)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
