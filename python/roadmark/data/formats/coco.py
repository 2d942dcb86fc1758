"""COCO JSON (https://cocodataset.org/#format-data), also as Roboflow and CVAT export it.

One file or several: `annotations/instances_train2017.json`, `train/_annotations.coco.json`, ...
Pictures are looked for by name below the data set's folder.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roadmark.data import layout
from roadmark.data.findings import Ledger, Rule
from roadmark.data.formats.request import Request
from roadmark.data.source import (
    Mask,
    Polygons,
    RunLengths,
    SourceImage,
    SourceObject,
    SourceSet,
    Units,
    of_file,
)
from roadmark.errors import UserError

_IDS = ("id", "image_id", "category_id")
_KEYS = ("images", "annotations", "categories")
_LISTED = ("images", "annotations")
_HEAD_CHARACTERS = 1 << 20
_STRING_OR_BRACKET = re.compile(r'"((?:[^"\\]|\\.)*)"|[][{}]')


def detect(root: Path) -> bool:
    """Whether a folder holds COCO JSON files."""
    return bool(_files(root))


def read(request: Request) -> SourceSet:
    """Reads all COCO files of a folder, or the one file that `input` names.

    Raises:
        UserError: No such file, a file that is not COCO JSON, or categories that contradict each
            other.
    """
    given = Path(request.input)
    if given.is_file():
        files = [given]
        root = given.parent.parent if given.parent.name == "annotations" else given.parent
    else:
        root = request.folder
        files = _files(root)
    if not files:
        raise UserError(str(root), "no COCO JSON file here", "name one with --input=FILE.json")
    index = layout.ImageIndex(request.images or root)
    reader = _Reader(index)
    for file in files:
        reader.add(file, layout.split_of(file, root) if len(files) > 1 else None)
    return reader.finish()


def _files(root: Path) -> list[Path]:
    found = [path for path in layout.find(root, {".json"}) if _looks_like_coco(path)]
    # The official set has captions and keypoints of the same pictures beside the boxes.
    instances = [path for path in found if path.name.startswith("instances")]
    return instances or found


def _looks_like_coco(path: Path) -> bool:
    """Whether pictures or annotations are listed at the top level, as far as the head tells.

    The files of the official set are hundreds of megabytes, so they are not parsed for this.
    """
    with open(path, encoding="utf-8", errors="replace") as stream:
        head = stream.read(_HEAD_CHARACTERS)
    depth, last = 0, ""
    for found in _STRING_OR_BRACKET.finditer(head):
        token = found.group()
        if token in ("{", "["):
            if depth == 0 and token == "[":
                return False
            if depth == 1 and token == "[" and last in _LISTED:
                return True
            depth += 1
        elif token in ("}", "]"):
            depth -= 1
        elif depth == 1:
            last = found.group(1)
    return False


class _Reader:
    def __init__(self, index: layout.ImageIndex):
        self._index = index
        self._ledger = Ledger()
        self._class_ids: dict[str, int | None] = {}
        self._pictures: dict[Path, SourceImage] = {}
        self._objects: dict[Path, list[SourceObject]] = {}
        self._ids: Counter = Counter()
        self._has_masks = False

    def add(self, file: Path, split: str | None) -> None:
        content = _load(file)
        names = self._categories(file, content["categories"])
        paths = self._images(file, content["images"], split)
        seen: set = set()
        for position, annotation in self._entries(file, "annotations", content["annotations"]):
            self._annotation(file, position, annotation, names, paths, seen)

    def finish(self) -> SourceSet:
        images = []
        for path, picture in self._pictures.items():
            unique = self._ids[picture.source_id] == 1
            images.append(
                of_file(
                    path,
                    picture.name,
                    picture.where,
                    tuple(self._objects[path]),
                    units=Units.PIXELS,
                    split=picture.split,
                    group=picture.group,
                    stated_size=picture.stated_size,
                    source_id=picture.source_id if unique else "",
                )
            )
        for path in self._index.paths:
            if path not in self._pictures:
                self._ledger.add(Rule.NO_ANNOTATION, str(path), "in no COCO file")
        return SourceSet(tuple(images), self._class_ids, self._has_masks, self._ledger)

    def _entries(self, file: Path, key: str, entries: list) -> Iterator[tuple[int, dict]]:
        """Position and entry of the objects in a list whose ids can be compared."""
        for position, entry in enumerate(entries):
            where = f"{file}: {key}[{position}]"
            if not isinstance(entry, dict):
                self._ledger.add(Rule.MALFORMED, where, f"{str(entry)[:60]!r}, expected an object")
                continue
            ids = [name for name in _IDS if isinstance(entry.get(name), dict | list)]
            if ids:
                found = f"{ids[0]} {str(entry[ids[0]])[:60]}, expected a number"
                self._ledger.add(Rule.MALFORMED, where, found)
                continue
            yield position, entry

    def _categories(self, file: Path, categories: list) -> dict[int | str, str]:
        names: dict[int | str, str] = {}
        numbered = []
        for position, entry in self._entries(file, "categories", categories):
            if isinstance(entry.get("id"), int | str):
                numbered.append(entry)
                continue
            found = f"id {entry.get('id')}, expected a number"
            self._ledger.add(Rule.MALFORMED, f"{file}: categories[{position}]", found)
        # Numbers before texts, which do not compare with each other.
        for entry in sorted(numbered, key=lambda e: (isinstance(e["id"], str), e["id"])):
            number, name = entry["id"], str(entry.get("name", "")).strip()
            if number in names and names[number] != name:
                raise UserError(
                    str(file),
                    f"category id {number} is both {names[number]!r} and {name!r}",
                    "give every category an id of its own",
                )
            names[number] = name
            self._class_ids.setdefault(name, number)
        return names

    def _images(self, file: Path, entries: list, split: str | None) -> dict[Any, Path | None]:
        paths: dict[Any, Path | None] = {}
        for position, entry in self._entries(file, "images", entries):
            number, file_name = entry.get("id"), str(entry.get("file_name", ""))
            where = f"{file}: image {number} (entry {position})"
            if number in paths:
                self._ledger.add(Rule.DUPLICATE_IMAGE_ID, where, file_name)
                continue
            path = self._index.by_file_name(file_name, file)
            paths[number] = path
            if path is None:
                self._ledger.add(Rule.MISSING_IMAGE, where, f"no picture {file_name!r}")
            elif path in self._pictures:
                self._ledger.add(Rule.DUPLICATE_ENTRY, where, file_name)
            else:
                self._picture(file, path, entry, split)
        return paths

    def _picture(self, file: Path, path: Path, entry: dict, split: str | None) -> None:
        source_id = str(entry.get("id", ""))
        self._ids[source_id] += 1
        self._objects[path] = []
        self._pictures[path] = of_file(
            path,
            self._index.name_of(path),
            str(file),
            (),
            units=Units.PIXELS,
            split=split,
            group=layout.group_of(self._index.name_of(path)),
            stated_size=_stated_size(entry),
            source_id=source_id,
        )

    def _annotation(
        self,
        file: Path,
        position: int,
        annotation: dict,
        names: dict[int | str, str],
        paths: dict[Any, Path | None],
        seen: set,
    ) -> None:
        number = annotation.get("id")
        place = f"annotation {number}" if number is not None else f"annotations[{position}]"
        where = f"{file}: {place}"
        if number is not None and number in seen:
            self._ledger.add(Rule.DUPLICATE_OBJECT_ID, where, f"annotations[{position}]")
        seen.add(number)
        image_id, category = annotation.get("image_id"), annotation.get("category_id")
        if image_id not in paths:
            self._ledger.add(Rule.UNKNOWN_IMAGE_ID, where, f"image_id {image_id}")
        elif category not in names:
            self._ledger.add(Rule.UNKNOWN_CLASS, where, f"category_id {category}")
        elif (path := paths[image_id]) is None:
            self._ledger.add(Rule.MISSING_IMAGE, where, f"image {image_id} is not there")
        else:
            self._object(where, place, annotation, names[category], path)

    def _object(self, where: str, place: str, annotation: dict, name: str, path: Path) -> None:
        try:
            box, mask = _box(annotation.get("bbox")), _mask(annotation.get("segmentation"))
        except (TypeError, ValueError, OverflowError) as error:
            self._ledger.add(Rule.MALFORMED, where, str(error))
            return
        self._has_masks |= mask is not None
        crowd = bool(annotation.get("iscrowd", 0))
        self._objects[path].append(SourceObject(box, name, place, is_crowd=crowd, mask=mask))


def _load(file: Path) -> dict:
    cure = "export it again as COCO JSON"
    try:
        content = json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        where = f"{file}: line {error.lineno} column {error.colno}"
        raise UserError(where, f"not JSON: {error.msg}", cure) from None
    except UnicodeDecodeError as error:
        raise UserError(str(file), f"not UTF-8 text: {error.reason}", cure) from None
    for key in _KEYS:
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise UserError(str(file), f"no list of {key!r}; not a COCO instances file", cure)
    return content


def _stated_size(entry: dict) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    if not isinstance(height, int) or not isinstance(width, int):
        return None
    return height, width


def _box(values: Any) -> tuple[float, float, float, float] | None:
    """`[x, y, width, height]` as `(ymin, xmin, ymax, xmax)`."""
    if values is None or values == []:
        return None
    if not isinstance(values, list) or len(values) != 4:
        raise ValueError(f"bbox {values!r}, expected [x, y, width, height]")
    x, y, width, height = map(float, values)
    return y, x, y + height, x + width


def _mask(segmentation: Any) -> Mask | None:
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        return Polygons(tuple(tuple(map(float, part)) for part in segmentation))
    if not isinstance(segmentation, dict):
        raise ValueError(f"segmentation {segmentation!r}, expected polygons or run lengths")
    counts, size = segmentation.get("counts"), segmentation.get("size", ())
    if not isinstance(counts, list | str) or len(size) != 2:
        raise ValueError(f"segmentation with keys {sorted(segmentation)}, expected counts and size")
    runs = counts if isinstance(counts, str) else tuple(map(int, counts))
    return RunLengths(runs, height=int(size[0]), width=int(size[1]))
