"""Files of records: which ones a glob names, and what is in them."""

import dataclasses
import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from roadmark.data import example, tfrecord
from roadmark.data.example import AnnotatedImage
from roadmark.errors import UserError


def match(pattern: str) -> list[Path]:
    """The files that a glob names, sorted.

    Args:
        pattern: A glob such as `data/records/train-*`, or several with commas between them.

    Raises:
        UserError: One of the globs matches no file.
    """
    found = {path for part in pattern.split(",") for path in _match_one(part.strip())}
    return sorted(found)


def _match_one(pattern: str) -> list[Path]:
    paths = [Path(name) for name in glob.glob(pattern, recursive=True)]
    files = [path for path in paths if path.is_file()]
    if not files:
        raise UserError(
            pattern,
            "no records match",
            "name files that exist, or make some with: "
            "bazel run //python:prepare -- --from=synthetic",
        )
    return files


def read(paths: Sequence[Path]) -> Iterator[AnnotatedImage]:
    """Yields the pictures of all files in order.

    Raises:
        UserError: A record is damaged or is no annotated picture.
    """
    for path in paths:
        for frame in tfrecord.scan(path):
            yield example.parse(tfrecord.intact(frame), frame.where)


@dataclasses.dataclass
class ClassUse:
    """How one class id is used in records.

    Attributes:
        id: The label map id.
        boxes: How many boxes have it.
        names: The names that records give it; empty strings left out.
        first: File, record and box where it occurs first.
    """

    id: int
    boxes: int
    names: set[str]
    first: str


@dataclasses.dataclass
class Survey:
    """What a set of records holds, as far as a pipeline config has to agree with it.

    Attributes:
        images: Number of pictures.
        boxes: Number of boxes.
        with_masks: Number of pictures with masks.
        classes: By class id.
    """

    images: int
    boxes: int
    with_masks: int
    classes: dict[int, ClassUse]


def survey(paths: Sequence[Path]) -> Survey:
    """Reads every record once and counts what is in it.

    Raises:
        UserError: A record is damaged or is no annotated picture.
    """
    found = Survey(images=0, boxes=0, with_masks=0, classes={})
    for path in paths:
        for frame in tfrecord.scan(path):
            _count(found, example.parse(tfrecord.intact(frame), frame.where), frame.where)
    return found


def _count(found: Survey, image: AnnotatedImage, where: str) -> None:
    found.images += 1
    found.boxes += len(image)
    found.with_masks += image.masks is not None
    labels = zip(image.class_ids.tolist(), image.class_names, strict=True)
    for box, (number, name) in enumerate(labels):
        use = found.classes.setdefault(number, ClassUse(number, 0, set(), f"{where}, box {box}"))
        use.boxes += 1
        if name:
            use.names.add(name)
