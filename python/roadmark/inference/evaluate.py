"""Evaluation of an exported model: COCO metrics by the very path that `infer` takes."""

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from roadmark import manifest
from roadmark.cluster import sources
from roadmark.detections import Detections
from roadmark.evaluation import corruption, records
from roadmark.evaluation.coco import CocoMetrics
from roadmark.evaluation.corruption import Corruption
from roadmark.evaluation.evaluation import Cost, Evaluation
from roadmark.evaluation.parts import Finder, Found, Parts, Sharing
from roadmark.evaluation.records import OnPicture, Selection
from roadmark.inference.detector import ANCHORS_FILE, Detector
from roadmark.inference.engine import RAW_FOLDER
from roadmark.odapi import label_map
from roadmark.ops.postprocess import MASK_LOGITS

LABEL_MAP_FILE = "label_map.pbtxt"
_BATCH_SIZE = 8


def evaluate(
    folder: str | Path,
    detector: Detector,
    selection: Selection,
    on_picture: OnPicture | None = None,
    corruptions: Sequence[Corruption] = (),
) -> Evaluation:
    """Evaluates an exported model on records.

    Args:
        folder: The exported folder.
        detector: Loaded from it.
        selection: As `records.select` gives it.
        on_picture: Sees every picture.
        corruptions: Ways to make the pictures worse and evaluate them again.

    Raises:
        UserError: As `records.evaluate`.
    """
    timed = _Timed(detector)

    def find(part: Selection) -> Iterable[Detections]:
        return records.detect_all(part, timed.detect, _BATCH_SIZE)

    def speed() -> tuple[float, str]:
        return timed.ms_per_image(), str(detector.engine)

    model = _Model(Path(folder), detector.manifest, find, speed)
    return model.evaluate(selection, on_picture, corruptions)


@dataclasses.dataclass(frozen=True)
class Loader:
    """What loads an exported model in a process of a cluster, and finds objects there.

    Attributes:
        folder: The exported folder, or its address.
        choices: Engine, device and precision, as `Detector.load` takes them.
        trust: As `manifest.load` takes it.
    """

    folder: str
    choices: tuple[str, str, str]
    trust: bool = False

    def __call__(self) -> Finder:
        """Loads it."""
        return _ExportFinder(*self._loaded())

    def _loaded(self) -> tuple[Detector, Any]:
        # The copy stays while the process does.
        held = contextlib.ExitStack()
        folder = held.enter_context(sources.fetched(self.folder))
        description = manifest.load(folder, self.trust)
        return Detector.load(folder, *self.choices, description=description), held


class _ExportFinder:
    def __init__(self, detector: Detector, held: Any) -> None:
        self._detector, self._held = detector, held
        self._timed = _Timed(detector)

    def find(self, selection: Selection) -> Iterator[Found]:
        found = records.detect_all(selection, self._timed.detect, _BATCH_SIZE)
        return ((one, {}) for one in found)

    def facts(self, selection: Selection) -> dict[str, Any]:
        del selection
        return {"ms_per_image": self._timed.ms_per_image(), "engine": str(self._detector.engine)}


def evaluate_on_cluster(
    folder: str | Path,
    sharing: Sharing,
    selection: Selection,
    on_picture: OnPicture | None = None,
    corruptions: Sequence[Corruption] = (),
) -> Evaluation:
    """As `evaluate`, with the detections found on a cluster.

    Args:
        folder: The exported folder.
        sharing: The cluster, whose processes a `Loader` makes ready.
        selection: As `records.select` gives it.
        on_picture: Sees every picture.
        corruptions: Ways to make the pictures worse and evaluate them again.

    Raises:
        UserError: As `records.evaluate` or `Parts.find`.
    """
    parts = Parts(sharing)

    def find(part: Selection) -> Iterator[Detections]:
        return (found for found, _ in parts.find(part))

    def speed() -> tuple[float, str]:
        each = statistics.median(facts["ms_per_image"] for facts in parts.facts)
        return each, f"{parts.facts[0]['engine']} on a cluster"

    model = _Model(Path(folder), manifest.load(folder, sharing.make.trust), find, speed)
    found = model.evaluate(selection, on_picture, corruptions)
    parts.end()
    return found


@dataclasses.dataclass(frozen=True)
class _Model:
    """An exported model at work.

    Attributes:
        folder: The exported folder.
        description: Its manifest.
        find: What it finds in each chosen record's picture.
        speed: Milliseconds per picture so far, and what took them.
    """

    folder: Path
    description: manifest.Manifest
    find: Callable[[Selection], Iterable[Detections]]
    speed: Callable[[], tuple[float, str]]

    def evaluate(
        self,
        selection: Selection,
        on_picture: OnPicture | None,
        corruptions: Sequence[Corruption],
    ) -> Evaluation:
        with_masks = any(output.name == MASK_LOGITS for output in self.description.outputs)
        names = label_map.load(self.folder / LABEL_MAP_FILE)

        def metrics_on(part: Selection, seen_by: OnPicture | None) -> CocoMetrics:
            return records.evaluate(part, self.find(part), names, with_masks, seen_by)

        metrics = metrics_on(selection, on_picture)
        ms_per_image, engine = self.speed()
        return Evaluation(
            model=str(self.folder),
            records=selection.source,
            step=self.description.step,
            metrics=metrics,
            losses={},
            cost=Cost(
                size_bytes=_size_bytes(self.folder),
                ms_per_image=ms_per_image,
                timed=f"export with pre- and post-processing, {engine}, batches of {_BATCH_SIZE}",
            ),
            robustness=corruption.measure(
                corruptions, selection, lambda worse: metrics_on(worse, None)
            ),
        )


class _Timed:
    """A detector with a clock."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._seconds: list[float] = []

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        begin = time.perf_counter()
        found = self._detector.detect(images)
        self._seconds.append((time.perf_counter() - begin) / len(images))
        return found

    def ms_per_image(self) -> float:
        # The first batch compiles and allocates, the last may be a small one.
        counted = self._seconds[1:-1] or self._seconds
        return 1e3 * statistics.median(counted)


def _size_bytes(folder: Path) -> int:
    files = [path for path in (folder / RAW_FOLDER).rglob("*") if path.is_file()]
    anchors = folder / ANCHORS_FILE
    return sum(path.stat().st_size for path in [*files, *([anchors] if anchors.exists() else [])])
