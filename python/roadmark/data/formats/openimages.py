"""Open Images CSV files (https://storage.googleapis.com/openimages/web/download_v7.html).

`*-annotations-bbox.csv` has a row per box, with coordinates from 0 to 1; names of the classes come
from `class-descriptions*.csv` (`/m/0k4j,Car`), without which the codes are the names. Pictures are
`ImageID.jpg`. Boxes around groups (`IsGroupOf`) become crowds.
"""

import io
from pathlib import Path

from roadmark.data import layout, text_file
from roadmark.data.findings import Ledger, Rule
from roadmark.data.formats import csv_boxes
from roadmark.data.formats.request import Request
from roadmark.data.source import SourceObject, SourceSet, Units, of_file
from roadmark.errors import UserError

_SIDES = ("YMin", "XMin", "YMax", "XMax")
_COLUMNS = frozenset({"ImageID", "LabelName", *_SIDES})
_DESCRIPTIONS = "class-descriptions"


def detect(root: Path) -> bool:
    """Whether a folder holds Open Images boxes."""
    return bool(_files(root))


def read(request: Request) -> SourceSet:
    """Reads the boxes of the pictures that are in a folder.

    Raises:
        UserError: There are no such CSV files.
    """
    root = request.folder
    files = _files(root)
    if not files:
        raise UserError(
            str(root),
            f"no .csv file with the columns {', '.join(sorted(_COLUMNS))}",
            "put the *-annotations-bbox.csv files beside the pictures",
        )
    index = layout.ImageIndex(request.images or root)
    ledger = Ledger()
    names = _descriptions(root)
    images, listed = [], set()
    for file in files:
        split = layout.split_of(file, root) if len(files) > 1 else None
        absent: list[int] = []
        for image_id, objects in _rows(file, names, ledger).items():
            path = index.by_stem(image_id, file)
            if path is None:
                absent.append(len(objects))
                continue
            if path in listed:
                ledger.add(Rule.DUPLICATE_IMAGE_ID, f"{file}: {objects[0].place}", image_id)
                continue
            listed.add(path)
            name = index.name_of(path)
            images.append(
                of_file(
                    path,
                    name,
                    str(file),
                    tuple(objects),
                    units=Units.NORMALISED,
                    split=split,
                    group=name,
                    source_id=image_id,
                )
            )
        if absent:
            found = f"{len(absent)} pictures with {sum(absent)} boxes"
            ledger.add(Rule.NOT_DOWNLOADED, str(file), found)
    for path in index.paths:
        if path not in listed:
            ledger.add(Rule.NO_ANNOTATION, str(path), "in no row")
    used = sorted({name for image in images for name in image.classes})
    return SourceSet(tuple(images), dict.fromkeys(used), False, ledger)


def _files(root: Path) -> list[Path]:
    return csv_boxes.files_with(root, _COLUMNS)


def _descriptions(root: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for path in layout.find(root, {".csv"}):
        if _DESCRIPTIONS in path.name:
            lines = io.StringIO(text_file.read(path), newline="")
            rows = csv_boxes.rows(lines, path)
            names |= {row[0]: row[1] for _, row in rows if len(row) == 2}
    return names


def _rows(file: Path, names: dict[str, str], ledger: Ledger) -> dict[str, list[SourceObject]]:
    objects: dict[str, list[SourceObject]] = {}
    for place, row, box in csv_boxes.boxes(file, _SIDES, ledger):
        code = row["LabelName"]
        crowd = row.get("IsGroupOf") == "1"
        item = SourceObject(box, names.get(code, code), place, is_crowd=crowd)
        objects.setdefault(row["ImageID"], []).append(item)
    return objects
