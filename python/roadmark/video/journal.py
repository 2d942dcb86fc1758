"""Detections line by line as they come, from which an interrupted job is taken up again."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.detections import LABEL, LABEL_PROBABILITY, Detections
from roadmark.errors import UserError
from roadmark.video.partial import Report, partial_path, print_report

SUFFIX = ".jsonl"


class Journal:
    """A file of JSON lines; the first says which job it is of, each other is a frame.

    A frame is `{"frame_index", "time_s", "boxes", "scores", "classes"}` with boxes as
    `[ymin, xmin, ymax, xmax]` in pixels, and `track_ids`, a classifier's `label` and
    `label_probability`, and COCO's run-length encoded `masks` where there are any.

    Args:
        path: The file; what it holds is replaced.
        job: Says what the results depend on.
    """

    def __init__(self, path: Path, job: Mapping[str, Any]) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._write({"job": dict(job)})
        self.frames = 0

    def add(self, frame_index: int, time_s: float, detections: Detections) -> None:
        """Adds a frame; it is in the file when this returns."""
        line: dict[str, Any] = {
            "frame_index": frame_index,
            "time_s": round(time_s, 6),
            "boxes": _rounded(detections.boxes, 3),
            "scores": _rounded(detections.scores, 6),
            "classes": detections.classes.tolist(),
        }
        if detections.track_ids is not None:
            line["track_ids"] = detections.track_ids.tolist()
        if LABEL in detections.attributes:
            line[LABEL] = detections.attributes[LABEL].tolist()
            line[LABEL_PROBABILITY] = _rounded(detections.attributes[LABEL_PROBABILITY], 6)
        if detections.masks is not None:
            line["masks"] = _encoded(detections.masks)
        self._write(line)
        self.frames += 1

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()


@contextlib.contextmanager
def journal(
    final: Path, job: Mapping[str, Any], keep: bool, report: Report = print_report
) -> Iterator[Journal]:
    """A journal that stays, as `NAME.partial.jsonl`, when the block raises.

    Args:
        final: The name when the block has ended well.
        job: As for `Journal`.
        keep: Whether it is kept then; else it is removed.
        report: Hears how to go on when the program is stopped.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished = partial_path(final)
    lines = Journal(unfinished, job)
    try:
        yield lines
    except BaseException as error:
        with contextlib.suppress(OSError):  # Closing fails once more on a full disk.
            lines.close()
        if isinstance(error, OSError) or not lines.frames:
            unfinished.unlink(missing_ok=True)
        elif not isinstance(error, UserError):
            report(f"the same command with --resume goes on after {lines.frames} frames")
        raise
    lines.close()
    if keep:
        os.replace(unfinished, final)
    else:
        unfinished.unlink()


def load_interrupted(final: Path, job: Mapping[str, Any]) -> dict[int, Detections]:
    """What an interrupted run has found, by frame.

    Args:
        final: As for `journal`.
        job: Of this run.

    Raises:
        UserError: There is no interrupted run, or it was another job; says what differs.
    """
    path = partial_path(final)
    if not path.exists():
        raise UserError("--resume", f"found no {path}", "leave out --resume to begin anew")
    with path.open(encoding="utf-8") as file:
        lines = list(_whole_lines(file))
    if not lines or "job" not in lines[0]:
        raise UserError(path, "is not of an interrupted run", "leave out --resume to begin anew")
    before = lines[0]["job"]
    for name, value in job.items():
        if before.get(name) != value:
            raise UserError(
                "--resume",
                f"{path} was made with {name} {before.get(name)!r}, this run has {value!r}",
                "repeat the command as it was, or leave out --resume to begin anew",
            )
    return {line["frame_index"]: _detections(line) for line in lines[1:]}


def _whole_lines(file: Any) -> Iterator[dict[str, Any]]:
    """The lines until the first that a kill has cut off."""
    for line in file:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def _detections(line: Mapping[str, Any]) -> Detections:
    masks, tracks = line.get("masks"), line.get("track_ids")
    attributes = {
        name: np.array(line[name], kind)
        for name, kind in ((LABEL, np.int32), (LABEL_PROBABILITY, np.float32))
        if name in line
    }
    return Detections(
        np.array(line["boxes"], np.float32).reshape(-1, 4),
        np.array(line["scores"], np.float32),
        np.array(line["classes"], np.int32),
        None if masks is None else _decoded(masks),
        None if tracks is None else np.array(tracks, np.int32),
        attributes,
    )


def _rounded(values: np.ndarray, digits: int) -> list:
    return np.round(values.astype(np.float64), digits).tolist()


def _encoded(masks: np.ndarray) -> dict[str, Any]:
    from pycocotools import mask as coco_mask  # needed by few, slow to import

    counts = [coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"] for mask in masks]
    return {"size": list(masks.shape[1:]), "counts": [one.decode("ascii") for one in counts]}


def _decoded(masks: Mapping[str, Any]) -> np.ndarray:
    from pycocotools import mask as coco_mask

    found = [
        coco_mask.decode({"size": masks["size"], "counts": counts.encode("ascii")})
        for counts in masks["counts"]
    ]
    return np.array(found, np.bool_).reshape(len(found), *masks["size"])
