"""Evaluation in the course of training: a row each time, the best checkpoint, when to stop.

All of it follows from `evaluations.csv` and the checkpoints, so a resumed run goes on alike.
"""

import dataclasses
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from roadmark.errors import UserError
from roadmark.evaluation import evaluation
from roadmark.evaluation.evaluation import Evaluation
from roadmark.odapi import checkpoints
from roadmark.training import metrics
from roadmark.training.metrics import STEP, MetricsFile
from roadmark.training.run_folder import RunFolder

TOTAL_LOSS = "total_loss"

Evaluate = Callable[[Path], Evaluation]
"""Takes a checkpoint's prefix."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """When to evaluate and what to make of it.

    Attributes:
        every: Steps between two evaluations, and one after the last step; 0 for none.
        last: The last step of the run.
        best_by: Name of the metric that the best checkpoint is best by, see `metric_names`.
        patience: Evaluations without a better one before the run stops; 0 for never.
    """

    every: int
    last: int
    best_by: str
    patience: int

    def due(self, step: int) -> bool:
        """Whether to evaluate after this step."""
        return self.every > 0 and step > 0 and (step % self.every == 0 or step == self.last)


def metric_names(classes: Sequence[str], with_masks: bool) -> tuple[str, ...]:
    """What a checkpoint can be best by.

    Returns:
        `mAP` to `AR_large`, of masks `mask_mAP` and so on, the average precision of each class as
        `AP/<name>`, and `total_loss`, of which less is better.
    """
    prefixes = ("", "mask_") if with_masks else ("",)
    summary = [prefix + name for prefix in prefixes for name in evaluation.SUMMARY_METRICS]
    per_class = [f"{prefix}AP/{name}" for prefix in prefixes for name in classes]
    return (*summary, *per_class, TOTAL_LOSS)


class Evaluations:
    """The evaluations of one run.

    Args:
        folder: The run's.
        plan: When and what for.
        evaluate: Evaluates a checkpoint.
        resumed_step: Steps already done.
    """

    def __init__(self, folder: RunFolder, plan: Plan, evaluate: Evaluate, resumed_step: int):
        self._folder, self._plan, self._evaluate = folder, plan, evaluate
        self._resumed_step = resumed_step
        self._file: MetricsFile | None = None
        self._rows = [
            (int(row[STEP]), _number(row.get(plan.best_by, "")))
            for row in metrics.read(folder.evaluations)
            if int(row[STEP]) <= resumed_step
        ]

    def __enter__(self) -> "Evaluations":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def due(self, step: int) -> bool:
        """Whether to evaluate after this step: the plan says so and it is not done yet."""
        return self._plan.due(step) and all(done != step for done, _ in self._rows)

    def add(self, checkpoint: Path) -> dict[str, float]:
        """Evaluates a checkpoint; keeps it when it is the best.

        Returns:
            What was found, by metric.

        Raises:
            UserError: As `CheckpointEvaluator.evaluate`, or the disk is full.
        """
        found = self._evaluate(checkpoint)
        row = _row(found)
        # As it is read again, so that a resumed run compares the same numbers.
        value = float(metrics.text(row[self._plan.best_by]))
        # First, so that a row never stands for a best checkpoint that was not kept.
        if self._is_better(value, self.best()):
            _keep(checkpoint, self._folder.best)
        if self._file is None:
            self._file = MetricsFile(self._folder.evaluations, list(row), self._resumed_step)
        self._file.write(found.step, row)
        evaluation.write_scalars(found, self._folder.tensorboard / "eval")
        self._rows.append((found.step, value))
        return row

    def best_checkpoint(self) -> Path | None:
        """The prefix of the best checkpoint that was kept."""
        kept = [path.with_suffix("") for path in self._folder.best.glob("ckpt-*.index")]
        best = self.best()
        # A crash between keeping one and removing the one before leaves both.
        named = [prefix for prefix in kept if best and checkpoints.step_of(prefix) == best[0]]
        return max(named or kept, key=checkpoints.step_of, default=None)

    def best(self) -> tuple[int, float] | None:
        """Step and value of the best evaluation; None when there is none with a number."""
        best = None
        for step, value in self._rows:
            if self._is_better(value, best):
                best = step, value
        return best

    def stalled(self) -> bool:
        """Whether the last evaluations, as many as the plan's patience, brought no better one."""
        best = self.best()
        since = [step for step, _ in self._rows if best is None or step > best[0]]
        return 0 < self._plan.patience <= len(since)

    def cost_of_pruning(self, begins: int) -> list[str]:
        """What pruning did to the metric, for the user; nothing where that was not evaluated.

        Args:
            begins: The last step before weights were pruned.
        """
        before = [row for row in self._rows if row[0] <= begins]
        if not before or self._rows[-1][0] <= begins:
            return []
        (first, dense), (last, pruned) = before[-1], self._rows[-1]
        return [
            f"{self._plan.best_by} {dense:.4f} at step {first}, before pruning, and {pruned:.4f} "
            f"at step {last}; for what it costs train once without and compare"
        ]

    def line(self) -> str:
        """The last evaluation and the best one, for the user."""
        step, value = self._rows[-1]
        text = f"step {step}: {self._plan.best_by} {value:.4f}"
        best = self.best()
        if best is None or best[0] == step:
            return f"{text}, the best so far" if best else text
        return f"{text} (best {best[1]:.4f} at step {best[0]})"

    def _is_better(self, value: float, than: tuple[int, float] | None) -> bool:
        if math.isnan(value):
            return False
        if than is None:
            return True
        return value < than[1] if self._plan.best_by == TOTAL_LOSS else value > than[1]


def check_metric(name: str, known: Sequence[str]) -> None:
    """Refuses a metric that no evaluation has.

    Raises:
        UserError: There is none of this name.
    """
    if name not in known:
        raise UserError("--best_by", f"found {name!r}", f"choose one of {', '.join(known)}")


def _row(found: Evaluation) -> dict[str, float]:
    row = dict(found.losses)
    for (kind, summary), prefix in zip(found.metrics.summary.items(), ("", "mask_"), strict=False):
        row |= {prefix + name: value for name, value in summary.items()}
        per_class: Mapping[str, Mapping[str, float]] = found.metrics.per_class[kind]
        row |= {f"{prefix}AP/{name}": values["AP"] for name, values in per_class.items()}
    return row


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _keep(checkpoint: Path, folder: Path) -> None:
    """Makes `folder` hold this checkpoint alone; the one there goes when the new one is whole."""
    folder.mkdir(exist_ok=True)
    files = sorted(
        checkpoint.parent.glob(f"{checkpoint.name}.*"), key=lambda path: path.suffix == ".index"
    )
    for path in files:
        _link(path, folder / path.name)
    for path in folder.glob("ckpt-*.index"):
        if path.stem != checkpoint.name:
            checkpoints.remove(path.with_suffix(""))


def _link(path: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(path, target)
    except OSError:  # A file system without hard links.
        shutil.copyfile(path, target)
