"""CSV files with a row per box: Roboflow's "TensorFlow Object Detection", and the many like it.

The header is `filename,width,height,class,xmin,ymin,xmax,ymax`, in any order.
"""

from pathlib import Path

from roadmark.data import layout
from roadmark.data.findings import Ledger, Rule
from roadmark.data.formats import csv_boxes
from roadmark.data.formats.request import Request
from roadmark.data.source import SourceImage, SourceObject, SourceSet, Units, of_file
from roadmark.errors import UserError

_SIDES = ("ymin", "xmin", "ymax", "xmax")
_COLUMNS = frozenset({"filename", "width", "height", "class", *_SIDES})


def detect(root: Path) -> bool:
    """Whether a folder holds such CSV files."""
    return bool(_files(root))


def read(request: Request) -> SourceSet:
    """Reads all such CSV files of a folder.

    Raises:
        UserError: There is none.
    """
    root = request.folder
    files = _files(root)
    if not files:
        raise UserError(
            str(root),
            f"no .csv file with the columns {', '.join(sorted(_COLUMNS))}",
            "export as Roboflow's TensorFlow CSV",
        )
    index = layout.ImageIndex(request.images or root)
    ledger = Ledger()
    images: dict[Path, SourceImage] = {}
    for file in files:
        split = layout.split_of(file, root) if len(files) > 1 else None
        _add(file, index, split, images, ledger)
    for path in index.paths:
        if path not in images:
            ledger.add(Rule.NO_ANNOTATION, str(path), "in no row")
    names = sorted({name for image in images.values() for name in image.classes})
    return SourceSet(tuple(images.values()), dict.fromkeys(names), False, ledger)


def _files(root: Path) -> list[Path]:
    return csv_boxes.files_with(root, _COLUMNS)


def _add(
    file: Path,
    index: layout.ImageIndex,
    split: str | None,
    images: dict[Path, SourceImage],
    ledger: Ledger,
) -> None:
    objects: dict[str, list[SourceObject]] = {}
    sizes: dict[str, tuple[int, int] | None] = {}
    for place, row, box in csv_boxes.boxes(file, _SIDES, ledger):
        objects.setdefault(row["filename"], []).append(SourceObject(box, row["class"], place))
        sizes.setdefault(row["filename"], _stated_size(row))
    for name, items in objects.items():
        path = index.by_file_name(name, file)
        if path is None:
            found = f"{len(items)} objects, no picture {name!r}"
            ledger.add(Rule.MISSING_IMAGE, f"{file}: {items[0].place}", found)
            continue
        if path in images:
            ledger.add(Rule.DUPLICATE_ENTRY, f"{file}: {items[0].place}", name)
            items = [*images[path].load.objects, *items]
        images[path] = of_file(
            path,
            index.name_of(path),
            str(file),
            tuple(items),
            units=Units.PIXELS,
            split=split,
            group=layout.group_of(index.name_of(path)),
            stated_size=sizes[name],
        )


def _stated_size(row: csv_boxes.Row) -> tuple[int, int] | None:
    height, width = row["height"], row["width"]
    return (int(height), int(width)) if height.isdigit() and width.isdigit() else None
