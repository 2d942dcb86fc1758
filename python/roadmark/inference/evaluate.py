"""Evaluation of an exported model: COCO metrics by the very path that `infer` takes."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from roadmark.detections import Detections
from roadmark.evaluation import corruption, records
from roadmark.evaluation.coco import CocoMetrics
from roadmark.evaluation.corruption import Corruption
from roadmark.evaluation.evaluation import Cost, Evaluation
from roadmark.evaluation.records import Detect, OnPicture, Selection
from roadmark.inference.detector import ANCHORS_FILE, Detector
from roadmark.inference.engine import RAW_FOLDER
from roadmark.odapi import label_map
from roadmark.ops.postprocess import MASK_LOGITS

LABEL_MAP_FILE = "label_map.pbtxt"
_BATCH_SIZE = 8


def evaluate(
    folder: str | Path,
    detector: Detector,
    selection: Selection,
    on_picture: OnPicture | None = None,
    corruptions: Sequence[Corruption] = (),
) -> Evaluation:
    """Evaluates an exported model on records.

    Args:
        folder: The exported folder.
        detector: Loaded from it.
        selection: As `records.select` gives it.
        on_picture: Sees every picture.
        corruptions: Ways to make the pictures worse and evaluate them again.

    Raises:
        UserError: As `records.evaluate`.
    """
    with_masks = any(output.name == MASK_LOGITS for output in detector.manifest.outputs)
    names = label_map.load(Path(folder) / LABEL_MAP_FILE)

    def metrics_on(part: Selection, detect: Detect, seen_by: OnPicture | None) -> CocoMetrics:
        detections = records.detect_all(part, detect, _BATCH_SIZE)
        return records.evaluate(part, detections, names, with_masks, seen_by)

    timed = _Timed(detector)
    metrics = metrics_on(selection, timed.detect, on_picture)
    return Evaluation(
        model=str(folder),
        records=selection.source,
        step=detector.manifest.step,
        metrics=metrics,
        losses={},
        cost=Cost(
            size_bytes=_size_bytes(Path(folder)),
            ms_per_image=timed.ms_per_image(),
            timed=f"export with pre- and post-processing, {detector.engine}, batches of "
            f"{_BATCH_SIZE}",
        ),
        robustness=corruption.measure(
            corruptions, selection, lambda worse: metrics_on(worse, detector.detect, None)
        ),
    )


class _Timed:
    """A detector with a clock."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._seconds: list[float] = []

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        begin = time.perf_counter()
        found = self._detector.detect(images)
        self._seconds.append((time.perf_counter() - begin) / len(images))
        return found

    def ms_per_image(self) -> float:
        # The first batch compiles and allocates, the last may be a small one.
        counted = self._seconds[1:-1] or self._seconds
        return 1e3 * statistics.median(counted)


def _size_bytes(folder: Path) -> int:
    files = [path for path in (folder / RAW_FOLDER).rglob("*") if path.is_file()]
    anchors = folder / ANCHORS_FILE
    return sum(path.stat().st_size for path in [*files, *([anchors] if anchors.exists() else [])])
