"""YOLO text files (https://docs.ultralytics.com/datasets/detect/), boxes or polygons.

`labels/x.txt` goes with `images/x.jpg`, or stands beside it. Class names come from the `names` of
`data.yaml` (or another .yaml), from `classes.txt` or from `obj.names`. A picture without a text
file has no objects, as in YOLO's own training.
"""

from pathlib import Path

import yaml

from roadmark.data import layout, text_file
from roadmark.data.findings import Ledger, Rule
from roadmark.data.formats.request import Request
from roadmark.data.source import Polygons, SourceObject, SourceSet, Units, of_file
from roadmark.errors import UserError

_NAME_FILES = ("classes.txt", "obj.names")
_BOX_VALUES = 5


def detect(root: Path) -> bool:
    """Whether a folder holds a YOLO set: class names, and text files for its pictures."""
    return _names_file(root) is not None


def read(request: Request) -> SourceSet:
    """Reads the pictures of a folder with their text files.

    Raises:
        UserError: No file names the classes, or it does not parse, or no picture has a text file.
    """
    root = request.folder
    names_file = _names_file(root)
    if names_file is None:
        raise UserError(
            str(root),
            "no data.yaml with `names`, no classes.txt and no obj.names here",
            "add data.yaml with a line such as: names: [vehicle, pedestrian]",
        )
    names = _names(names_file)
    index = layout.ImageIndex(request.images or root)
    labels = {path for path in layout.find(root, {".txt"}) if path.name not in _NAME_FILES}
    splits = _splits(names_file) if names_file.suffix in (".yaml", ".yml") else {}
    ledger = Ledger()
    images, used = [], set()
    for path in index.paths:
        file = _label_file(path, labels)
        objects = () if file is None else tuple(_objects(file, names, ledger))
        used.add(file)
        name = index.name_of(path)
        images.append(
            of_file(
                path,
                name,
                str(file or path),
                objects,
                units=Units.NORMALISED,
                split=_split(path, index.root, splits),
                group=layout.group_of(name),
            )
        )
    _note_unused(labels - used, names, ledger)
    if used == {None}:
        raise UserError(
            str(root),
            "none of the pictures has a text file, beside it or in labels/",
            "put labels/x.txt beside images/x.jpg",
        )
    has_masks = any(item.mask is not None for image in images for item in image.load.objects)
    return SourceSet(tuple(images), {n: i for i, n in names.items()}, has_masks, ledger)


def _names_file(root: Path) -> Path | None:
    for path in layout.find(root, {".yaml", ".yml"}):
        if "names:" in path.read_text(encoding="utf-8", errors="replace"):
            return path
    for name in _NAME_FILES:
        found = sorted(root.rglob(name))
        if found:
            return found[0]
    return None


def _names(file: Path) -> dict[int, str]:
    if file.suffix not in (".yaml", ".yml"):
        lines = [line.strip() for line in text_file.read(file).splitlines() if line.strip()]
        return dict(enumerate(lines))
    names = _yaml(file).get("names")
    if isinstance(names, list):
        return {number: str(name) for number, name in enumerate(names)}
    if isinstance(names, dict) and all(isinstance(number, int) for number in names):
        return {number: str(name) for number, name in sorted(names.items())}
    raise UserError(str(file), "`names` is neither a list nor `number: name` lines", "mend it")


def _yaml(file: Path) -> dict:
    try:
        content = yaml.safe_load(text_file.read(file))
    except yaml.YAMLError as error:
        raise UserError(str(file), f"not YAML: {error}", "mend it") from None
    return content if isinstance(content, dict) else {}


def _splits(file: Path) -> dict[Path, str]:
    """Split by folder or list file, as far as data.yaml names some that exist."""
    content = _yaml(file)
    base = file.parent / str(content.get("path") or "")
    found: dict[Path, str] = {}
    for split in ("train", "val", "test"):
        entries = content.get(split) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            for path in (base / str(entry), file.parent / str(entry)):
                if path.suffix == ".txt" and path.is_file():
                    lines = text_file.read(path).split("\n")
                    found |= {
                        (base / line.strip()).resolve(): split for line in lines if line.strip()
                    }
                elif path.is_dir():
                    found[path.resolve()] = split
    return found


def _split(path: Path, root: Path, splits: dict[Path, str]) -> str | None:
    resolved = path.resolve()
    for place in (resolved, *resolved.parents):
        if place in splits:
            return splits[place]
    return layout.split_of(path, root)


def _label_file(image: Path, labels: set[Path]) -> Path | None:
    candidates = [image.with_suffix(".txt")]
    for depth, part in enumerate(image.parts):
        if part == "images":
            parts = (*image.parts[:depth], "labels", *image.parts[depth + 1 :])
            candidates.append(Path(*parts).with_suffix(".txt"))
    candidates.append(image.parent.parent / "labels" / f"{image.stem}.txt")
    return next((path for path in reversed(candidates) if path in labels), None)


def _objects(file: Path, names: dict[int, str], ledger: Ledger) -> list[SourceObject]:
    objects = []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            found = _object(line, names, place)
        except ValueError as error:
            ledger.add(Rule.MALFORMED, f"{file}: {place}", str(error))
            continue
        if found is None:
            number_found = line.split()[0]
            ledger.add(Rule.UNKNOWN_CLASS, f"{file}: {place}", f"class {number_found}")
        else:
            objects.append(found)
    return objects


def _object(line: str, names: dict[int, str], place: str) -> SourceObject | None:
    """The object of a line, or None when its class has no name."""
    values = [float(word) for word in line.split()]
    polygon = len(values) > _BOX_VALUES + 1 and len(values) % 2 == 1
    if len(values) != _BOX_VALUES and not polygon:
        raise ValueError(
            f"{len(values)} values, expected a class and 4 (box) or 6, 8, ... (polygon)"
        )
    if not values[0].is_integer():
        raise ValueError(f"class {line.split()[0]}, expected a whole number")
    name = names.get(int(values[0]))
    if name is None:
        return None
    if polygon:
        xs, ys = values[1::2], values[2::2]
        box = min(ys), min(xs), max(ys), max(xs)
        return SourceObject(box, name, place, mask=Polygons((tuple(values[1:]),)))
    x, y, width, height = values[1:]
    box = y - height / 2, x - width / 2, y + height / 2, x + width / 2
    return SourceObject(box, name, place)


def _note_unused(unused: set[Path], names: dict[int, str], ledger: Ledger) -> None:
    """Text files without a picture, as far as they hold objects (READMEs and lists do not)."""
    for file in sorted(unused):
        objects = _objects(file, names, Ledger())
        if objects:
            ledger.add(Rule.MISSING_IMAGE, str(file), f"{len(objects)} objects, no such picture")
