"""Pictures that a model has not seen, with what it finds in them, on one sheet."""

from pathlib import Path

import cv2
import numpy as np

from roadmark.atomic import atomic_path
from roadmark.data import example
from roadmark.evaluation import records
from roadmark.evaluation.records import Selection
from roadmark.inference.detector import Detector
from roadmark.ops import annotate

_COLUMNS = 3
_SCORE_THRESHOLD = 0.4
_JPEG_QUALITY = 90


def write(detector: Detector, selection: Selection, path: Path) -> None:
    """Draws what the detector finds in the chosen records' pictures, in rows of three.

    Args:
        detector: The model.
        selection: Records of pictures of one size, at least one.
        path: A .jpg file.
    """
    pictures = [
        records.picture(example.parse(record, where), where)
        for where, record in selection.records()
    ]
    found = detector.detect(pictures, _SCORE_THRESHOLD)
    for picture, detections in zip(pictures, found, strict=True):
        annotate.draw(picture, detections, detector.label_map)
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % _COLUMNS)
    rows = [
        np.hstack(pictures[first : first + _COLUMNS]) for first in range(0, len(pictures), _COLUMNS)
    ]
    sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    with atomic_path(path) as temporary:
        cv2.imwrite(str(temporary), sheet, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
