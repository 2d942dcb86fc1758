"""The dataset card: what a set of records holds, as JSON and as text."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from roadmark.data.example import AnnotatedImage
from roadmark.data.findings import Ledger
from roadmark.odapi.label_map import LabelMap

# COCO's size classes, in square pixels (https://cocodataset.org/#detection-eval).
_SMALL, _MEDIUM = 32**2, 96**2
# Edges of the finer bins: the square root of an object's area, in pixels.
_SIDES = (0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_SIZES_SHOWN = 5
_EXAMPLES = 10
_BAR_WIDTH = 40
_FILE = "dataset_card.json"
_SCHEMA = 1
_KEYS = frozenset({"schema", "source", "classes", "splits", "findings"})
_SOURCE_KEYS = frozenset({"input", "format", "split", "seed"})


class SplitStatistics:
    """Counts over the pictures of one split."""

    def __init__(self) -> None:
        self.images = 0
        self.boxes: Counter[str] = Counter()
        self._images_with: Counter[str] = Counter()
        self._empty = self._masks = self._crowds = self._difficult = 0
        self._most = 0
        self._coco: Counter[str] = Counter()
        self._bins = np.zeros(len(_SIDES), np.int64)
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._formats: Counter[str] = Counter()

    def add(self, image: AnnotatedImage) -> None:
        """Counts one picture."""
        self.images += 1
        self.boxes.update(image.class_names)
        self._images_with.update(set(image.class_names))
        self._empty += len(image) == 0
        self._masks += len(image.masks or ())
        self._crowds += int(image.is_crowd.sum())
        self._difficult += int(image.difficult.sum())
        self._most = max(self._most, len(image))
        self._sizes[(image.width, image.height)] += 1
        self._formats[image.format] += 1
        for area in image.areas.tolist():
            self._coco["small" if area < _SMALL else "medium" if area < _MEDIUM else "large"] += 1
        bins = np.searchsorted(_SIDES, np.sqrt(image.areas), side="right") - 1
        self._bins += np.bincount(bins, minlength=len(_SIDES))

    def as_dict(self, names: Iterable[str]) -> dict[str, Any]:
        """The counts as JSON holds them."""
        total = self.boxes.total()
        return {
            "images": self.images,
            "images_without_objects": self._empty,
            "objects": total,
            "objects_per_image": {
                "mean": round(total / self.images, 2) if self.images else 0,
                "max": self._most,
            },
            "crowds": self._crowds,
            "difficult": self._difficult,
            "masks": self._masks,
            "classes": {
                name: {"objects": self.boxes[name], "images": self._images_with[name]}
                for name in names
            },
            "coco_sizes": {size: self._coco[size] for size in ("small", "medium", "large")},
            "size_histogram": dict(zip(_bin_names(), self._bins.tolist(), strict=True)),
            "image_sizes": {f"{w}x{h}": n for (w, h), n in self._sizes.most_common()},
            "formats": dict(self._formats),
        }


def build(
    source: dict[str, Any],
    label_map: LabelMap,
    original_ids: dict[str, int | None],
    statistics: dict[str, SplitStatistics],
    ledger: Ledger,
) -> dict[str, Any]:
    """The card.

    Args:
        source: Where the set came from and how it was divided.
        label_map: Of the records.
        original_ids: The set's own ids by class name.
        statistics: By split.
        ledger: What was found wrong.
    """
    names = list(label_map.names.values())
    return {
        "schema": _SCHEMA,
        "source": source,
        "classes": [
            {
                "id": category.id,
                "name": category.name,
                "original_id": original_ids.get(category.name),
            }
            for category in label_map.categories
        ],
        "splits": {split: counts.as_dict(names) for split, counts in statistics.items()},
        "findings": {
            rule.label: {
                "action": rule.action.value,
                "meaning": rule.meaning,
                "count": count,
                "first": [
                    {"where": finding.where, "found": finding.found}
                    for finding in ledger.findings
                    if finding.rule is rule
                ][:_EXAMPLES],
            }
            for rule, count in ledger.counts().items()
        },
    }


def write(card: dict[str, Any], ledger: Ledger, folder: Path) -> str:
    """Writes `dataset_card.json`, `dataset_card.txt` and `findings.csv`.

    Returns:
        The text.
    """
    text = _text(card, ledger)
    (folder / _FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    (folder / "dataset_card.txt").write_text(text, encoding="utf-8")
    ledger.write(folder / "findings.csv")
    return text


def load(folder: Path) -> dict[str, Any] | None:
    """The card in a folder, or None where there is none that `write` made."""
    try:
        card = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if _is_own(card) else None


def _is_own(card: Any) -> bool:
    # Other tools write files of this name too, so that a name alone tells nothing.
    if not isinstance(card, dict) or card.keys() != _KEYS or card["schema"] != _SCHEMA:
        return False
    source, splits = card["source"], card["splits"]
    if not isinstance(source, dict) or source.keys() != _SOURCE_KEYS:
        return False
    return isinstance(splits, dict) and all(
        isinstance(split, dict) and isinstance(split.get("images"), int)
        for split in splits.values()
    )


def _class_lines(classes: list[dict[str, Any]]) -> list[str]:
    """The mapping of class ids, a line each."""
    lines = []
    for entry in classes:
        original = entry["original_id"]
        was = "" if original in (None, entry["id"]) else f"  (was {original})"
        lines.append(f"  {entry['id']:>4}  {entry['name']}{was}")
    return lines


def _text(card: dict[str, Any], ledger: Ledger) -> str:
    source = card["source"]
    lines = [f"from {source['input']} ({source['format']}); {source['split']}", "", "class ids:"]
    lines += _class_lines(card["classes"])
    for split, counts in card["splits"].items():
        lines += ["", *_split_lines(split, counts)]
    lines += ["", "findings:", *(ledger.lines(examples=3) or ["  none"])]
    return "\n".join(lines) + "\n"


def _split_lines(split: str, counts: dict[str, Any]) -> list[str]:
    per_image = counts["objects_per_image"]
    lines = [
        f"{split}: {counts['images']} pictures, {counts['objects']} objects "
        f"(mean {per_image['mean']}, at most {per_image['max']} a picture), "
        f"{counts['images_without_objects']} pictures without",
        f"  masks {counts['masks']}, crowds {counts['crowds']}, difficult {counts['difficult']}",
        f"  {'class':<24} {'objects':>8} {'pictures':>9}",
    ]
    for name, found in counts["classes"].items():
        lines.append(f"  {name:<24} {found['objects']:>8} {found['images']:>9}")
    sizes = counts["coco_sizes"]
    lines.append(
        f"  COCO sizes: small (<32²) {sizes['small']}, medium {sizes['medium']}, "
        f"large (>=96²) {sizes['large']}"
    )
    lines += ["  side (root of area) in pixels:", *_bars(counts["size_histogram"])]
    shown = list(counts["image_sizes"].items())[:_SIZES_SHOWN]
    rest = len(counts["image_sizes"]) - len(shown)
    listed = ", ".join(f"{count} of {size}" for size, count in shown)
    lines.append(f"  picture sizes: {listed}{f', and {rest} other sizes' if rest else ''}")
    return lines


def _bars(histogram: dict[str, int]) -> list[str]:
    most = max(histogram.values()) or 1
    return [
        f"  {name:>8} {count:>8} {'#' * -(-count * _BAR_WIDTH // most)}".rstrip()
        for name, count in histogram.items()
    ]


def _bin_names() -> list[str]:
    ends = [*(f"-{side}" for side in _SIDES[1:]), "+"]
    return [f"{start}{end}" for start, end in zip(_SIDES, ends, strict=True)]
