"""Writes detections as COCO-style JSON, picture by picture."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.detections import Detections


class DetectionsJson:
    """A COCO data set with scores (https://cocodataset.org/#format-data).

    `images`, `categories`, and `annotations` with `bbox` as `[x, y, width, height]` in pixels, and
    `segmentation` as run-length encoding where there are masks. Memory does not grow with what is
    added: annotations go to a second file, which is appended when this is closed.

    Args:
        path: Where to write.
        names: Class name by id.
        exact: Whether to write every digit, so that metrics of what is read again are the same,
            instead of hundredths of pixels.

    Attributes:
        info: Facts about the whole run, written at the end.
    """

    def __init__(self, path: Path, names: Mapping[int, str], exact: bool = False) -> None:
        self.info: dict[str, Any] = {}
        self._exact = exact
        self._files = contextlib.ExitStack()
        self._file = self._files.enter_context(path.open("w", encoding="utf-8"))
        self._annotations = self._files.enter_context(
            tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent)  # noqa: SIM115
        )
        self._images = self._objects = 0
        categories = [{"id": int(key), "name": name} for key, name in sorted(names.items())]
        self._file.write('{"categories": ' + json.dumps(categories) + ',\n"images": [')

    def add(self, image: Mapping[str, Any], detections: Detections) -> None:
        """Adds one picture: its `file_name`, `height`, `width` and more, and what was found."""
        self._images += 1
        _append(self._file, {"id": self._images, **image}, self._images)
        for index in range(len(detections)):
            self._objects += 1
            found = _annotation(detections, index, self._exact) | {"image_id": self._images}
            _append(self._annotations, {"id": self._objects} | found, self._objects)

    def close(self) -> None:
        """Makes the file whole."""
        with self._files:
            self._file.write('],\n"annotations": [')
            self._annotations.seek(0)
            shutil.copyfileobj(self._annotations, self._file)
            self._file.write('],\n"info": ' + json.dumps(self.info) + "}\n")


def _append(file: Any, entry: dict[str, Any], number: int) -> None:
    file.write(("" if number == 1 else ",") + "\n" + json.dumps(entry))


def _annotation(detections: Detections, index: int, exact: bool) -> dict[str, Any]:
    pixels, shares = (None, None) if exact else (2, 4)
    ymin, xmin, ymax, xmax = (float(value) for value in detections.boxes[index])
    annotation = {
        "category_id": int(detections.classes[index]),
        "bbox": [_rounded(value, pixels) for value in (xmin, ymin, xmax - xmin, ymax - ymin)],
        "area": _rounded((xmax - xmin) * (ymax - ymin), pixels),
        "score": _rounded(detections.scores[index], shares),
        "iscrowd": 0,
    }
    if detections.masks is not None:
        mask = detections.masks[index]
        annotation |= {"segmentation": _run_lengths(mask), "area": int(mask.sum())}
    # 0 is an object that is not tracked yet.
    if detections.track_ids is not None and detections.track_ids[index]:
        annotation["track_id"] = int(detections.track_ids[index])
    return annotation


def _run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run-length encoding of a bool `[H, W]` mask."""
    from pycocotools import mask as coco_mask  # needed by few, slow to import

    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}


def _rounded(value: float, digits: int | None) -> float:
    # The shortest decimals that read back as the same float32.
    return float(str(np.float32(value))) if digits is None else round(float(value), digits)
