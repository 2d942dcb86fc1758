"""Keeps what an evaluation sees, for the analysis and for a file of detections."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

from roadmark.atomic import atomic_path
from roadmark.data import splitting
from roadmark.data.example import AnnotatedImage
from roadmark.detections import Detections
from roadmark.evaluation.coco import GroundTruth
from roadmark.evaluation.detections_json import DetectionsJson
from roadmark.evaluation.matching import Picture


class Recording:
    """The pictures of an evaluation so far; `add` is a `records.OnPicture`.

    Args:
        group_by: Regular expression that finds a picture's drive in its name, or None.
        file: Where detections go too, or None.

    Attributes:
        group_by: As given.
        pictures: In order, without masks.
    """

    def __init__(self, group_by: str | None = None, file: DetectionsJson | None = None) -> None:
        self.group_by = group_by
        self._file = file
        self.pictures: list[Picture] = []

    def add(self, image: AnnotatedImage, truth: GroundTruth, found: Detections) -> None:
        """Keeps one picture.

        Raises:
            UserError: `group_by` does not match its name: better said now than after the last one.
        """
        if self.group_by is not None:
            splitting.groups_by(self.group_by, [image.filename])
        boxes = dataclasses.replace(found, masks=None)
        marked = dataclasses.replace(truth, masks=None)
        self.pictures.append(Picture(image.filename, marked, boxes))
        if self._file is not None:
            facts = {"file_name": image.filename, "height": image.height, "width": image.width}
            self._file.add(facts, found)


@contextlib.contextmanager
def recording(
    path: Path, names: Mapping[int, str], group_by: str | None = None
) -> Iterator[Recording]:
    """Yields a recording whose detections make up a file at the end, or none after an error.

    Args:
        path: A .json file, see `DetectionsJson`; every digit is kept.
        names: Class name by id.
        group_by: See `Recording`.
    """
    with atomic_path(path) as temporary:
        file = DetectionsJson(temporary, names, exact=True)
        try:
            yield Recording(group_by, file)
        finally:
            file.close()
