"""Gives a detector's vehicles the labels of a classifier, all of a batch of frames at once."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from roadmark.classification.classifier import Classifier
from roadmark.classification.cropping import vehicle_ids
from roadmark.detections import LABEL, LABEL_PROBABILITY, Detections
from roadmark.inference.detector import Detector, Inputs, Submitted
from roadmark.manifest import FIXED_SHAPE, InputSpec
from roadmark.ops.preprocess import YuvPicture, preprocess

# Boxes smaller than this, in pixels of either side, keep the detector's label.
_LEAST_SIDE = 16
_MARGIN = 0.1

Picture = np.ndarray | YuvPicture


@dataclasses.dataclass(frozen=True)
class PicturedInputs(Inputs):
    """A detector's inputs with the pictures they were made of.

    Attributes:
        images: uint8 `[H, W, 3]` RGB each, or planes of video frames.
    """

    images: tuple[Picture, ...] = ()


def labelled(
    detector: Detector, classes: list[int], folder: str | None, threads: int = 0
) -> tuple["Detector | LabellingDetector", list[int]]:
    """A detector whose vehicles are named by an exported classifier, where one is given.

    Args:
        detector: Finds the vehicles.
        classes: Ids of its classes to keep; all when empty.
        folder: As `exporting.export` writes it, or None to leave the detector as it is.
        threads: As of `Classifier`.

    Returns:
        The detector, and the classes that whoever uses it must still keep to: none when it does so
        itself, as labels are classes of their own.

    Raises:
        UserError: The folder is not whole, or not a classifier's.
    """
    if folder is None:
        return detector, classes
    return LabellingDetector(detector, Classifier(folder, threads), classes), []


class LabellingDetector:
    """A detector whose vehicles carry make and model; used in the place of a `Detector`.

    A vehicle's class becomes one of the classifier's, whose ids follow those of the detector, when
    the classifier gives it `threshold` or more; its score stays the detector's. The classifier's
    probability is in `attributes[LABEL_PROBABILITY]`, its class in `attributes[LABEL]` too.

    Args:
        detector: Finds the vehicles.
        classifier: Names them.
        only: Ids of the detector's classes to keep; all when empty.
        threshold: Least probability of a label.

    Attributes:
        manifest: The detector's, with a hash of the weights of both.
        engine: The detector's.
        label_map: The detector's, and the classifier's names behind them.
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier,
        only: Sequence[int] = (),
        threshold: float = 0.5,
    ) -> None:
        self._detector, self._classifier = detector, classifier
        self._only, self._threshold = tuple(only), threshold
        self._vehicles = vehicle_ids(detector.label_map)
        self._first = max(detector.label_map) + 1
        # What is found depends on both models, and a resumed run must know.
        facts = (
            f"{detector.manifest.weights_sha256} {classifier.manifest.weights_sha256} {threshold}"
        )
        both = hashlib.sha256(facts.encode()).hexdigest()
        self.manifest = dataclasses.replace(detector.manifest, weights_sha256=both)
        self.engine = detector.engine
        names = enumerate(classifier.manifest.classes, self._first)
        self.label_map: Mapping[int, str] = {**detector.label_map, **dict(names)}

    def preprocess(self, images: Sequence[Picture], out: np.ndarray | None = None) -> Inputs:
        """See `Detector.preprocess`."""
        inputs = self._detector.preprocess(images, out)
        return PicturedInputs(inputs.arrays, inputs.sizes, tuple(images))

    def start(self, inputs: Inputs) -> Submitted:
        """See `Detector.start`."""
        return self._detector.start(inputs)

    def outputs(self, submitted: Submitted) -> dict[str, np.ndarray]:
        """See `Detector.outputs`."""
        return self._detector.outputs(submitted)

    def postprocess(
        self, outputs: Mapping[str, np.ndarray], batch: PicturedInputs, score_threshold: float = 0.0
    ) -> list[Detections]:
        """See `Detector.postprocess`; the pictures must not have been drawn on."""
        found = self._detector.postprocess(outputs, batch, score_threshold)
        return self._labelled(found, batch.images)

    def detect(self, images: Sequence[Picture], score_threshold: float = 0.0) -> list[Detections]:
        """See `Detector.detect`."""
        inputs = self.preprocess(images)
        return self.postprocess(self.outputs(self.start(inputs)), inputs, score_threshold)

    def _labelled(self, found: list[Detections], images: Sequence[Picture]) -> list[Detections]:
        if self._only:
            found = [one.select(np.isin(one.classes, self._only)) for one in found]
        places, crops = [], []
        for number, (one, image) in enumerate(zip(found, images, strict=True)):
            for index in np.flatnonzero(np.isin(one.classes, self._vehicles)):
                cut = crop(image, one.boxes[index])
                if cut is not None:
                    places.append((number, int(index)))
                    crops.append(cut)
        probabilities = self._classifier.classify(crops)
        classes = [one.classes.copy() for one in found]
        sure = [
            np.where(np.isin(one.classes, self._vehicles), 0.0, -1.0).astype(np.float32)
            for one in found
        ]
        for (number, index), row in zip(places, probabilities, strict=True):
            best = int(row.argmax())
            if row[best] >= self._threshold:
                classes[number][index] = self._first + best
                sure[number][index] = row[best]
        return [
            dataclasses.replace(
                one,
                classes=classes[number],
                attributes=one.attributes
                | {LABEL: classes[number], LABEL_PROBABILITY: sure[number]},
            )
            for number, one in enumerate(found)
        ]


def crop(image: Picture, box: np.ndarray) -> np.ndarray | None:
    """The part of a picture in a box, with a margin, in RGB.

    Args:
        image: uint8 `[H, W, 3]` RGB, or planes of a video frame.
        box: float32 `[4]`, `[ymin, xmin, ymax, xmax]` in its pixels.

    Returns:
        uint8 `[h, w, 3]`, or None where the box is too small to tell anything.
    """
    height, width = image.shape[:2]
    ymin, xmin, ymax, xmax = (float(side) for side in box)
    if min(ymax - ymin, xmax - xmin) < _LEAST_SIDE:
        return None
    high, wide = _MARGIN * (ymax - ymin), _MARGIN * (xmax - xmin)
    # On even rows and columns, where samples of chroma begin.
    top, left = max(int(ymin - high), 0) & ~1, max(int(xmin - wide), 0) & ~1
    bottom, right = min(int(np.ceil(ymax + high)), height), min(int(np.ceil(xmax + wide)), width)
    if bottom - top < 2 or right - left < 2:
        return None
    if not isinstance(image, YuvPicture):
        return image[top:bottom, left:right]
    luma, *chroma = image.planes
    half = (slice(top // 2, (bottom + 1) // 2), slice(left // 2, (right + 1) // 2))
    planes = (luma[top:bottom, left:right], *(plane[half] for plane in chroma))
    part = dataclasses.replace(image, planes=planes)
    return preprocess([part], _as_it_is(bottom - top, right - left))[0]


def _as_it_is(height: int, width: int) -> InputSpec:
    """Neither resizes nor normalises."""
    return InputSpec(
        name="", height=height, width=width, resize=FIXED_SHAPE, min_dimension=0, max_dimension=0,
        mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0), pad_value=(0.0, 0.0, 0.0),
        channel_order="RGB", layout="NHWC", dtype="uint8", true_shapes_name="",
    )  # fmt: skip
