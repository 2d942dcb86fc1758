"""Evaluation of an exported model: COCO metrics by the very path that `infer` takes."""

from pathlib import Path

from roadmark.evaluation import records
from roadmark.evaluation.evaluation import Evaluation
from roadmark.evaluation.records import OnPicture, Selection
from roadmark.inference.detector import Detector
from roadmark.odapi import label_map
from roadmark.ops.postprocess import MASK_LOGITS

LABEL_MAP_FILE = "label_map.pbtxt"
_BATCH_SIZE = 8


def evaluate(
    folder: str | Path,
    detector: Detector,
    selection: Selection,
    on_picture: OnPicture | None = None,
) -> Evaluation:
    """Evaluates an exported model on records.

    Args:
        folder: The exported folder.
        detector: Loaded from it.
        selection: As `records.select` gives it.
        on_picture: Sees every picture.

    Raises:
        UserError: As `records.evaluate`.
    """
    with_masks = any(output.name == MASK_LOGITS for output in detector.manifest.outputs)
    detections = records.detect_all(selection, detector.detect, _BATCH_SIZE)
    names = label_map.load(Path(folder) / LABEL_MAP_FILE)
    return Evaluation(
        model=str(folder),
        records=selection.source,
        step=detector.manifest.step,
        metrics=records.evaluate(selection, detections, names, with_masks, on_picture),
        losses={},
    )
