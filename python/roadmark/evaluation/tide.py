"""What kinds of mistakes a detector makes, and what each kind costs.

The kinds are those of D. Bolya, S. Foley, J. Hays, J. Hoffman: "TIDE: A General Toolbox for
Identifying Object Detection Errors", ECCV 2020 (https://arxiv.org/abs/2008.08115), with its
thresholds: a box fits at an IoU of 0.5 and is background below 0.1. Where a detection would fit
two kinds, the first of `localisation`, `classification`, `duplicate`, `background`, `both` holds,
as in the authors' toolbox. The cost of a kind is how much AP50 rises when an oracle mends that kind
alone.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from roadmark.evaluation import average_precision
from roadmark.evaluation.matching import NONE, Matches

CLASSIFICATION = "classification"
LOCALISATION = "localisation"
BOTH = "both"
DUPLICATE = "duplicate"
BACKGROUND = "background"
MISSED = "missed"
KINDS = (CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED)

_MENDABLE = (CLASSIFICATION, LOCALISATION)
_FITS, _BACKGROUND_IOU = 0.5, 0.1


@dataclasses.dataclass(frozen=True)
class ErrorSplit:
    """The mistakes of a detector.

    Attributes:
        AP50: COCO's AP50, before anything is mended.
        counts: Number of mistakes by kind, at any score.
        per_class: The same by class name: of the detection, or of the missed object.
        costs: AP50 that is lost by each kind.
        false_positives_cost: AP50 that is lost by all false positives together.
        false_negatives_cost: AP50 that is lost by all objects without a detection.
    """

    AP50: float
    counts: Mapping[str, int]
    per_class: Mapping[str, Mapping[str, int]]
    costs: Mapping[str, float]
    false_positives_cost: float
    false_negatives_cost: float


def kinds(matches: Matches) -> np.ndarray:
    """What each detection is: `[D]`, an index into `KINDS`, or `NONE` where it is no mistake."""
    same, other = matches.iou_same, matches.iou_other
    wrong = matches.matched[:, 0] == NONE
    tests = (
        (LOCALISATION, (same >= _BACKGROUND_IOU) & (same < _FITS)),
        (CLASSIFICATION, other >= _FITS),
        (DUPLICATE, same >= _FITS),
        (BACKGROUND, np.maximum(same, other) < _BACKGROUND_IOU),
    )
    chosen = np.select(
        [~wrong, *(test for _, test in tests)],
        [NONE, *(KINDS.index(kind) for kind, _ in tests)],
        KINDS.index(BOTH),
    )
    return chosen.astype(np.int8)


def missed(matches: Matches, kind: np.ndarray) -> np.ndarray:
    """Objects that no detection found, not even as another class or badly placed: bool `[G]`.

    Args:
        matches: The evaluation.
        kind: As `kinds` gives it.
    """
    return _undetected(matches) & ~np.isin(
        np.arange(len(matches.truth_image)),
        np.concatenate([_targets(matches, kind, fault)[1] for fault in _MENDABLE]),
    )


def instead(matches: Matches, kind: np.ndarray) -> dict[int, str]:
    """What was found at an object in its place: `classification` or `localisation`, by object.

    Args:
        matches: The evaluation.
        kind: As `kinds` gives it.
    """
    found: dict[int, str] = {}
    for fault in reversed(_MENDABLE):  # The first of them holds where both occur.
        found |= dict.fromkeys(_targets(matches, kind, fault)[1].tolist(), fault)
    return found


def split(matches: Matches, categories: Mapping[int, str]) -> ErrorSplit:
    """Counts the mistakes of each kind and says what they cost.

    Args:
        matches: The evaluation.
        categories: Class name by label map id.
    """
    kind = kinds(matches)
    gone = missed(matches, kind)
    base = _Ap50(matches, categories)
    before = base.value()
    lost = {
        CLASSIFICATION: base.value(*_mended(matches, kind, CLASSIFICATION)),
        LOCALISATION: base.value(*_mended(matches, kind, LOCALISATION)),
        MISSED: base.value(removed_objects=gone),
    }
    for fault in (BOTH, DUPLICATE, BACKGROUND):
        lost[fault] = base.value(removed=kind == KINDS.index(fault))
    per_class = {
        name: _counts(kind[matches.classes == key], gone[matches.truth_classes == key])
        for key, name in categories.items()
    }
    return ErrorSplit(
        AP50=before,
        counts=_counts(kind, gone),
        per_class=per_class,
        costs={fault: lost[fault] - before for fault in KINDS},
        false_positives_cost=base.value(removed=kind != NONE) - before,
        false_negatives_cost=base.value(removed_objects=_undetected(matches)) - before,
    )


def _counts(kind: np.ndarray, gone: np.ndarray) -> dict[str, int]:
    found = np.bincount(kind[kind != NONE], minlength=len(KINDS))
    return {fault: int(found[number]) for number, fault in enumerate(KINDS)} | {
        MISSED: int(gone.sum())
    }


def _undetected(matches: Matches) -> np.ndarray:
    """Objects, crowds aside, that no detection matches at IoU 0.5: bool `[G]`."""
    undetected = ~matches.truth_crowd
    undetected[matches.matched[matches.is_true[:, 0], 0]] = False
    return undetected


def _targets(matches: Matches, kind: np.ndarray, fault: str) -> tuple[np.ndarray, np.ndarray]:
    """Detections of a mendable kind, and the object that each was meant for."""
    rows = np.flatnonzero(kind == KINDS.index(fault))
    nearest = matches.nearest_other if fault == CLASSIFICATION else matches.nearest_same
    return rows, nearest[rows]


def _mended(
    matches: Matches, kind: np.ndarray, fault: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which detections go, which become true, and the classes after that.

    An object that is not found yet has one suitor, the best of all detections of both mendable
    kinds that were meant for it, as in the authors' toolbox. It becomes true; the others go.
    """
    rows, objects = _targets(matches, kind, fault)
    wins = _undetected(matches)[objects] & (_suitors(matches, kind)[objects] == rows)
    removed = np.zeros(len(kind), bool)
    removed[rows[~wins]] = True
    mended = np.zeros(len(kind), bool)
    mended[rows[wins]] = True
    classes = matches.classes.copy()
    classes[rows[wins]] = matches.truth_classes[objects[wins]]
    return removed, mended, classes


def _suitors(matches: Matches, kind: np.ndarray) -> np.ndarray:
    """The best detection of a mendable kind that was meant for each object, or `NONE`: `[G]`."""
    rows, objects = np.hstack([_targets(matches, kind, fault) for fault in _MENDABLE])
    order = np.lexsort((rows, -matches.scores[rows]))
    best = np.full(len(matches.truth_image), NONE)
    # The last write holds, so the best comes last.
    best[objects[order[::-1]]] = rows[order[::-1]]
    return best


class _Ap50:
    """AP50 after mending."""

    def __init__(self, matches: Matches, categories: Mapping[int, str]):
        self._matches = matches
        self._order = np.argsort(-matches.scores, kind="stable")
        objects = matches.truth_classes[~matches.truth_crowd]
        self._class_ids = [class_id for class_id in categories if class_id in objects]

    def value(
        self,
        removed: np.ndarray | None = None,
        mended: np.ndarray | None = None,
        classes: np.ndarray | None = None,
        removed_objects: np.ndarray | None = None,
    ) -> float:
        matches = self._matches
        counted = ~matches.ignored[:, 0]
        is_true = matches.is_true[:, 0].copy()
        if removed is not None:
            counted &= ~removed
        if mended is not None:
            is_true |= mended
        objects = ~matches.truth_crowd
        if removed_objects is not None:
            objects &= ~removed_objects
        shown = matches.classes if classes is None else classes
        values = [
            self._of_class(
                is_true[self._order][(counted & (shown == class_id))[self._order]],
                int((objects & (matches.truth_classes == class_id)).sum()),
            )
            for class_id in self._class_ids
        ]
        return float(np.mean(values)) if values else float("nan")

    @staticmethod
    def _of_class(is_true: np.ndarray, positives: int) -> float:
        if not positives:
            return 1.0  # All its objects were taken away as missed: nothing is left to find.
        hits = np.flatnonzero(is_true)
        return average_precision.interpolated(np.arange(1, len(hits) + 1), hits + 1, positives)
