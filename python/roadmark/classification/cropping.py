"""Cuts the background of a class set away: each picture's main car, found by a detector.

No picture is lost: where no car is found, or only with a low score, the whole picture goes on, is
counted, and stands in `crops.csv` with the reason.
"""

import csv
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from roadmark import atomic
from roadmark.classification import class_set, crop_samples, pictures
from roadmark.classification.class_set import Box, ClassSet, Entry
from roadmark.classification.crop_samples import Sample
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.inference.detector import Detector
from roadmark.progress import Meter

CUT, MASK = MODES = ("cut", "mask")
LOG = "crops.csv"
# Names of classes that a car may go by, in lower case; a detector that knows none is taken whole.
_VEHICLES = {"vehicle", "car", "truck", "bus", "van", "suv", "pickup", "motorcycle"}
# What the detector is asked for, so that low scores can be told from nothing at all.
_WEAKEST = 0.05
# ImageNet's mean, which a classifier sees as nothing.
_FILL = (124, 116, 104)
_JPEG_QUALITY = 95
_FOUND, _LOW, _NOTHING = "car", "whole picture: low score", "whole picture: no car found"
_NO_BOX = "whole picture: no box in the set"


@dataclasses.dataclass(frozen=True)
class Options:
    """How to crop.

    Attributes:
        margin: Share of the box's sides that is kept around it.
        mode: `cut` to the box with its margin, or `mask` everything outside of it.
        score_threshold: Cars with this score or less are not trusted.
        classes: Names of the detector's classes that count as cars; vehicles when empty.
    """

    margin: float = 0.1
    mode: str = CUT
    score_threshold: float = 0.3
    classes: tuple[str, ...] = ()


@dataclasses.dataclass
class Batch:
    """Pictures that go through the stages together.

    Attributes:
        entries: Of the class set.
        images: uint8 RGB each, once decoded.
        inputs: Of the detector.
        outputs: Of the detector.
        chosen: For each picture its car's box, score, mask and what to say.
    """

    entries: Sequence[Entry]
    images: list[np.ndarray] = dataclasses.field(default_factory=list)
    inputs: Any = None
    outputs: Any = None
    chosen: list["Choice"] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.entries)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What is kept of a picture.

    Attributes:
        box: `[ymin, xmin, ymax, xmax]` in pixels, or None for the whole.
        score: Of the detector; 1 for a box of the set, 0 where nothing was found.
        outcome: In words.
        mask: bool `[H, W]`, or None.
    """

    box: Box | None
    score: float
    outcome: str
    mask: np.ndarray | None = None


Stages = list[tuple[str, Callable[[Batch], Any]]]


class Cropper:
    """The stages of cropping, to be run one after the other or all at the same time.

    Args:
        source: The class set.
        folder: Where the cropped one is written.
        options: How.
        detector: Finds the cars; None to take the boxes of the set.
        meter: Counts pictures.

    Raises:
        UserError: The detector does not know a class, or the set has no boxes.
    """

    def __init__(
        self,
        source: ClassSet,
        folder: Path,
        options: Options,
        detector: Detector | None,
        meter: Meter,
    ) -> None:
        self._source, self._folder, self._options = source, folder, options
        self._detector, self._meter = detector, meter
        self._ids = None if detector is None else _class_ids(detector, options.classes)
        if detector is None and not any(entry.box for entry in source.entries):
            raise UserError(
                source.folder / class_set.INDEX, "no picture has a box", "give --detector=EXPORT"
            )
        self._rows: dict[str, tuple[Entry, Choice]] = {}

    def batches(self, size: int) -> Iterator[Batch]:
        """The pictures, so many at a time."""
        entries = self._source.entries
        for start in range(0, len(entries), size):
            yield Batch(entries[start : start + size])

    def stages(self) -> Stages:
        """Names and functions, each of which takes a batch and gives it on."""
        if self._detector is None:
            return [("decode", self._decode), ("choose", self._annotated), ("cut", self._write)]
        return [
            ("decode", self._decode),
            ("pre-process", self._preprocess),
            ("infer", self._infer),
            ("post-process", self._choose),
            ("cut", self._write),
        ]

    def finish(self, about: dict[str, Any]) -> str:
        """Writes index and log once all batches went through, and returns a summary."""
        pairs = [self._rows[entry.path] for entry in self._source.entries]
        outcomes = Counter(choice.outcome for _, choice in pairs)
        about = {
            "cropped_from": self._source.data_version,
            "crop": dataclasses.asdict(self._options),
            "outcomes": dict(outcomes),
            **about,
        }
        version = class_set.write(self._folder, self._source.classes, [e for e, _ in pairs], about)
        self._write_log(pairs)
        self._write_samples(pairs)
        kept = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        text = f"{len(pairs)} pictures: {kept}\ndata version {version[:16]}\n"
        atomic.write_text(self._folder / class_set.REPORT, text)
        return text

    def _decode(self, batch: Batch) -> Batch:
        folder = self._source.folder
        batch.images = [pictures.read(folder / e.path, e.sha256) for e in batch.entries]
        return batch

    def _preprocess(self, batch: Batch) -> Batch:
        batch.inputs = self._detector.preprocess(batch.images)
        return batch

    def _infer(self, batch: Batch) -> Batch:
        batch.outputs = self._detector.outputs(self._detector.start(batch.inputs))
        return batch

    def _choose(self, batch: Batch) -> Batch:
        found = self._detector.postprocess(batch.outputs, batch.inputs, _WEAKEST)
        batch.inputs = batch.outputs = None
        batch.chosen = [main_car(one, self._ids, self._options.score_threshold) for one in found]
        return batch

    def _annotated(self, batch: Batch) -> Batch:
        batch.chosen = [
            Choice(e.box, 1.0, "box of the set") if e.box else Choice(None, 0.0, _NO_BOX)
            for e in batch.entries
        ]
        return batch

    def _write(self, batch: Batch) -> None:
        for entry, image, choice in zip(batch.entries, batch.images, batch.chosen, strict=True):
            cropped = crop(image, choice, self._options.margin, self._options.mode)
            bgr = cv2.cvtColor(cropped, cv2.COLOR_RGB2BGR)
            quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
            encoded = cv2.imencode(".jpg", bgr, quality)[1].tobytes()
            path = f"{entry.path.rsplit('.', 1)[0]}.jpg"
            target = self._folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(encoded)
            digest = hashlib.sha256(encoded).hexdigest()
            kept = choice.box if self._options.mode == MASK else None
            made = dataclasses.replace(entry, path=path, sha256=digest, box=kept)
            self._rows[entry.path] = (made, dataclasses.replace(choice, mask=None))
            self._meter.advance()

    def _write_log(self, pairs: Sequence[tuple[Entry, Choice]]) -> None:
        path = self._folder / LOG
        with atomic.atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "outcome", "score", "ymin", "xmin", "ymax", "xmax"))
            for entry, choice in pairs:
                box = [f"{side:.1f}" for side in choice.box or ()] or [""] * 4
                writer.writerow((entry.path, choice.outcome, f"{choice.score:.4f}", *box))

    def _write_samples(self, pairs: Sequence[tuple[Entry, Choice]]) -> None:
        chosen = crop_samples.choose([choice.outcome for _, choice in pairs])
        samples = [
            Sample(
                self._source.folder / self._source.entries[index].path,
                self._folder / pairs[index][0].path,
                pairs[index][1].box,
                pairs[index][1].outcome,
                pairs[index][1].score,
            )
            for index in chosen
        ]
        crop_samples.write(samples, self._folder / crop_samples.FILE)


def main_car(found: Detections, ids: Sequence[int], score_threshold: float) -> Choice:
    """The car that a picture is of: the one with the largest product of score and area.

    Args:
        found: All that was detected.
        ids: Classes that count as cars.
        score_threshold: A car with this score or less is not trusted.
    """
    cars = found.select(np.isin(found.classes, ids))
    if not len(cars):
        return Choice(None, 0.0, _NOTHING)
    trusted = cars.select(cars.scores > score_threshold)
    if not len(trusted):
        return Choice(None, float(cars.scores.max()), _LOW)
    sizes = trusted.boxes[:, 2:] - trusted.boxes[:, :2]
    best = int(np.argmax(trusted.scores * sizes.prod(axis=1)))
    mask = None if trusted.masks is None else trusted.masks[best]
    box = tuple(float(side) for side in trusted.boxes[best])
    return Choice(box, float(trusted.scores[best]), _FOUND, mask)


def crop(image: np.ndarray, choice: Choice, margin: float, mode: str) -> np.ndarray:
    """What is kept of a picture.

    Args:
        image: uint8 `[H, W, 3]` RGB.
        choice: Its car.
        margin: Share of the box's sides that is kept around it.
        mode: One of `MODES`.

    Returns:
        For `cut` the part within the box and margin; for `mask` a picture of the same size whose
        other pixels are grey, following the car's mask where the detector has one.
    """
    if choice.box is None:
        return image
    ymin, xmin, ymax, xmax = choice.box
    high, wide = margin * (ymax - ymin), margin * (xmax - xmin)
    top, left = max(int(ymin - high), 0), max(int(xmin - wide), 0)
    bottom = min(int(np.ceil(ymax + high)), image.shape[0])
    right = min(int(np.ceil(xmax + wide)), image.shape[1])
    if bottom - top < 2 or right - left < 2:
        return image
    if mode == CUT:
        return image[top:bottom, left:right]
    kept = np.zeros(image.shape[:2], np.uint8)
    kept[top:bottom, left:right] = 1
    if choice.mask is not None:
        reach = 1 + 2 * max(int(max(high, wide)), 1)
        kept &= cv2.dilate(choice.mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    return np.where(kept[:, :, None] > 0, image, np.array(_FILL, np.uint8))


def _class_ids(detector: Detector, names: Sequence[str]) -> list[int]:
    known = {name: class_id for class_id, name in detector.label_map.items()}
    for name in names:
        if name not in known:
            raise UserError(
                "--classes", f"found {name!r}", f"this detector knows: {', '.join(sorted(known))}"
            )
    if names:
        return [known[name] for name in names]
    return vehicle_ids(detector.label_map)


def vehicle_ids(label_map: Mapping[int, str]) -> list[int]:
    """Ids of the classes that are vehicles by their names; all where none is."""
    vehicles = [class_id for class_id, name in label_map.items() if name.lower() in _VEHICLES]
    return vehicles or list(label_map)
