"""Whether an exported folder's raw network and native post-processing give the stock results."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from roadmark.detections import Detections
from roadmark.inference.detector import Detector
from roadmark.inference.engine import TENSORFLOW
from roadmark.manifest import ONE_STAGE
from roadmark.odapi import door
from roadmark.ops import box_coder
from roadmark.ops.nms import iou
from roadmark.ops.postprocess import BOX_ENCODINGS, CLASS_LOGITS, convert_scores

STOCK_FOLDER = "saved_model"

MAX_SCORE_DIFFERENCE = 1e-3
MAX_CORNER_DIFFERENCE = 1.0
# Below this, which of two nearly equal boxes survives suppression may hang on the last bit.
CERTAIN_SCORE = 0.3
_MATCHING_IOU = 0.5


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far raw and stock are apart, at most, over some pictures.

    Attributes:
        images: Number of pictures.
        boxes: Number of boxes scored above `CERTAIN_SCORE` that were matched one to one.
        unmatched: Number of such boxes that either side has alone.
        score: Largest difference of scores, of all anchors (one stage) and of matched boxes.
        corner: Largest difference of a corner's coordinate, likewise, in pixels.
    """

    images: int
    boxes: int
    unmatched: int
    score: float
    corner: float

    @property
    def holds(self) -> bool:
        """Whether they agree within the bounds."""
        return (
            not self.unmatched
            and self.score <= MAX_SCORE_DIFFERENCE
            and self.corner <= MAX_CORNER_DIFFERENCE
        )

    def __str__(self) -> str:
        return (
            f"{self.images} pictures: largest difference {self.score:.2g} in scores (allowed "
            f"{MAX_SCORE_DIFFERENCE:g}), {self.corner:.2g} px in corners (allowed "
            f"{MAX_CORNER_DIFFERENCE:g}); of the boxes above {CERTAIN_SCORE:g}, {self.boxes} "
            f"matched, {self.unmatched} unmatched"
        )


def measure(
    folder: str | Path,
    images: Sequence[np.ndarray],
    engine: str = TENSORFLOW,
    precision: str = "fp32",
) -> Agreement:
    """Runs both SavedModels of an exported folder on pictures.

    Args:
        folder: As `roadmark.export` writes it.
        images: uint8 `[H, W, 3]` RGB each.
        engine: What runs the raw one, on the CPU: one of `inference.engine.ENGINES`.
        precision: And in which precision.
    """
    detector = Detector.load(folder, engine=engine, device="cpu", precision=precision)
    stock = stock_model(folder)
    return _worst([_measure_one(detector, image, stock(image)) for image in images])


def stock_model(folder: str | Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The stock SavedModel of an exported folder: uint8 `[H, W, 3]` RGB to its outputs.

    These are without the batch dimension; `stock_detections` takes them.
    """
    door.open()
    import tensorflow as tf

    stock = tf.saved_model.load(str(Path(folder) / STOCK_FOLDER))

    def run(image: np.ndarray) -> dict[str, np.ndarray]:
        outputs = stock.signatures["serving_default"](input_tensor=tf.constant(image[np.newaxis]))
        return {name: value.numpy()[0] for name, value in outputs.items()}

    return run


def between(reference: Detector, candidate: Detector, images: Sequence[np.ndarray]) -> Agreement:
    """Compares raw outputs and detections of two engines that run the same network.

    Where the candidate suppresses boxes itself, detections alone.

    Args:
        reference: Whose results count.
        candidate: Whose results are judged.
        images: uint8 `[H, W, 3]` RGB each.
    """
    return _worst([_between(reference, candidate, image) for image in images])


def between_networks(
    reference: Detector, candidate: Detector, images: Sequence[np.ndarray]
) -> Agreement:
    """Compares two engines anchor by anchor, without suppression.

    That is the measure for half precision, where suppression may take the other of two boxes that
    score alike.

    Args:
        reference: Whose results count; of a one-stage model.
        candidate: Whose results are judged.
        images: uint8 `[H, W, 3]` RGB each.

    Returns:
        `boxes` are the anchors with a score above `CERTAIN_SCORE` in either, `score` is of all
        anchors, `corner` of those; nothing can be unmatched.
    """
    return _worst([_between_networks(reference, candidate, image) for image in images])


def _between_networks(reference: Detector, candidate: Detector, image: np.ndarray) -> Agreement:
    (scores, boxes), (reference_scores, reference_boxes) = (
        _scores_and_boxes(detector, detector.outputs(detector.submit([image])))
        for detector in (candidate, reference)
    )
    certain = np.maximum(scores, reference_scores).max(-1) > CERTAIN_SCORE
    return Agreement(
        images=1,
        boxes=int(certain.sum()),
        unmatched=0,
        score=_largest(scores - reference_scores),
        corner=_largest((boxes - reference_boxes)[certain]),
    )


def _between(reference: Detector, candidate: Detector, image: np.ndarray) -> Agreement:
    raw, found = [], []
    for detector in (candidate, reference):
        submitted = detector.submit([image])
        raw.append(detector.outputs(submitted))
        found.append(detector.postprocess(raw[-1], submitted)[0])
    compared = match(*found)
    if reference.manifest.postprocess.architecture != ONE_STAGE or candidate.engine.has_nms:
        return compared
    (scores, boxes), (reference_scores, reference_boxes) = (
        _scores_and_boxes(reference, outputs) for outputs in raw
    )
    return _wider(compared, scores - reference_scores, boxes - reference_boxes)


def _worst(parts: Sequence[Agreement]) -> Agreement:
    return Agreement(
        images=len(parts),
        boxes=sum(part.boxes for part in parts),
        unmatched=sum(part.unmatched for part in parts),
        score=max(part.score for part in parts),
        corner=max(part.corner for part in parts),
    )


def _measure_one(detector: Detector, image: np.ndarray, stock: dict[str, np.ndarray]) -> Agreement:
    submitted = detector.submit([image])
    raw = detector.outputs(submitted)
    found = detector.postprocess(raw, submitted)[0]
    compared = match(found, stock_detections(stock, image.shape[:2]))
    if detector.manifest.postprocess.architecture != ONE_STAGE:
        return compared
    scores, boxes = _scores_and_boxes(detector, raw)
    background = int(detector.manifest.postprocess.background_column)
    size = detector.manifest.input
    pixels = np.float32((size.height, size.width) * 2)
    return _wider(
        compared,
        scores - stock["raw_detection_scores"][:, background:],
        boxes - stock["raw_detection_boxes"] * pixels,
    )


def stock_detections(outputs: dict[str, np.ndarray], size: tuple[int, int]) -> Detections:
    """One picture's outputs of a stock SavedModel as `Detections`.

    Args:
        outputs: Without the batch dimension.
        size: `(height, width)` of the picture in pixels.
    """
    count = int(outputs["num_detections"])
    return Detections(
        boxes=outputs["detection_boxes"][:count] * np.float32((*size, *size)),
        scores=outputs["detection_scores"][:count],
        classes=outputs["detection_classes"][:count].astype(np.int32),
    )


def match(found: Detections, expected: Detections) -> Agreement:
    """Pairs boxes of one picture by class and overlap, best scores first."""
    certain = found.select(found.scores > CERTAIN_SCORE)
    free = np.ones(len(expected), bool)
    pairs = []
    overlaps = iou(certain.boxes, expected.boxes)
    for index in range(len(certain)):
        fits = free & (expected.classes == certain.classes[index])
        candidates = np.where(fits, overlaps[index], 0)
        best = int(candidates.argmax()) if len(candidates) else 0
        if len(candidates) and candidates[best] >= _MATCHING_IOU:
            free[best] = False
            pairs.append((index, best))
    mine, theirs = np.array(pairs, np.int64).reshape(-1, 2).T
    alone = np.count_nonzero(free & (expected.scores > CERTAIN_SCORE))
    return Agreement(
        images=1,
        boxes=len(pairs),
        unmatched=len(certain) - len(pairs) + int(alone),
        score=_largest(certain.scores[mine] - expected.scores[theirs]),
        corner=_largest(certain.boxes[mine] - expected.boxes[theirs]),
    )


def _scores_and_boxes(
    detector: Detector, raw: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Of all anchors, before suppression; boxes in pixels of the network's input."""
    spec, size = detector.manifest.postprocess, detector.manifest.input
    boxes = box_coder.decode(raw[BOX_ENCODINGS][0], detector.anchors, spec.box_coder.scale_factors)
    pixels = np.float32((size.height, size.width) * 2)
    return convert_scores(raw[CLASS_LOGITS][0], spec), boxes * pixels


def _wider(compared: Agreement, scores: np.ndarray, boxes: np.ndarray) -> Agreement:
    """With the differences of all anchors taken in."""
    return dataclasses.replace(
        compared,
        score=max(_largest(scores), compared.score),
        corner=max(_largest(boxes), compared.corner),
    )


def _largest(differences: np.ndarray) -> float:
    return float(np.abs(differences).max(initial=0))
