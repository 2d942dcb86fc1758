"""From errors to data: the pictures a model does worst on, as records and as a labelling list."""

import csv
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from roadmark import atomic
from roadmark.data import example
from roadmark.data.example import AnnotatedImage
from roadmark.data.tfrecord import RecordWriter
from roadmark.evaluation import analysis, groups, matching
from roadmark.evaluation.analysis import Mistake
from roadmark.evaluation.coco import GroundTruth
from roadmark.evaluation.matching import Picture
from roadmark.evaluation.records import Selection

FALSE_POSITIVE, MISSED = "false positive", "missed"
# Detections that the other model has no counterpart of, and the reverse.
ONLY_THIS, ONLY_OTHER = "only this model", "only the other model"
RECORDS = "mined-00000-of-00001.tfrecord"
LIST, IMAGES = "mined.csv", "images"
# Where Datumaro, which CVAT reads with too, looks for the subsets `labels` and `suggestions`.
LABELS, SUGGESTIONS = (f"annotations/instances_{name}.json" for name in ("labels", "suggestions"))
# A drive's frames resemble each other: where there are so many drives, none gives a larger share.
_DRIVES = 10


@dataclasses.dataclass(frozen=True)
class Reason:
    """Why a picture is worth a look.

    Attributes:
        kind: One of the four above.
        mistake: Where and what.
    """

    kind: str
    mistake: Mistake


def mine(
    pictures: Sequence[Picture],
    categories: Mapping[int, str],
    most: int,
    group_by: str | None = None,
    other: Sequence[Picture] | None = None,
) -> dict[int, list[Reason]]:
    """Chooses the worst pictures.

    False positives (the surest first), misses (the largest first) and disagreements with another
    model (the surest first) take turns; no drive gives more than a tenth where there are ten.

    Args:
        pictures: What was marked and found.
        categories: Class name by label map id.
        most: How many pictures to choose.
        group_by: As `analysis.analyse`.
        other: What another model found in the same pictures, or None.

    Returns:
        All that speaks for a chosen picture, by its number, the worst first.

    Raises:
        UserError: As `groups.group`.
    """
    alarms, misses = analysis.mistakes(pictures, categories)
    lists = [
        [Reason(FALSE_POSITIVE, one) for one in alarms],
        [Reason(MISSED, one) for one in misses],
        _disagreements(pictures, other, categories) if other is not None else [],
    ]
    drives, unit = groups.group([picture.name for picture in pictures], group_by)
    share = min(len(set(drives)), _DRIVES) if unit == groups.DRIVES else 1
    taken: Counter[str] = Counter()
    chosen: dict[int, list[Reason]] = {}
    for turn in zip_longest(*lists):
        for reason in turn:
            number = reason.mistake.number if reason else -1
            if reason is None or number in chosen or len(chosen) == most:
                continue
            if taken[drives[number]] < math.ceil(most / share):
                taken[drives[number]] += 1
                chosen[number] = []
    for reason in (reason for turn in zip_longest(*lists) for reason in turn if reason):
        if reason.mistake.number in chosen:
            chosen[reason.mistake.number].append(reason)
    return chosen


def write(
    chosen: Mapping[int, Sequence[Reason]],
    categories: Mapping[int, str],
    selection: Selection,
    folder: Path,
) -> str:
    """Writes the record set and the labelling list; replaces the folder.

    `LABELS` is a COCO data set of what is marked in `images/` now; `SUGGESTIONS` one of what may be
    missing there, with scores, in the same pictures. An annotation's `attributes` say what to
    check.

    Args:
        chosen: As `mine` gives them.
        categories: Class name by label map id.
        selection: The records that the pictures' numbers count.
        folder: Where to write.

    Returns:
        How many pictures there are and for what reasons, as a line.

    Raises:
        UserError: A record is damaged.
    """
    labels, suggestions = _Coco(categories), _Coco(categories)
    rows: list[tuple[Any, ...]] = []
    names: set[str] = set()
    with atomic.atomic_folder(folder) as temporary:
        with RecordWriter(temporary / RECORDS) as records:
            for number, (where, record) in enumerate(selection.records()):
                if number not in chosen:
                    continue
                image = example.parse(record, where)
                records.write(record)
                name = _file_name(image, names)
                (temporary / IMAGES / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / IMAGES / name).write_bytes(image.encoded)
                _mark(labels, image, name, chosen[number])
                _suggest(suggestions, image, name, chosen[number], categories)
                rows += [
                    (name, one.kind, one.mistake.kind, one.mistake.class_name,
                     _shown(one.mistake.score), *(f"{side:.1f}" for side in one.mistake.box))
                    for one in chosen[number]
                ]  # fmt: skip
        labels.write(temporary / LABELS)
        suggestions.write(temporary / SUGGESTIONS)
        with open(temporary / LIST, "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(
                ("picture", "reason", "kind", "class", "score", "ymin", "xmin", "ymax", "xmax")
            )
            writer.writerows(rows)
    counts = Counter(reason.kind for reasons in chosen.values() for reason in reasons)
    listed = ", ".join(f"{count} x {kind}" for kind, count in counts.most_common()) or "no mistake"
    return f"mined {len(chosen)} of {len(selection)} pictures: {listed}"


def _disagreements(
    pictures: Sequence[Picture], other: Sequence[Picture], categories: Mapping[int, str]
) -> list[Reason]:
    """What one model is sure of and the other has no counterpart of, the surest first."""
    own, theirs = (_trusted(one, categories) for one in (pictures, other))
    found = []
    for kind, these, those in ((ONLY_THIS, own, theirs), (ONLY_OTHER, theirs, own)):
        as_marked = [
            dataclasses.replace(
                one,
                truth=GroundTruth(
                    one.truth.height,
                    one.truth.width,
                    reference.found.boxes,
                    reference.found.classes,
                    np.zeros(len(reference.found), bool),
                ),
            )
            for one, reference in zip(these, those, strict=True)
        ]
        matches = matching.match(as_marked, categories)
        for row in np.flatnonzero(~matches.is_true[:, 0]).tolist():
            number = int(matches.image[row])
            found.append(
                Reason(
                    kind,
                    Mistake(
                        matches.pictures[number], number, categories[int(matches.classes[row])],
                        kind, float(matches.scores[row]), matches.boxes[row].tolist(),
                    ),
                )
            )  # fmt: skip
    return sorted(found, key=lambda one: -one.mistake.score)


def _trusted(pictures: Sequence[Picture], categories: Mapping[int, str]) -> list[Picture]:
    """With the detections that reach the best threshold of their class."""
    least = analysis.best_thresholds(matching.match(pictures, categories), categories)
    kept = []
    for picture in pictures:
        found = picture.found
        limits = np.array([least.get(key, np.inf) for key in found.classes.tolist()], np.float32)
        kept.append(dataclasses.replace(picture, found=found.select(found.scores >= limits)))
    return kept


class _Coco:
    """A COCO data set in the making (https://cocodataset.org/#format-data)."""

    def __init__(self, categories: Mapping[int, str]) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories = [
            {"id": key, "name": name, "supercategory": ""}
            for key, name in sorted(categories.items())
        ]

    def add_image(self, name: str, height: int, width: int) -> None:
        image = {"id": len(self._images) + 1, "file_name": name, "height": height, "width": width}
        self._images.append(image)

    def add(
        self, class_id: int, box: Sequence[float], attributes: Mapping[str, str], **more: Any
    ) -> None:
        """Adds an object, `[ymin, xmin, ymax, xmax]` in pixels, of the image added last."""
        ymin, xmin, ymax, xmax = (round(float(side), 2) for side in box)
        height, width = round(ymax - ymin, 2), round(xmax - xmin, 2)
        self._annotations.append(
            {
                "id": len(self._annotations) + 1,
                "image_id": len(self._images),
                "category_id": class_id,
                "bbox": [xmin, ymin, width, height],
                "area": round(width * height, 2),
                "segmentation": [],
                "iscrowd": 0,
                "attributes": dict(attributes),
                **more,
            }
        )

    def write(self, path: Path) -> None:
        content = {
            "info": {"description": "worth a look, by roadmark"},
            "licenses": [],
            "images": self._images,
            "categories": self._categories,
            "annotations": self._annotations,
        }
        path.parent.mkdir(exist_ok=True)
        atomic.write_text(path, json.dumps(content, indent=1) + "\n")


def _mark(labels: _Coco, image: AnnotatedImage, name: str, reasons: Sequence[Reason]) -> None:
    labels.add_image(name, image.height, image.width)
    missed = [one.mistake.box for one in reasons if one.kind == MISSED]
    rows = zip(image.boxes_in_pixels, image.class_ids.tolist(), image.is_crowd, strict=True)
    for box, class_id, is_crowd in rows:
        is_missed = any(np.allclose(box, other, atol=0.01) for other in missed)
        more = {"iscrowd": 1} if is_crowd else {}
        labels.add(int(class_id), box, {"check": MISSED if is_missed else ""}, **more)


def _suggest(
    suggestions: _Coco,
    image: AnnotatedImage,
    name: str,
    reasons: Sequence[Reason],
    categories: Mapping[int, str],
) -> None:
    suggestions.add_image(name, image.height, image.width)
    ids = {shown: key for key, shown in categories.items()}
    for reason in reasons:
        if reason.kind != MISSED:
            mistake = reason.mistake
            score = round(mistake.score, 4)
            attributes = {"check": reason.kind, "kind": mistake.kind}
            suggestions.add(ids[mistake.class_name], mistake.box, attributes, score=score)


def _file_name(image: AnnotatedImage, names: set[str]) -> str:
    """Of the picture within the folder: that of the record, told apart from those before."""
    parts = [part for part in PurePosixPath(image.filename).parts if part not in ("/", "..")]
    path = PurePosixPath(*parts) if parts else PurePosixPath("picture")
    suffix = ".png" if image.encoded.startswith(b"\x89PNG") else ".jpg"
    kept = path.suffix if path.suffix.lower() in (".jpg", ".jpeg", ".png") else suffix
    name, count = str(path.with_suffix(kept)), 1
    while name in names:
        count += 1
        name = str(path.with_name(f"{path.stem}_{count}{kept}"))
    names.add(name)
    return name


def _shown(score: float) -> str:
    return "" if math.isnan(score) else f"{score:.4f}"
