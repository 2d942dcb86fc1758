"""Pascal VOC XML (http://host.robots.ox.ac.uk/pascal/VOC/), as labelImg and others write it too.

Coordinates are taken as they are, as the OD API's own create_pascal_tf_record.py does. The sets in
`ImageSets/Main` are kept where both `train.txt` and `val.txt` are there.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from roadmark.data import layout
from roadmark.data.findings import Ledger, Rule
from roadmark.data.formats.request import Request
from roadmark.data.source import SourceImage, SourceObject, SourceSet, Units, of_file
from roadmark.errors import UserError

_HEAD_BYTES = 4096
# CVAT's root is <annotations>.
_ROOT = re.compile(rb"<annotation[\s>]")
_SIDES = ("ymin", "xmin", "ymax", "xmax")


def detect(root: Path) -> bool:
    """Whether a folder holds VOC annotations."""
    return bool(_files(root))


def read(request: Request) -> SourceSet:
    """Reads all annotation files of a folder.

    Raises:
        UserError: There is none.
    """
    root = request.folder
    files = _files(root)
    if not files:
        raise UserError(str(root), "no Pascal VOC .xml file here", "name the folder with --input=")
    index = layout.ImageIndex(request.images or root)
    sets = _image_sets(root)
    ledger = Ledger()
    images: dict[Path, SourceImage] = {}
    for file in files:
        split = sets.get(file.stem) if sets else layout.split_of(file, root)
        _add(file, index, split, images, ledger)
    for path in index.paths:
        if path not in images:
            ledger.add(Rule.NO_ANNOTATION, str(path), "no .xml file")
    names = sorted({name for image in images.values() for name in image.classes})
    return SourceSet(tuple(images.values()), dict.fromkeys(names), False, ledger)


def _files(root: Path) -> list[Path]:
    return [path for path in layout.find(root, {".xml"}) if _looks_like_voc(path)]


def _looks_like_voc(path: Path) -> bool:
    with open(path, "rb") as stream:
        return _ROOT.search(stream.read(_HEAD_BYTES)) is not None


def _image_sets(root: Path) -> dict[str, str]:
    """Split by picture, from ImageSets/Main; empty unless it has both train and val."""
    found: dict[str, str] = {}
    for split in ("train", "val", "test"):
        for path in root.rglob(f"ImageSets/Main/{split}.txt"):
            found |= {
                line.split()[0]: split for line in path.read_text().splitlines() if line.split()
            }
    return found if {"train", "val"} <= set(found.values()) else {}


def _add(
    file: Path,
    index: layout.ImageIndex,
    split: str | None,
    images: dict[Path, SourceImage],
    ledger: Ledger,
) -> None:
    try:
        tree = ET.parse(file).getroot()
    except ET.ParseError as error:
        ledger.add(Rule.MALFORMED, f"{file}: line {error.position[0]}", f"not XML: {error}")
        return
    # The file's own name goes before <filename>, which is often left over from before a renaming.
    stated = tree.findtext("filename", "").strip()
    path = index.by_stem(file.stem, file) or (index.by_file_name(stated, file) if stated else None)
    if path is None:
        ledger.add(Rule.MISSING_IMAGE, str(file), f"no picture {file.stem}.* or {stated!r}")
        return
    objects = tuple(_objects(file, tree, ledger))
    if path in images:
        ledger.add(Rule.DUPLICATE_ENTRY, str(file), index.name_of(path))
        objects = images[path].load.objects + objects
    name = index.name_of(path)
    images[path] = of_file(
        path,
        name,
        str(file),
        objects,
        units=Units.PIXELS,
        split=split,
        group=layout.group_of(name),
        stated_size=_stated_size(tree),
    )


def _objects(file: Path, tree: ET.Element, ledger: Ledger) -> list[SourceObject]:
    objects = []
    for number, element in enumerate(tree.iter("object")):
        place = f"object {number}"
        try:
            corners = tuple(float(element.findtext(f"bndbox/{side}", "")) for side in _SIDES)
        except ValueError:
            found = "no <bndbox> with four numbers"
            ledger.add(Rule.MALFORMED, f"{file}: {place}", found)
            continue
        name = element.findtext("name", "").strip()
        difficult = element.findtext("difficult", "0").strip() == "1"
        objects.append(SourceObject(corners, name, place, difficult=difficult))
    return objects


def _stated_size(tree: ET.Element) -> tuple[int, int] | None:
    height, width = tree.findtext("size/height", ""), tree.findtext("size/width", "")
    # Some tools write 0 for a size that they do not know.
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        return None
    return int(height), int(width)
