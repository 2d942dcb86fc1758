"""KITTI's object benchmark (https://www.cvlibs.net/datasets/kitti/eval_object.php).

`label_2/x.txt` goes with `image_2/x.png`; columns as in the devkit's readme.txt. Where the devkit's
`mapping/train_mapping.txt` and `train_rand.txt` are there, frames of one drive stay together.
"""

from pathlib import Path

from roadmark.data import layout, text_file
from roadmark.data.findings import Ledger, Rule
from roadmark.data.formats.request import Request
from roadmark.data.source import SourceObject, SourceSet, Units, of_file
from roadmark.errors import UserError

_LABELS, _IMAGES = "label_2", "image_2"
_COLUMNS = 15
_MAPPING_COLUMNS = 3
_DEVKIT_CURE = "take the file from KITTI's devkit again, or remove it"
_DONT_CARE = "DontCare"


def detect(root: Path) -> bool:
    """Whether a folder holds label_2 and image_2."""
    return bool(_label_folders(root))


def read(request: Request) -> SourceSet:
    """Reads every `label_2` of a folder.

    Raises:
        UserError: There is none, or the devkit's files are damaged.
    """
    root = request.folder
    folders = _label_folders(root)
    if not folders:
        raise UserError(str(root), f"no {_LABELS} beside {_IMAGES} here", "name their folder")
    index = layout.ImageIndex(request.images or root)
    drives = _drives(root)
    ledger = Ledger()
    images, pictures = [], set()
    for file in [file for folder in folders for file in sorted(folder.glob("*.txt"))]:
        path = index.by_stem(file.stem, file)
        objects = tuple(_objects(file, ledger))
        if path is None:
            ledger.add(Rule.MISSING_IMAGE, str(file), f"{len(objects)} objects, no picture")
            continue
        pictures.add(path)
        name = index.name_of(path)
        images.append(
            of_file(
                path,
                name,
                str(file),
                objects,
                units=Units.PIXELS,
                # KITTI's `training` is all there is with labels, not one side of a split.
                split=None,
                group=drives.get(file.stem, name),
            )
        )
    for path in index.paths:
        if path not in pictures:
            ledger.add(Rule.NO_ANNOTATION, str(path), "no label file")
    names = sorted({name for image in images for name in image.classes})
    return SourceSet(tuple(images), dict.fromkeys(names), False, ledger)


def _label_folders(root: Path) -> list[Path]:
    found = [path for path in root.rglob(_LABELS) if path.is_dir()]
    if root.name == _LABELS:
        found.append(root)
    return sorted(found)


def _objects(file: Path, ledger: Ledger) -> list[SourceObject]:
    objects = []
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        words, where = line.split(), f"{file}: line {number}"
        try:
            left, top, right, bottom = map(float, words[4:8])
        except ValueError:
            ledger.add(Rule.MALFORMED, where, f"no four numbers in columns 5 to 8: {line[:60]!r}")
            continue
        if len(words) not in (_COLUMNS, _COLUMNS + 1):
            found = f"{len(words)} columns, expected {_COLUMNS}"
            ledger.add(Rule.MALFORMED, where, found)
            continue
        if words[0] == _DONT_CARE:
            ledger.add(Rule.DONT_CARE, where, f"x {left} to {right}, y {top} to {bottom}")
            continue
        if len(words) > _COLUMNS:
            ledger.add(Rule.HAS_SCORE, where, f"{words[0]} with score {words[-1]}")
        objects.append(SourceObject((top, left, bottom, right), words[0], f"line {number}"))
    return objects


def _drives(root: Path) -> dict[str, str]:
    """Drive by frame, from the devkit: entry i of train_rand.txt is frame i's line, from 1."""
    mapping = next(iter(sorted(root.rglob("train_mapping.txt"))), None)
    order = next(iter(sorted(root.rglob("train_rand.txt"))), None)
    if mapping is None or order is None:
        return {}
    drives = [_drive(mapping, *line) for line in enumerate(_lines(mapping), start=1)]
    numbers = [number for line in enumerate(_lines(order), 1) for number in _numbers(order, *line)]
    return {
        f"{frame:06d}": drives[number - 1]
        for frame, number in enumerate(numbers)
        if number <= len(drives)
    }


def _lines(file: Path) -> list[str]:
    return text_file.read(file).rstrip().splitlines()


def _drive(file: Path, number: int, line: str) -> str:
    words = line.split()
    if len(words) < _MAPPING_COLUMNS:
        found = f"{line[:60]!r}, expected date, drive and frame"
        raise UserError(f"{file}: line {number}", found, _DEVKIT_CURE)
    return words[1]


def _numbers(file: Path, number: int, line: str) -> list[int]:
    words = line.replace(",", " ").split()
    bad = [word for word in words if not word.isdecimal() or int(word) < 1]
    if bad:
        found = f"{bad[0][:60]!r}, expected numbers of lines, from 1"
        raise UserError(f"{file}: line {number}", found, _DEVKIT_CURE)
    return [int(word) for word in words]
