"""Evaluation of detections on TFRecords."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from roadmark import progress
from roadmark.data import example, records, tfrecord
from roadmark.data.example import AnnotatedImage
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.evaluation.coco import BOXES, MASKS, CocoEvaluator, CocoMetrics, GroundTruth
from roadmark.odapi.label_map import LabelMap

Detect = Callable[[Sequence[np.ndarray]], Sequence[Detections]]

OnPicture = Callable[[AnnotatedImage, GroundTruth, Detections], None]
"""Is told what each record's picture has marked and what was found in it."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Records to evaluate on, in order.

    Attributes:
        source: The glob that named the files.
        paths: The files.
        total: Number of records in them.
        picked: Numbers of the chosen records, ascending.
        counts: Number of records in each of the files.
    """

    source: str
    paths: tuple[Path, ...]
    total: int
    picked: tuple[int, ...]
    counts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.picked)

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Yields place (file and record) and data of each chosen record.

        Raises:
            UserError: A record is damaged.
        """
        picked, first = set(self.picked), 0
        for path, count in zip(self.paths, self.counts, strict=True):
            numbers = range(first, first + count)
            first += count
            if picked.isdisjoint(numbers):
                continue
            for number, frame in zip(numbers, tfrecord.scan(path), strict=False):
                if number in picked:
                    yield frame.where, tfrecord.intact(frame)


def select(source: str, subset: int = 0) -> Selection:
    """Chooses records to evaluate on.

    Args:
        source: A glob, or several with commas between them.
        subset: How many, spread evenly because neighbours are often near-duplicates; 0 for all.

    Raises:
        UserError: No file matches, or the files hold no record.
    """
    paths = tuple(records.match(source))
    counts = tuple(sum(1 for _ in tfrecord.scan(path)) for path in paths)
    total = sum(counts)
    if not total:
        raise UserError(source, "found no records", "make some with: bazel run //python:prepare")
    count = min(subset, total) if subset > 0 else total
    picked = tuple(index * total // count for index in range(count))
    return Selection(source, paths, total, picked, counts)


def detect_all(selection: Selection, detect: Detect, batch_size: int) -> Iterator[Detections]:
    """Yields the detections of each chosen record's picture.

    Args:
        selection: The records.
        detect: Takes a batch of pictures, uint8 `[H, W, 3]` RGB each.
        batch_size: How many pictures to hand over at a time.

    Raises:
        UserError: A record is damaged or its picture cannot be decoded.
    """
    chosen = selection.records()
    while batch := list(itertools.islice(chosen, batch_size)):
        yield from detect([picture(example.parse(record, where), where) for where, record in batch])


def evaluate(
    selection: Selection,
    detections: Iterable[Detections],
    label_map: LabelMap,
    with_masks: bool = False,
    on_picture: OnPicture | None = None,
) -> CocoMetrics:
    """COCO metrics of detections on the chosen records, with a progress bar.

    Args:
        selection: The records.
        detections: One per chosen record, in order.
        label_map: The classes that the model knows.
        with_masks: Whether to compare masks too.
        on_picture: Sees every picture.

    Raises:
        UserError: A record is damaged, has a class that the label map lacks or names differently,
            or lacks masks that are to be compared; or no record has any ground truth.
    """
    evaluator = CocoEvaluator(label_map.names, (BOXES, MASKS) if with_masks else (BOXES,))
    objects = 0
    with progress.track("evaluating", len(selection), "images") as meter:
        for (where, record), found in zip(selection.records(), detections, strict=True):
            image = example.parse(record, where)
            _check_classes(image, where, label_map)
            truth = ground_truth(image, where, with_masks)
            evaluator.add(truth, found)
            if on_picture is not None:
                on_picture(image, truth, found)
            objects += len(image)
            meter.advance()
    if not objects:
        raise UserError(
            selection.source,
            f"found no ground truth in {len(selection)} records",
            "evaluate on records with boxes",
        )
    return evaluator.metrics()


def ground_truth(image: AnnotatedImage, where: str, with_masks: bool) -> GroundTruth:
    """What is marked in a record, in pixels of its picture.

    Raises:
        UserError: Masks are wanted and there are none, or one cannot be decoded.
    """
    return GroundTruth(
        height=image.height,
        width=image.width,
        boxes=image.boxes_in_pixels,
        classes=image.class_ids.astype(np.int32),
        is_crowd=image.is_crowd,
        masks=_masks(image, where) if with_masks else None,
    )


def picture(image: AnnotatedImage, where: str) -> np.ndarray:
    """A record's picture as uint8 `[H, W, 3]` RGB, not turned by EXIF, as TensorFlow decodes it.

    Raises:
        UserError: The bytes are no picture.
    """
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return _decoded(image.encoded, flags, where, "image/encoded")


def _masks(image: AnnotatedImage, where: str) -> np.ndarray:
    if image.masks is None and len(image):
        raise UserError(
            where,
            "found no masks, but the model predicts them",
            "evaluate on records with instance masks",
        )
    masks = np.zeros((len(image), image.height, image.width), np.bool_)
    for mask, encoded in zip(masks, image.masks or (), strict=True):
        mask[:] = _decoded(encoded, cv2.IMREAD_GRAYSCALE, where, "image/object/mask") > 0
    return masks


def _decoded(encoded: bytes, flags: int, where: str, key: str) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None
    if pixels is None:
        raise UserError(
            where,
            f"{key} is not a picture",
            "`bazel run //python:prepare -- --check --records=...` lists every such record",
        )
    return pixels


def _check_classes(image: AnnotatedImage, where: str, label_map: LabelMap) -> None:
    known = {category.id: category for category in label_map.categories}
    for box, (number, name) in enumerate(zip(image.class_ids, image.class_names, strict=True)):
        category = known.get(int(number))
        if category is None:
            raise UserError(
                f"{where}, box {box}",
                f"found class id {number} ({name or 'without a name'}), expected one of "
                f"{label_map.source}: {_listed(label_map)}",
                "evaluate on records that were made with the model's label map",
            )
        if name and name not in (category.name, category.display_name):
            raise UserError(
                f"{where}, box {box}",
                f"found {name!r} for class id {number}, which is {category.shown!r} in "
                f"{label_map.source}",
                "evaluate on records that were made with the model's label map",
            )


def _listed(label_map: LabelMap) -> str:
    return ", ".join(f"{number} {name}" for number, name in label_map.names.items())
