"""What a format reader hands on: pictures and the objects in them, as found, not yet judged."""

import dataclasses
import enum
from collections.abc import Callable
from pathlib import Path

from roadmark.data.findings import Ledger


@dataclasses.dataclass(frozen=True, slots=True)
class Polygons:
    """The outline of an object.

    Attributes:
        parts: Each `x1, y1, x2, y2, ...` in the units of the object's box.
    """

    parts: tuple[tuple[float, ...], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class RunLengths:
    """A mask as COCO run lengths: column by column, background first.

    Attributes:
        counts: The runs, or COCO's compressed string of them.
        height: Pixels.
        width: Pixels.
    """

    counts: tuple[int, ...] | str
    height: int
    width: int


# A PNG file is a mask too, as records hold them.
Mask = Polygons | RunLengths | bytes


class Units(enum.Enum):
    """What coordinates are counted in."""

    PIXELS = "pixels"
    NORMALISED = "share of the picture's width and height"


@dataclasses.dataclass(frozen=True, slots=True)
class SourceObject:
    """One object as an annotation file describes it.

    Attributes:
        box: `(ymin, xmin, ymax, xmax)` in the units of its image, however wrong; None when only
            a mask is given.
        class_name: Name of its class.
        place: Where in the annotation file: a line, an id.
        is_crowd: One box around several objects.
        difficult: Pascal VOC's flag.
        mask: In the units of its image, or None.
    """

    box: tuple[float, float, float, float] | None
    class_name: str
    place: str
    is_crowd: bool = False
    difficult: bool = False
    mask: Mask | None = None


@dataclasses.dataclass(frozen=True)
class Loaded:
    """The contents of a picture.

    Attributes:
        encoded: The picture file's bytes.
        objects: What is in it.
    """

    encoded: bytes
    objects: tuple[SourceObject, ...]


@dataclasses.dataclass(frozen=True)
class FileContents:
    """Reads a picture from its own file.

    Attributes:
        path: The picture file.
        objects: What is in it.
    """

    path: Path
    objects: tuple[SourceObject, ...]

    def __call__(self) -> Loaded:
        """Reads the file."""
        return Loaded(self.path.read_bytes(), self.objects)


@dataclasses.dataclass(frozen=True)
class SourceImage:
    """One picture of a set.

    Attributes:
        name: Unique in its set; becomes `image/filename`.
        where: The annotation file (or record) that describes it, for messages.
        load: Reads its contents; can be sent to another process.
        units: Of its boxes and masks.
        classes: Class names of its objects, as far as known without loading; a split is chosen
            by them.
        split: `train`, `val` or `test` where the set says so, else None.
        group: Pictures of one group (a drive, a clip, copies of one photo) stay together.
        stated_size: `(height, width)` by the annotations, or None where they say nothing.
        source_id: The set's own id of the picture; empty where it has none.
    """

    name: str
    where: str
    load: Callable[[], Loaded]
    units: Units
    classes: tuple[str, ...]
    split: str | None
    group: str
    stated_size: tuple[int, int] | None = None
    source_id: str = ""


@dataclasses.dataclass(frozen=True)
class SourceSet:
    """A data set as read.

    Attributes:
        images: All pictures.
        class_ids: Every class name with the set's own id of it, in the set's order; ids are None
            where the format has only names.
        has_masks: Whether any object has a mask; then every object gets one.
        ledger: What the reader found wrong.
    """

    images: tuple[SourceImage, ...]
    class_ids: dict[str, int | None]
    has_masks: bool
    ledger: Ledger


def of_file(
    path: Path,
    name: str,
    where: str,
    objects: tuple[SourceObject, ...],
    *,
    units: Units,
    split: str | None,
    group: str,
    stated_size: tuple[int, int] | None = None,
    source_id: str = "",
) -> SourceImage:
    """A picture in a file of its own; the arguments are those of `SourceImage`."""
    return SourceImage(
        name=name,
        where=where,
        load=FileContents(path, objects),
        units=units,
        classes=tuple(item.class_name for item in objects),
        split=split,
        group=group,
        stated_size=stated_size,
        source_id=source_id,
    )
