"""Every example of a set of records: where it is, and what the whole set holds.

One pass over the files checks each record's checksums and contents and notes where it begins, so
that training can read any example at once. Needs no TensorFlow.
"""

import contextlib
import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from roadmark import progress
from roadmark.data import example, tfrecord
from roadmark.data.example import AnnotatedImage
from roadmark.errors import UserError

# Smaller sets take a second or two: a progress bar would only flash.
_PROGRESS_BYTES = 2 << 30


@dataclasses.dataclass
class Finding:
    """Something that occurs in records.

    Attributes:
        count: How often.
        first: File, record and box where it occurs first.
    """

    count: int = 0
    first: str = ""

    def add(self, count: int, where: str) -> None:
        """Counts `count` more, the first of them at `where`."""
        if count and not self.count:
            self.first = where
        self.count += count


@dataclasses.dataclass
class Contents:
    """What a set of records holds, as far as a config has to agree with it.

    Attributes:
        images: Number of images.
        boxes: Number of boxes.
        classes: Each pair of label id and class name that boxes have (the name is empty where
            a record has none).
        crowded: Boxes beyond the number that the config takes per image.
        without_masks: Images with boxes and no masks.
        malformed: Boxes that are not finite or whose far edge is before the near one.
        not_images: Images whose bytes begin neither like a JPEG nor like a PNG file.
        image_classes: For each image, the label ids that are on it.
        box_sizes: For each image with boxes, float32 `[n, 4]`: height and width of each sound box
            as shares of the image, then height and width of the image in pixels.
    """

    images: int = 0
    boxes: int = 0
    classes: dict[tuple[int, str], Finding] = dataclasses.field(default_factory=dict)
    crowded: Finding = dataclasses.field(default_factory=Finding)
    without_masks: Finding = dataclasses.field(default_factory=Finding)
    malformed: Finding = dataclasses.field(default_factory=Finding)
    not_images: Finding = dataclasses.field(default_factory=Finding)
    image_classes: list[tuple[int, ...]] = dataclasses.field(default_factory=list)
    box_sizes: list[np.ndarray] = dataclasses.field(default_factory=list)

    def add(self, image: AnnotatedImage, where: str, max_boxes: int) -> None:
        """Takes one more image into account."""
        self.images += 1
        self.boxes += len(image)
        self.image_classes.append(tuple(sorted(set(image.class_ids.tolist()))))
        pairs = zip(image.class_ids.tolist(), image.class_names, strict=True)
        for box, pair in enumerate(pairs):
            self.classes.setdefault(pair, Finding()).add(1, f"{where}, box {box}")
        self.crowded.add(max(0, len(image) - max_boxes), where)
        self.without_masks.add(int(len(image) > 0 and image.masks is None), where)
        self.not_images.add(not image.encoded.startswith((b"\xff\xd8\xff", b"\x89PNG")), where)
        sound = np.isfinite(image.boxes).all(1) & (image.boxes[:, 2:] >= image.boxes[:, :2]).all(1)
        bad = np.flatnonzero(~sound)
        if bad.size:
            self.malformed.add(bad.size, f"{where}, box {bad[0]}")
        boxes = image.boxes[sound]
        if len(boxes):
            picture = np.broadcast_to([image.height, image.width], (len(boxes), 2))
            sizes = np.concatenate([boxes[:, 2:] - boxes[:, :2], picture], axis=1)
            self.box_sizes.append(sizes.astype(np.float32))

    def sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Heights and widths of all sound boxes, as shares, and of their images, in pixels."""
        rows = np.concatenate([np.zeros((0, 4), np.float32), *self.box_sizes])
        return rows[:, :2], rows[:, 2:]

    def boxes_by_class(self) -> dict[int, int]:
        """Number of boxes by label map id, in the order of the ids."""
        counts = Counter()
        for (number, _), found in self.classes.items():
            counts[number] += found.count
        return dict(sorted(counts.items()))


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """Where each example of a set of records begins.

    Attributes:
        paths: The files.
        files: int32 `[N]`, number of the file of each example.
        numbers: int32 `[N]`, number of the record in its file.
        offsets: int64 `[N]`, bytes from the beginning of the file.
        classes: For each example, the label ids that are on it.
    """

    paths: tuple[Path, ...]
    files: np.ndarray
    numbers: np.ndarray
    offsets: np.ndarray
    classes: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.offsets)

    def digest(self) -> str:
        """Tells sets of records apart: SHA-256 of each file's name and size and all offsets.

        The folder does not count, so that records may be moved.
        """
        found = hashlib.sha256()
        for path in self.paths:
            found.update(f"{path.name}\n{path.stat().st_size}\n".encode())
        found.update(self.offsets.astype("<i8").tobytes())
        return found.hexdigest()

    def frame(self, number: int) -> tfrecord.Frame:
        """The frame of an example, read anew from its file."""
        path = self.paths[self.files[number]]
        return tfrecord.frame_at(path, int(self.numbers[number]), int(self.offsets[number]))


def build(paths: Sequence[Path], max_boxes: int) -> tuple[RecordIndex, Contents]:
    """Reads every record once.

    Args:
        paths: The files.
        max_boxes: Boxes that the config takes per image.

    Raises:
        UserError: A record is damaged or is no annotated image, or there are no records.
    """
    contents = Contents()
    places = []
    with _progress(paths) as meter:
        for number, path in enumerate(paths):
            for frame in tfrecord.scan(path):
                image = example.parse(tfrecord.intact(frame), frame.where)
                contents.add(image, frame.where, max_boxes)
                places.append((number, frame.index, frame.offset))
            meter.advance()
    if not places:
        raise UserError(
            paths[0], "no records in it", "make some: bazel run //python:prepare -- --help"
        )
    files, numbers, offsets = np.array(places, np.int64).T
    index = RecordIndex(
        tuple(paths),
        files.astype(np.int32),
        numbers.astype(np.int32),
        offsets,
        tuple(contents.image_classes),
    )
    return index, contents


@contextlib.contextmanager
def _progress(paths: Sequence[Path]) -> Iterator[progress.Meter]:
    if sum(path.stat().st_size for path in paths) < _PROGRESS_BYTES:
        yield _Silent()
        return
    with progress.track("checking records", len(paths), "files") as meter:
        yield meter


class _Silent:
    def advance(self, count: int = 1, note: str = "") -> None:
        """Shows nothing."""
