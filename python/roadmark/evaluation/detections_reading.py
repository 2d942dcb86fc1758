"""Evaluation of a file of detections, written by this project or by another framework."""

import collections
import dataclasses
import gzip
import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as run_lengths

from roadmark.data import example
from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.evaluation import records
from roadmark.evaluation.evaluation import Evaluation
from roadmark.evaluation.records import OnPicture, Selection
from roadmark.odapi.label_map import LabelMap

_CURE = "write COCO results; docs/evaluate.md says what they look like"
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,8}$")
_NUMBER = re.compile(r"^\d+$", re.ASCII)


@dataclasses.dataclass(frozen=True)
class DetectionsFile:
    """Detections by picture.

    Attributes:
        path: The file.
        by_picture: By the file's name (or id) of a picture, without masks.
        masks: By the same, a run-length encoding per detection; None unless all have one.
        left_out: Classes of the file that the label map lacks, and how many detections they have.
        sizes: Height and width of the pictures that the file says were looked at; None where it
            lists no pictures.
    """

    path: Path
    by_picture: Mapping[str, Detections]
    masks: Mapping[str, Sequence[Any]] | None
    left_out: Mapping[str, int]
    sizes: Mapping[str, tuple[Any, Any]] | None = None


def evaluate(
    path: Path, label_map: LabelMap, selection: Selection, on_picture: OnPicture | None = None
) -> tuple[Evaluation, list[str]]:
    """Evaluates a file of detections on records.

    Args:
        path: As `read` takes it.
        label_map: Of the records.
        selection: As `records.select` gives it.
        on_picture: Sees every picture.

    Returns:
        What was found, and notes for the user about what was left out.

    Raises:
        UserError: As `read`, `assign` and `records.evaluate`.
    """
    found = read(path, label_map)
    names = assign(found, selection)
    metrics = records.evaluate(
        selection,
        _of_records(found, names, selection),
        label_map,
        found.masks is not None,
        on_picture,
    )
    return Evaluation(str(path), selection.source, None, metrics, {}), _notes(found, names)


def read(path: Path, label_map: LabelMap) -> DetectionsFile:
    """Reads a file of detections.

    Args:
        path: JSON, compressed where its name ends with .gz; either COCO results, a list of
            `image_id`, `category_id`, `bbox`, `score` with the label map's ids; or a COCO data set
            with scores, whose classes go by their names.
        label_map: Of the records.

    Raises:
        UserError: It is no such file; the message names the first bad entry. Or it has detections
            and none is of a class of the label map.
    """
    content = _load(path)
    if isinstance(content, dict):
        rows = _list(path, content, "annotations")
        images = _list(path, content, "images")
        pictures = _by_id(path, images, "images", "file_name")
        sizes = {row["file_name"]: (row.get("height"), row.get("width")) for row in images}
        names = _by_id(path, _list(path, content, "categories"), "categories", "name")
    elif isinstance(content, list):
        rows, pictures, names, sizes = content, None, label_map.names, None
    else:
        raise UserError(str(path), "found neither a list nor an object", _CURE)
    classes = {key: label_map.id_of(name) for key, name in names.items()}
    entries: dict[str, list[tuple]] = {name: [] for name in (pictures or {}).values()}
    left_out: dict[str, int] = {}
    for position, row in enumerate(rows):
        image, category, *values = _values(row, f"{path}: detection {position}")
        name = str(image) if pictures is None else pictures.get(image)
        if name is None:
            raise UserError(f"{path}: detection {position}", f"no image has id {image}", _CURE)
        if (class_id := classes.get(category)) is None:
            shown = str(names.get(category, f"id {category}"))
            left_out[shown] = left_out.get(shown, 0) + 1
        else:
            entries.setdefault(name, []).append((class_id, *values))
    if rows and sum(left_out.values()) == len(rows):
        raise _no_class(path, left_out, label_map)
    return DetectionsFile(
        path,
        {name: _detections(own) for name, own in entries.items()},
        _masks(entries),
        left_out,
        sizes,
    )


def assign(found: DetectionsFile, selection: Selection) -> list[str | None]:
    """Says which picture of the file each chosen record is, None for none.

    A picture is a record's when their names are equal, or one is the end of the other, folder by
    folder, without the suffix and without zeros before a number. The record's `image/source_id`
    counts as a name too.

    Raises:
        UserError: Several pictures could be a record's, one could be two records', or there are
            detections and no record has any.
    """
    by_stem: dict[str, list[str]] = {}
    for name in found.by_picture:
        by_stem.setdefault(_parts(name)[-1], []).append(name)
    taken: dict[str, str] = {}
    names: list[str | None] = []
    for where, data in selection.records():
        image = example.parse(data, where)
        name = _picture_of((image.filename, image.source_id), by_stem, found, where)
        if name is not None and name in taken:
            raise UserError(
                where,
                f"{name!r} of {found.path} is this record's picture and also that of {taken[name]}",
                "give pictures names of their own, or write their folders in the file",
            )
        taken |= {} if name is None else {name: where}
        names.append(name)
    if found.by_picture and not taken:
        raise UserError(
            str(found.path),
            f"no picture is in the records: found {next(iter(found.by_picture))!r}, expected names "
            f"such as {image.filename!r}",
            "write the records' image/filename or image/source_id",
        )
    return names


def _load(path: Path) -> Any:
    try:
        data = path.read_bytes()
        return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    except FileNotFoundError:
        raise UserError(str(path), "no such file", "give a file of detections") from None
    except (json.JSONDecodeError, UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise UserError(str(path), f"not JSON: {error}", _CURE) from None


def _list(path: Path, content: Mapping[str, Any], key: str) -> list:
    value = content.get(key)
    if not isinstance(value, list):
        raise UserError(str(path), f"found no list {key!r}", _CURE)
    return value


def _by_id(path: Path, entries: list, what: str, key: str) -> dict[Hashable, str]:
    """The text under `key` by id."""
    found: dict[Hashable, str] = {}
    for position, entry in enumerate(entries):
        where = f"{path}: {what}[{position}]"
        if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
            raise UserError(where, f"found no text {key!r}", _CURE)
        number = entry.get("id")
        if not isinstance(number, int | str):
            raise UserError(where, f"found id {number!r}, expected a number or a text", _CURE)
        if number in found:
            raise UserError(where, f"id {number} is that of another one", _CURE)
        found[number] = entry[key]
    text, count = collections.Counter(found.values()).most_common(1)[0] if found else ("", 0)
    if count > 1:
        raise UserError(str(path), f"{what}: {text!r} is there {count} times", _CURE)
    return found


def _values(row: Any, where: str) -> tuple:
    """Image, category, corners `[ymin, xmin, ymax, xmax]`, score and mask of an entry."""
    if not isinstance(row, dict):
        raise UserError(where, "found no object", _CURE)
    image, category = row.get("image_id"), row.get("category_id")
    for key, value in (("image_id", image), ("category_id", category)):
        if not isinstance(value, int | str):
            raise UserError(where, f"{key}: found {value!r}, expected a number or a text", _CURE)
    score, box = row.get("score"), row.get("bbox")
    if not _is_number(score) or not 0 <= score <= 1:
        raise UserError(where, f"score: found {score!r}, expected 0 to 1", _CURE)
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise UserError(
            where, f"bbox: found {box!r}, expected [x, y, width, height] in pixels", _CURE
        )
    x, y, width, height = box
    if width < 0 or height < 0:
        raise UserError(where, f"bbox: found {box}, expected no size below 0", _CURE)
    return image, category, (y, x, y + height, x + width), score, row.get("segmentation")


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and bool(np.isfinite(value))


def _detections(rows: Sequence[tuple]) -> Detections:
    return Detections(
        boxes=np.array([corners for _, corners, *_ in rows], np.float32).reshape(-1, 4),
        scores=np.array([score for _, _, score, _ in rows], np.float32),
        classes=np.array([class_id for class_id, *_ in rows], np.int32),
    )


def _masks(entries: Mapping[str, Sequence[tuple]]) -> dict[str, list] | None:
    masks = {name: [row[-1] for row in rows] for name, rows in entries.items()}
    every = [mask for own in masks.values() for mask in own]
    # Polygons, which other tools write too, are no result of a model: boxes are compared then.
    return masks if every and all(isinstance(mask, dict) for mask in every) else None


def _no_class(path: Path, left_out: Mapping[str, int], label_map: LabelMap) -> UserError:
    listed = ", ".join(f"{number} {name}" for number, name in label_map.names.items())
    return UserError(
        str(path),
        f"found classes {', '.join(list(left_out)[:5])}, expected {label_map.source}: {listed}",
        "number the classes so, or add `images` and `categories` with these names",
    )


def _parts(name: str) -> tuple[str, ...]:
    """Folders and name, without suffix and zeros before a number."""
    *folders, own = PurePosixPath(name.replace("\\", "/")).parts or ("",)
    stem = _SUFFIX.sub("", own)
    return (*folders, str(int(stem)) if _NUMBER.match(stem) else stem)


def _picture_of(
    names: Sequence[str], by_stem: Mapping[str, Sequence[str]], found: DetectionsFile, where: str
) -> str | None:
    for name in names:
        if name in found.by_picture:
            return name
    for name in names:
        own = _parts(name)
        fitting = [other for other in by_stem.get(own[-1], ()) if _is_end(own, _parts(other))]
        if len(fitting) > 1:
            raise UserError(
                where,
                f"{name!r} could be {fitting[0]!r} or {fitting[1]!r} of {found.path}",
                "write the records' image/filename in the file",
            )
        if fitting:
            return fitting[0]
    return None


def _is_end(first: Sequence[str], second: Sequence[str]) -> bool:
    length = min(len(first), len(second))
    return first[-length:] == second[-length:]


def _of_records(
    found: DetectionsFile, names: Sequence[str | None], selection: Selection
) -> Iterator[Detections]:
    for name, (where, data) in zip(names, selection.records(), strict=True):
        own = Detections.empty() if name is None else found.by_picture[name]
        if found.masks is None:
            yield own
            continue
        image = example.parse(data, where)
        encoded = () if name is None else found.masks[name]
        place = f"{found.path}: masks of {name!r}"
        yield dataclasses.replace(own, masks=_decoded(encoded, (image.height, image.width), place))


def _decoded(encoded: Sequence[Any], size: tuple[int, int], where: str) -> np.ndarray:
    masks = np.zeros((len(encoded), *size), np.bool_)
    for mask, entry in zip(masks, encoded, strict=True):
        if list(entry.get("size", ())) != list(size) or not isinstance(entry.get("counts"), str):
            raise UserError(
                where,
                f"found size {entry.get('size')}, expected {list(size)} and `counts` as a text",
                "write COCO's compressed run-length encoding of the whole picture",
            )
        mask[:] = run_lengths.decode(entry)
    return masks


def _notes(found: DetectionsFile, names: Sequence[str | None]) -> list[str]:
    notes = [
        f"left out: {count} detections of {name!r}, which is no class of the label map"
        for name, count in found.left_out.items()
    ]
    unused = len(found.by_picture) - sum(name is not None for name in names)
    if unused:
        notes.append(f"left out: {unused} pictures that are not among the records")
    if absent := sum(name is None for name in names):
        notes.append(f"taken as empty: {absent} pictures that have no detections in the file")
    return notes
