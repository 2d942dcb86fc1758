"""Writes detections as they come, as COCO-style JSON or as CSV."""

import contextlib
import csv
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from roadmark.detections import Detections

FORMATS = ("json", "csv")
_COLUMNS = (
    "file_name",
    "frame_index",
    "time_s",
    "category_id",
    "category",
    "score",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
)


class DetectionsFile:
    """A file of detections; a context manager. Memory does not grow with what is added.

    JSON is a COCO data set with scores: `images` (of a video: one per frame, with `frame_index`
    and `time_s`), `categories`, and `annotations` with `bbox` as `[x, y, width, height]` in
    pixels, and `segmentation` as run-length encoding where there are masks
    (https://cocodataset.org/#format-data); `info` holds what `describe` was given. CSV has one
    row per object.

    Args:
        path: Where to write; the suffix, .json or .csv, chooses the format.
        names: Class name by id.
    """

    def __init__(self, path: Path, names: Mapping[int, str]) -> None:
        is_csv = path.suffix == ".csv"
        self._rows: _CsvRows | _CocoJson = (_CsvRows if is_csv else _CocoJson)(path, names)

    def __enter__(self) -> "DetectionsFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._rows.close()

    def describe(self, info: Mapping[str, Any]) -> None:
        """Has facts about the whole run stand in `info`; CSV has no place for them."""
        self._rows.info = dict(info)

    def add(
        self,
        file_name: str,
        size: tuple[int, int],
        detections: Detections,
        frame_index: int | None = None,
        time_s: float | None = None,
    ) -> None:
        """Adds one picture and what was found in it.

        Args:
            file_name: The picture, or the video that the frame is from.
            size: Height and width in pixels.
            detections: What was found.
            frame_index: Position in the video, from 0.
            time_s: Presentation time in the video, in seconds.
        """
        image = {"file_name": file_name, "height": size[0], "width": size[1]}
        if frame_index is not None and time_s is not None:
            image |= {"frame_index": frame_index, "time_s": round(time_s, 6)}
        self._rows.add(image, detections)


class _CsvRows:
    def __init__(self, path: Path, names: Mapping[int, str]) -> None:
        self.info: dict[str, Any] = {}
        self._names = names
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, _COLUMNS, extrasaction="ignore")
        self._writer.writeheader()

    def add(self, image: dict[str, Any], detections: Detections) -> None:
        for box, score, class_id in zip(
            detections.boxes, detections.scores, detections.classes, strict=True
        ):
            ymin, xmin, ymax, xmax = (_rounded(value) for value in box)
            self._writer.writerow(
                image
                | {"category_id": int(class_id), "category": self._names.get(int(class_id), "")}
                | {"score": _rounded(score, 4)}
                | {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
            )

    def close(self) -> None:
        self._file.close()


class _CocoJson:
    """Images go to the file, annotations to a second one that is appended when it is closed."""

    def __init__(self, path: Path, names: Mapping[int, str]) -> None:
        self.info: dict[str, Any] = {}
        self._files = contextlib.ExitStack()
        self._file = self._files.enter_context(path.open("w", encoding="utf-8"))
        self._annotations = self._files.enter_context(
            tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent)  # noqa: SIM115
        )
        self._images = self._objects = 0
        categories = [{"id": int(key), "name": name} for key, name in sorted(names.items())]
        self._file.write('{"categories": ' + json.dumps(categories) + ',\n"images": [')

    def add(self, image: dict[str, Any], detections: Detections) -> None:
        self._images += 1
        _append(self._file, {"id": self._images} | image, self._images)
        for index in range(len(detections)):
            self._objects += 1
            found = _annotation(detections, index) | {"image_id": self._images}
            _append(self._annotations, {"id": self._objects} | found, self._objects)

    def close(self) -> None:
        with self._files:
            self._file.write('],\n"annotations": [')
            self._annotations.seek(0)
            shutil.copyfileobj(self._annotations, self._file)
            self._file.write('],\n"info": ' + json.dumps(self.info) + "}\n")


def _append(file: Any, entry: dict[str, Any], number: int) -> None:
    file.write(("" if number == 1 else ",") + "\n" + json.dumps(entry))


def _annotation(detections: Detections, index: int) -> dict[str, Any]:
    ymin, xmin, ymax, xmax = (float(value) for value in detections.boxes[index])
    annotation = {
        "category_id": int(detections.classes[index]),
        "bbox": [_rounded(value) for value in (xmin, ymin, xmax - xmin, ymax - ymin)],
        "area": _rounded((xmax - xmin) * (ymax - ymin)),
        "score": _rounded(detections.scores[index], 4),
        "iscrowd": 0,
    }
    if detections.masks is not None:
        mask = detections.masks[index]
        annotation |= {"segmentation": _run_lengths(mask), "area": int(mask.sum())}
    if detections.track_ids is not None:
        annotation["track_id"] = int(detections.track_ids[index])
    return annotation


def _run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run-length encoding of a bool `[H, W]` mask."""
    from pycocotools import mask as coco_mask  # needed by few, slow to import

    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}


def _rounded(value: float, digits: int = 2) -> float:
    return round(float(value), digits)
