"""Records in the OD API's layout that exist already.

A class is known by its name where a record has one, else by its id, as in the OD API's decoder.
The label map is the one given, else a .pbtxt file beside the records. A file whose name is not
that of a shard (`x-00000-of-00010`) is taken to be one drive, whose frames stay together.
"""

import dataclasses
import re
from collections import Counter
from pathlib import Path

from roadmark.data import example, layout, records, tfrecord
from roadmark.data.example import AnnotatedImage
from roadmark.data.findings import Ledger, Rule
from roadmark.data.formats.request import Request
from roadmark.data.source import Loaded, SourceImage, SourceObject, SourceSet, Units
from roadmark.errors import UserError
from roadmark.odapi import label_map as label_maps
from roadmark.odapi.label_map import LabelMap

_SUFFIXES = (".tfrecord", ".tfrecords", ".record", ".records")
_SHARD = re.compile(r"-\d{5}-of-\d{5}")


def detect(root: Path) -> bool:
    """Whether a folder holds record files."""
    return bool(_files(root))


def read(request: Request) -> SourceSet:
    """Reads every record of a folder, or of the files that a glob names.

    Raises:
        UserError: There are none.
    """
    root = Path(request.input)
    files = _files(root) if root.is_dir() else records.match(request.input)
    if not files:
        raise UserError(
            str(root), "no record files here", "name them, such as --input='x/*.record'"
        )
    root = root if root.is_dir() else files[0].parent
    label_map = request.label_map or _label_map_beside(root)
    reader = _Reader(label_map, request.num_classes)
    for file in files:
        inside = file.is_relative_to(root)
        reader.add(file, layout.split_of(file, root) if inside else None)
    return reader.finish()


@dataclasses.dataclass(frozen=True)
class Classes:
    """How the classes in records are named.

    Attributes:
        label_map: The label map, or None where only the records tell.
        num_classes: Highest id allowed, or None.
    """

    label_map: LabelMap | None
    num_classes: int | None = None

    def resolve(self, number: int, text: str) -> tuple[str, Rule | None]:
        """The name of a class, and the rule that it breaks."""
        name, rule = self._known(number, text)
        used = self.id_of(name, number)
        if (
            self.num_classes is not None
            and rule in (None, Rule.NAME_WINS)
            and used > self.num_classes
        ):
            return name, Rule.BEYOND_NUM_CLASSES
        return name, rule

    def id_of(self, name: str, number: int) -> int:
        """The label map's id of a name; the record's own where there is no label map."""
        known = self.label_map.id_of(name) if self.label_map else None
        return number if known is None else known

    def _known(self, number: int, text: str) -> tuple[str, Rule | None]:
        if self.label_map is None:
            return text or str(number), None if text or number > 0 else Rule.UNKNOWN_CLASS
        if text:
            number_of_text = self.label_map.id_of(text)
            if number_of_text is None:
                return text, Rule.UNKNOWN_CLASS
            name = _name(self.label_map, number_of_text)
            return name, None if number in (number_of_text, 0) else Rule.NAME_WINS
        if number not in self.label_map.ids:
            return str(number), Rule.UNKNOWN_CLASS
        return _name(self.label_map, number), None


@dataclasses.dataclass(frozen=True)
class RecordContents:
    """Reads a picture from a record.

    Attributes:
        path: The file.
        index: Number of the record.
        offset: Byte at which it begins.
        classes: Names of the classes.
    """

    path: Path
    index: int
    offset: int
    classes: Classes

    def __call__(self) -> Loaded:
        """Reads the record."""
        frame = tfrecord.frame_at(self.path, self.index, self.offset)
        return contents(example.parse(tfrecord.intact(frame), frame.where), self.classes)


def contents(image: AnnotatedImage, classes: Classes) -> Loaded:
    """A picture and its objects, without those whose class breaks a rule."""
    objects = []
    for number in range(len(image)):
        name, rule = classes.resolve(int(image.class_ids[number]), image.class_names[number])
        if rule not in (None, Rule.NAME_WINS):
            continue
        objects.append(
            SourceObject(
                box=tuple(image.boxes[number].tolist()),
                class_name=name,
                place=f"box {number}",
                is_crowd=bool(image.is_crowd[number]),
                difficult=bool(image.difficult[number]),
                mask=image.masks[number] if image.masks else None,
            )
        )
    return Loaded(image.encoded, tuple(objects))


class _Reader:
    def __init__(self, label_map: LabelMap | None, num_classes: int | None):
        self._classes = Classes(label_map, num_classes)
        self._ledger = Ledger()
        self._images: list[SourceImage] = []
        self._names: dict[str, int] = {}
        self._class_ids: dict[str, int] = {}
        self._unread: Counter[str] = Counter()
        self._first_unread: dict[str, str] = {}
        self._has_masks = False

    def add(self, file: Path, split: str | None) -> None:
        for frame in tfrecord.scan(file):
            if frame.fault is not None:
                self._ledger.add(Rule.DAMAGED_RECORD, frame.where, frame.fault)
                continue
            try:
                image = example.parse(frame.data, frame.where)
            except UserError as error:
                self._ledger.add(Rule.DAMAGED_RECORD, frame.where, error.problem)
                continue
            self._add_image(frame, image, split)

    def finish(self) -> SourceSet:
        for key, count in sorted(self._unread.items()):
            found = f"{key} in {count} records, first here"
            self._ledger.add(Rule.OTHER_FEATURE, self._first_unread[key], found)
        label_map = self._classes.label_map
        if label_map is not None:
            ids = {_name(label_map, number): number for number in label_map.ids}
        else:
            ids = dict(sorted(self._class_ids.items(), key=lambda item: (item[1], item[0])))
        return SourceSet(tuple(self._images), ids, self._has_masks, self._ledger)

    def _add_image(self, frame: tfrecord.Frame, image: AnnotatedImage, split: str | None) -> None:
        self._has_masks |= image.masks is not None
        self._unread.update(image.unread)
        for key in image.unread:
            self._first_unread.setdefault(key, frame.where)
        sharded = _SHARD.search(frame.path.name) is not None
        name = self._unique_name(frame, image)
        self._images.append(
            SourceImage(
                name=name,
                where=frame.where,
                load=RecordContents(frame.path, frame.index, frame.offset, self._classes),
                units=Units.NORMALISED,
                classes=tuple(self._judge_classes(frame, image)),
                split=split,
                group=layout.group_of(image.filename) if sharded else str(frame.path),
                stated_size=(image.height, image.width),
                source_id=image.source_id if name == image.filename else "",
            )
        )

    def _unique_name(self, frame: tfrecord.Frame, image: AnnotatedImage) -> str:
        count = self._names[image.filename] = self._names.get(image.filename, 0) + 1
        if count == 1 and image.filename:
            return image.filename
        self._ledger.add(Rule.RENAME_IMAGE, frame.where, f"image/filename {image.filename!r}")
        return f"{image.filename or frame.path.name}#{count}"

    def _judge_classes(self, frame: tfrecord.Frame, image: AnnotatedImage) -> list[str]:
        names = []
        for box, (number, text) in enumerate(
            zip(image.class_ids.tolist(), image.class_names, strict=True)
        ):
            name, rule = self._classes.resolve(number, text)
            if rule is not None:
                found = f"id {number}, name {text!r}"
                self._ledger.add(rule, f"{frame.where}, box {box}", found)
            if rule in (None, Rule.NAME_WINS):
                names.append(name)
                self._class_ids.setdefault(name, number)
        return names


def _files(root: Path) -> list[Path]:
    named = layout.find(root, _SUFFIXES)
    sharded = (path for path in root.rglob("*-of-*") if _SHARD.search(path.name))
    return sorted({*named, *(path for path in sharded if path.is_file())})


def _label_map_beside(root: Path) -> LabelMap | None:
    found = layout.find(root, {".pbtxt"})
    if len(found) > 1:
        raise UserError(
            str(root),
            f"{len(found)} .pbtxt files: {', '.join(path.name for path in found)}",
            "say which is the label map with --label_map=",
        )
    return label_maps.load(found[0]) if found else None


def _name(label_map: LabelMap, number: int) -> str:
    return next(c.name for c in label_map.categories if c.id == number)
