"""Reads pictures with a class each: Stanford Cars, a folder per class, a CSV, rendered cars."""

import csv
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roadmark.classification.class_set import TEST, TRAIN, VAL, Box
from roadmark.data import synthetic_cars
from roadmark.errors import UserError

STANFORD_CARS, FOLDERS, CSV, SYNTHETIC = FORMATS = (
    "stanford_cars",
    "class_folders",
    "class_csv",
    "synthetic_cars",
)
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_SPLIT_NAMES = {"train": TRAIN, "val": VAL, "valid": VAL, "validation": VAL, "test": TEST}
_PATH_COLUMNS = ("path", "filename", "file", "image", "img_file", "img_name", "image_path")
_CLASS_COLUMNS = ("class_name", "class", "label")
_SPLIT_COLUMNS = ("split", "subset")
_BOX_COLUMNS = (("y1", "x1", "y2", "x2"), ("ymin", "xmin", "ymax", "xmax"))
# Of Stanford Cars.
_ALL_PICTURES = "car_ims"
_SIDES = ("x1", "y1", "x2", "y2")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture with a class.

    Attributes:
        read: Gives the bytes of its file.
        name: File name.
        class_name: Of the main object.
        box: `[ymin, xmin, ymax, xmax]` of the main object in pixels, or None.
        split: As the source divides it, or None.
        where: The file, and the line or number in it that says so.
    """

    read: Callable[[], bytes]
    name: str
    class_name: str
    box: Box | None
    split: str | None
    where: str


@dataclasses.dataclass(frozen=True)
class Source:
    """What a source holds.

    Attributes:
        pictures: Those that are there.
        absent: Where pictures are named whose files are not there.
    """

    pictures: tuple[Picture, ...]
    absent: tuple[str, ...] = ()


def read(format_name: str, folder: Path, num_images: int, seed: int) -> Source:
    """Lists the pictures of a source.

    Args:
        format_name: One of `FORMATS`.
        folder: The folder, or the file for `class_csv`; not used for `synthetic_cars`.
        num_images: Pictures to render for `synthetic_cars`.
        seed: Of those.

    Raises:
        UserError: The source is not there or not of that format, or is empty.
    """
    if format_name == SYNTHETIC:
        return _rendered(num_images, seed)
    if not folder.exists():
        raise UserError(folder, "no such folder or file", "check --input")
    source = {STANFORD_CARS: _stanford_cars, FOLDERS: _folders, CSV: _csv}[format_name](folder)
    if not source.pictures:
        more = (
            f"{len(source.absent)} are listed, such as {source.absent[0]}" if source.absent else ""
        )
        raise UserError(folder, f"no pictures here {more}", "check --input and --from")
    return source


def _rendered(num_images: int, seed: int) -> Source:
    makes = synthetic_cars.MAKES
    if num_images < 2 * len(makes):
        raise UserError(
            f"--num_images={num_images}", f"expected {2 * len(makes)} or more", "ask for 1500, say"
        )
    # Every sixth picture of a make is for testing.
    return Source(
        tuple(
            Picture(
                functools.partial(synthetic_cars.jpeg, seed, index),
                f"{index:06d}.jpg",
                makes[index % len(makes)],
                synthetic_cars.box(seed, index),
                TEST if index // len(makes) % 6 == 5 else None,
                f"rendered car {index} of seed {seed}",
            )
            for index in range(num_images)
        )
    )


def _folders(folder: Path) -> Source:
    """`CLASS/picture`, or `train/CLASS/picture` and so on."""
    tops = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    splits = [_SPLIT_NAMES.get(top.name.lower()) for top in tops]
    if tops and all(splits):
        classes = [
            (c, s) for top, s in zip(tops, splits, strict=True) for c in sorted(top.iterdir())
        ]
    else:
        classes = [(top, None) for top in tops]
    return Source(
        tuple(
            Picture(path.read_bytes, path.name, kind.name, None, split, str(path))
            for kind, split in classes
            if kind.is_dir()
            for path in sorted(kind.rglob("*"))
            if path.suffix.lower() in SUFFIXES
        )
    )


def _csv(path: Path) -> Source:
    """Columns for path and class, and if wanted for the box and the split."""
    if path.is_dir():
        found = sorted(path.glob("*.csv"))
        if len(found) != 1:
            raise UserError(
                path, f"holds {len(found)} CSV files, expected one", "name it in --input"
            )
        path = found[0]
    pictures, absent = [], []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = _columns(path, reader.fieldnames or [])
            for row in reader:
                where = f"{path}:{reader.line_num}"
                name, class_name = row[columns["path"]], row[columns["class"]]
                if not name or not class_name:
                    raise UserError(where, "found no path or no class", "fill in or remove the row")
                file_path = path.parent / name
                if not file_path.is_file():
                    absent.append(f"{where}: {name}")
                    continue
                split = next((row[one] for one in _SPLIT_COLUMNS if row.get(one)), "").lower()
                pictures.append(
                    Picture(
                        file_path.read_bytes, file_path.name, class_name, _box(row, where),
                        _SPLIT_NAMES.get(split), where,
                    )
                )  # fmt: skip
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(path, f"found {error}, expected CSV in UTF-8", "correct it") from None
    return Source(tuple(pictures), tuple(absent))


def _columns(path: Path, names: list[str]) -> dict[str, str]:
    found = {}
    for what, known in (("path", _PATH_COLUMNS), ("class", _CLASS_COLUMNS)):
        fitting = [name for name in known if name in names]
        if not fitting:
            raise UserError(
                f"{path}:1",
                f"found columns {', '.join(names)}, expected one of {', '.join(known)}",
                "rename the column",
            )
        found[what] = fitting[0]
    return found


def _box(row: dict[str, str], where: str) -> Box | None:
    for names in _BOX_COLUMNS:
        values = [row.get(name) for name in names]
        if not all(values):
            continue
        try:
            return tuple(float(value) for value in values)
        except ValueError:
            raise UserError(
                where, f"found {values}, expected the numbers of a box", "correct them"
            ) from None
    return None


def _stanford_cars(folder: Path) -> Source:
    """The `.mat` files of the data set, wherever in the folder they and the pictures are.

    It comes in two forms: with the pictures in `cars_train/` and `cars_test/` and annotations of
    each, or with all in `car_ims/` and one file that tells which are for testing.
    """
    from scipy import io  # Takes half a second.

    by_name = _pictures_by_folder(folder)
    whole = sorted(folder.rglob("cars_annos.mat"))
    if whole and any(place == _ALL_PICTURES for place, _ in by_name):
        names = _names(_mat(whole[0], "class_names", io))
        rows, absent = _undivided(whole[0], io), []
    else:
        files = sorted(folder.rglob("cars_meta.mat"))
        if not files:
            raise UserError(folder, "holds no cars_meta.mat", "give the folder with the .mat files")
        names = _names(_mat(files[0], "class_names", io))
        rows, absent = _divided(folder, io)
    pictures = []
    for row in rows:
        class_id = int(row.fields["class"].item())
        if not 1 <= class_id <= len(names):
            raise UserError(
                row.where, f"found class {class_id}, expected 1 to {len(names)}", "get a whole copy"
            )
        path = by_name.get((row.place, row.name))
        if path is None:
            absent.append(f"{row.where}: {row.place}/{row.name}")
            continue
        x1, y1, x2, y2 = (int(row.fields[f"bbox_{side}"].item()) for side in _SIDES)
        # Corners are pixels that belong to the box, counted from 1.
        box = (float(y1 - 1), float(x1 - 1), float(y2), float(x2))
        pictures.append(
            Picture(path.read_bytes, row.name, names[class_id - 1], box, row.split, row.where)
        )
    return Source(tuple(pictures), tuple(absent))


@dataclasses.dataclass(frozen=True)
class _Row:
    """An annotation: MATLAB's fields, and the folder and name of its picture."""

    where: str
    fields: Any
    place: str
    name: str
    split: str | None


def _undivided(path: Path, io: Any) -> list[_Row]:
    return [
        _Row(
            f"{path}, annotation {number}", fields, _ALL_PICTURES,
            Path(str(fields["relative_im_path"].item())).name,
            TEST if int(fields["test"].item()) else None,
        )
        for number, fields in enumerate(_mat(path, "annotations", io).reshape(-1), 1)
    ]  # fmt: skip


def _divided(folder: Path, io: Any) -> tuple[list[_Row], list[str]]:
    """The rows, and what is there without classes."""
    found, absent = [], []
    for kind, split in (("train", None), ("test", TEST)):
        # The labels of the test pictures are in a file of their own in the original set.
        files = sorted(
            folder.rglob(f"cars_{kind}_annos*.mat"), key=lambda p: "labels" not in p.name
        )
        if not files and split is None:
            raise UserError(
                folder, "holds no cars_train_annos.mat", "give the folder with the .mat files"
            )
        if not files:
            continue
        rows = _mat(files[0], "annotations", io)
        if "class" not in (rows.dtype.names or ()):
            absent.append(f"{files[0]}: {rows.size} test pictures without classes")
            continue
        for number, fields in enumerate(rows.reshape(-1), 1):
            where, name = f"{files[0]}, annotation {number}", str(fields["fname"].item())
            found.append(_Row(where, fields, f"cars_{kind}", name, split))
    return found, absent


def _names(cells: Any) -> list[str]:
    return [str(cell.item()) for cell in cells.reshape(-1)]


def _mat(path: Path, key: str, io: Any) -> Any:
    try:
        return io.loadmat(path)[key]
    except (OSError, ValueError, NotImplementedError, KeyError, TypeError) as error:
        raise UserError(
            path, f"cannot be read ({error!r}), expected {key} of Stanford Cars", "get a whole copy"
        ) from None


def _pictures_by_folder(folder: Path) -> dict[tuple[str, str], Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return {(path.parent.name, path.name): path for path in found}
