"""Writes detections as they come, as COCO-style JSON or as CSV."""

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from roadmark.detections import Detections
from roadmark.evaluation.detections_json import DetectionsJson

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
    "track_id",
)
_UNTRACKED = 0


class DetectionsFile:
    """A file of detections; a context manager. Memory does not grow with what is added.

    JSON is that of `DetectionsJson`, of a video with one image per frame, which has `frame_index`
    and `time_s`; `info` holds what `describe` was given. CSV has one row per object. Text is MOT
    Challenge's, one row per tracked object: frame (from 1), id, left, top, width, height, score,
    class, -1, -1 (Milan et al. 2016, arXiv:1603.00831).

    Args:
        path: Where to write; the suffix, .json, .csv or .txt, chooses the format.
        names: Class name by id.
    """

    def __init__(self, path: Path, names: Mapping[int, str]) -> None:
        kind = {".csv": _CsvRows, ".txt": _MotRows}.get(path.suffix, DetectionsJson)
        self._rows: _CsvRows | _MotRows | DetectionsJson = kind(path, names)

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
        for box, score, class_id, track in zip(
            detections.boxes,
            detections.scores,
            detections.classes,
            _track_ids(detections),
            strict=True,
        ):
            ymin, xmin, ymax, xmax = (_rounded(value) for value in box)
            self._writer.writerow(
                image
                | {"category_id": int(class_id), "category": self._names.get(int(class_id), "")}
                | {"score": _rounded(score, 4)}
                | {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
                | {"track_id": track or ""}
            )

    def close(self) -> None:
        self._file.close()


class _MotRows:
    def __init__(self, path: Path, names: Mapping[int, str]) -> None:
        del names
        self.info: dict[str, Any] = {}
        self._file = path.open("w", encoding="utf-8")

    def add(self, image: dict[str, Any], detections: Detections) -> None:
        for box, score, class_id, track in zip(
            detections.boxes,
            detections.scores,
            detections.classes,
            _track_ids(detections),
            strict=True,
        ):
            if track == _UNTRACKED:
                continue
            ymin, xmin, ymax, xmax = (float(value) for value in box)
            place = ",".join(
                str(_rounded(value)) for value in (xmin, ymin, xmax - xmin, ymax - ymin)
            )
            frame = image["frame_index"] + 1
            self._file.write(f"{frame},{track},{place},{_rounded(score, 4)},{class_id},-1,-1\n")

    def close(self) -> None:
        self._file.close()


def _track_ids(detections: Detections) -> list[int]:
    if detections.track_ids is None:
        return [_UNTRACKED] * len(detections)
    return detections.track_ids.tolist()


def _rounded(value: float, digits: int = 2) -> float:
    return round(float(value), digits)
