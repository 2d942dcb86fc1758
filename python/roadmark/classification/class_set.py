"""A class set: pictures divided into train, val and test, with one class each.

A folder with the pictures as `train/CLASS/NAME.jpg`, so that other software reads them too, and

* `index.csv`, a row for each picture: split, path, class, SHA-256, and the main object's box;
* `class_set.json`: the classes in the order of their ids, the data version, where it came from;
* `report.txt` and `findings.csv`: how many of which class, and what was wrong.
"""

import csv
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from roadmark import atomic
from roadmark.errors import UserError

INDEX = "index.csv"
DESCRIPTION = "class_set.json"
REPORT = "report.txt"
FINDINGS = "findings.csv"
TRAIN, VAL, TEST = SPLITS = ("train", "val", "test")
SCHEMA_VERSION = 1

_COLUMNS = (
    "split",
    "path",
    "class_id",
    "class",
    "sha256",
    "ymin",
    "xmin",
    "ymax",
    "xmax",
    "source",
)
_PREPARE = "make it with: bazel run //python:prepare -- --from=stanford_cars --input=FOLDER"

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A picture of a class set.

    Attributes:
        split: One of `SPLITS`.
        path: Relative to the folder of the set.
        class_id: From 0.
        class_name: Its name.
        sha256: Of the picture's file.
        box: `[ymin, xmin, ymax, xmax]` of the main object in pixels, or None.
        source: Where it came from.
    """

    split: str
    path: str
    class_id: int
    class_name: str
    sha256: str
    box: Box | None
    source: str


@dataclasses.dataclass(frozen=True)
class ClassSet:
    """A class set on the disk.

    Attributes:
        folder: Where it is.
        classes: Names in the order of their ids, from 0.
        entries: The pictures.
        data_version: Hash over split, class and content of every picture.
        about: What else `class_set.json` says.
    """

    folder: Path
    classes: tuple[str, ...]
    entries: tuple[Entry, ...]
    data_version: str
    about: dict[str, Any]

    def of(self, split: str) -> list[Entry]:
        """The pictures of a split.

        Raises:
            UserError: There are none.
        """
        found = [entry for entry in self.entries if entry.split == split]
        if not found:
            there = ", ".join(s for s in SPLITS if any(e.split == s for e in self.entries))
            raise UserError(
                self.folder / INDEX, f"no pictures of the split {split}, found {there or 'none'}",
                "choose another --split, or prepare the set with that part",
            )  # fmt: skip
        return found

    def require_classes(self, count: int, where: str) -> None:
        """Raises UserError when the set does not have so many classes."""
        if count != len(self.classes):
            raise UserError(
                where,
                f"found {count} classes, but the set in {self.folder} has {len(self.classes)}",
                f"write classes: {len(self.classes)}, or prepare the other set",
            )


def data_version(entries: Iterable[Entry]) -> str:
    """Hash over split, class and content of every picture, whatever their order and names."""
    lines = sorted(f"{entry.split} {entry.class_name} {entry.sha256}" for entry in entries)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write(
    folder: Path, classes: Sequence[str], entries: Sequence[Entry], about: dict[str, Any]
) -> str:
    """Writes index and description beside the pictures; returns the data version."""
    with atomic.atomic_path(folder / INDEX) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for e in entries:
            box = e.box or ("", "", "", "")
            writer.writerow((e.split, e.path, e.class_id, e.class_name, e.sha256, *box, e.source))
    version = data_version(entries)
    content = {
        "schema_version": SCHEMA_VERSION,
        "data_version": version,
        "classes": list(classes),
        "pictures": {s: sum(e.split == s for e in entries) for s in SPLITS},
        **about,
    }
    atomic.write_text(folder / DESCRIPTION, json.dumps(content, indent=2) + "\n")
    return version


def load(folder: str | Path) -> ClassSet:
    """Reads a class set. The pictures are not looked at.

    Raises:
        UserError: There is none, or its files are damaged.
    """
    folder = Path(folder)
    path = folder / DESCRIPTION
    if not path.is_file():
        raise UserError(path, "not found, expected a class set", _PREPARE)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, classes = content["data_version"], tuple(content["classes"])
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {content['schema_version']}")
        with open(folder / INDEX, newline="", encoding="utf-8") as file:
            entries = tuple(_entry(row, classes) for row in csv.DictReader(file))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(path, f"found {error!r}, expected a whole class set", _PREPARE) from None
    if data_version(entries) != version:
        raise UserError(folder / INDEX, "is not the one that class_set.json describes", _PREPARE)
    return ClassSet(folder, classes, entries, version, content)


def _entry(row: dict[str, str], classes: Sequence[str]) -> Entry:
    box = tuple(float(row[name]) for name in ("ymin", "xmin", "ymax", "xmax") if row[name])
    class_id = int(row["class_id"])
    if classes[class_id] != row["class"]:
        raise ValueError(f"class {class_id} is {classes[class_id]!r}, not {row['class']!r}")
    return Entry(
        row["split"], row["path"], class_id, row["class"], row["sha256"],
        box if len(box) == 4 else None, row["source"],
    )  # fmt: skip
