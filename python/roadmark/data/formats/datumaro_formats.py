"""Every other format that Datumaro reads, such as CVAT, LabelMe, VoTT or Cityscapes.

Datumaro (https://open-edge-platform.github.io/datumaro) leaves some broken annotations out with a
warning in its log; those warnings become findings here. It refuses others without saying where.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roadmark.data import layout, masks
from roadmark.data.findings import Ledger, Rule
from roadmark.data.formats.request import Request
from roadmark.data.source import (
    FileContents,
    Mask,
    Polygons,
    SourceImage,
    SourceObject,
    SourceSet,
    Units,
)
from roadmark.errors import UserError


def read(request: Request) -> SourceSet:
    """Reads a folder in the format that `datumaro_format` names.

    Raises:
        UserError: Datumaro has no such format, or cannot read the folder.
    """
    # Takes seconds, and only this format needs it.
    import datumaro

    ledger = Ledger()
    known = sorted(datumaro.Environment().importers)
    if request.datumaro_format not in known:
        raise UserError(
            f"--datumaro_format={request.datumaro_format}",
            "not a format of Datumaro",
            f"use one of {', '.join(known)}",
        )
    with _warnings_into(ledger, request.input):
        try:
            dataset = datumaro.Dataset.import_from(str(request.folder), request.datumaro_format)
            items = sorted(dataset, key=lambda item: (item.subset, item.id))
        except datumaro.errors.DatumaroError as error:
            raise UserError(request.input, _reason(error), "mend the data set") from None
    labels = dataset.categories().get(datumaro.AnnotationType.label, ())
    names = [label.name for label in labels]
    images = [image for item in items if (image := _image(item, names, request, ledger))]
    has_masks = any(item.mask is not None for image in images for item in image.load.objects)
    ids: dict[str, int | None] = {name: number for number, name in enumerate(names)}
    return SourceSet(tuple(images), ids, has_masks, ledger)


def _image(item: Any, names: list[str], request: Request, ledger: Ledger) -> SourceImage | None:
    where = f"{request.input}: {item.subset}/{item.id}"
    path = Path(getattr(item.media, "path", "") or "")
    if not path.is_file():
        ledger.add(Rule.MISSING_IMAGE, where, f"{len(item.annotations)} annotations, no picture")
        return None
    objects = tuple(_objects(item, names, where, ledger))
    return SourceImage(
        name=f"{item.subset}/{item.id}{path.suffix}",
        where=where,
        load=FileContents(path, objects),
        units=Units.PIXELS,
        classes=tuple(found.class_name for found in objects),
        split=layout.split_of(Path(item.subset, "x.jpg"), Path()),
        group=layout.group_of(path.name),
    )


def _objects(item: Any, names: list[str], where: str, ledger: Ledger) -> Iterator[SourceObject]:
    """Objects of an item; annotations of one group (a box and its mask) are one object."""
    groups: dict[Any, list[tuple[int, Any]]] = {}
    for number, annotation in enumerate(item.annotations):
        kind = annotation.type.name
        if kind not in ("bbox", "polygon", "mask"):
            ledger.add(Rule.OTHER_ANNOTATION, f"{where}: annotation {number}", kind)
        elif annotation.label is None:
            ledger.add(Rule.UNKNOWN_CLASS, f"{where}: annotation {number}", "no class")
        else:
            # Group 0 means: on its own.
            key = (annotation.group, annotation.label) if annotation.group else -1 - number
            groups.setdefault(key, []).append((number, annotation))
    for members in groups.values():
        first, annotation = members[0]
        by_kind = {member.type.name: member for _, member in members}
        yield SourceObject(
            box=_box(by_kind.get("bbox")),
            class_name=names[annotation.label],
            place=f"annotation {first}",
            is_crowd=bool(annotation.attributes.get("is_crowd", False)),
            difficult=bool(annotation.attributes.get("difficult", False)),
            mask=_mask([member for _, member in members]),
        )


def _box(annotation: Any) -> tuple[float, float, float, float] | None:
    if annotation is None:
        return None
    x, y, width, height = annotation.get_bbox()
    return float(y), float(x), float(y + height), float(x + width)


def _mask(annotations: list[Any]) -> Mask | None:
    for annotation in annotations:
        if annotation.type.name == "mask":
            return masks.encode(annotation.image > 0)
    parts = [tuple(a.points) for a in annotations if a.type.name == "polygon"]
    return Polygons(tuple(parts)) if parts else None


@contextmanager
def _warnings_into(ledger: Ledger, where: str) -> Iterator[None]:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ledger.add(Rule.READER_WARNING, where, record.getMessage())

    root, handler = logging.getLogger(), Handler(logging.WARNING)
    kept, root.handlers = root.handlers, [handler]
    try:
        yield
    finally:
        root.handlers = kept


def _reason(error: BaseException) -> str:
    """The messages of an error and of what caused it, in one line."""
    texts = []
    while error is not None:
        texts.append(f"{type(error).__name__} {error}".strip())
        error = error.__cause__
    return "Datumaro cannot read it: " + "; ".join(texts)
