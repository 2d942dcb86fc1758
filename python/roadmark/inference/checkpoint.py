"""Evaluation of a trained model's checkpoints: COCO metrics and validation losses."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from roadmark.cluster import sources
from roadmark.detections import Detections
from roadmark.evaluation import corruption, records
from roadmark.evaluation.corruption import Corruption
from roadmark.evaluation.evaluation import Cost, Evaluation
from roadmark.evaluation.parts import Finder, Found, Parts, Sharing
from roadmark.evaluation.records import OnPicture, Selection
from roadmark.odapi import checkpoints, pipeline_config, trained_model
from roadmark.odapi.label_map import LabelMap
from roadmark.odapi.trained_model import TrainedModel


def evaluate(
    model: TrainedModel,
    selection: Selection,
    on_picture: OnPicture | None = None,
    corruptions: Sequence[Corruption] = (),
) -> Evaluation:
    """Evaluates a checkpoint on records, as the OD API's own evaluation does.

    Args:
        model: As `trained_model.find` gives it.
        selection: As `records.select` gives it.
        on_picture: Sees every picture.
        corruptions: Ways to make the pictures worse and evaluate them again.

    Raises:
        UserError: The checkpoint is of another model, or as `records.evaluate`.
    """
    evaluator = CheckpointEvaluator(model.config, model.label_map)
    found = evaluator.evaluate(model.checkpoint, selection, on_picture)
    robustness = corruption.measure(
        corruptions, selection, lambda worse: evaluator.evaluate(model.checkpoint, worse).metrics
    )
    return dataclasses.replace(found, cost=evaluator.cost(selection), robustness=robustness)


def stamp(model: TrainedModel) -> list[list[Any]]:
    """What tells a model's files from others, for JSON."""
    prefix = model.checkpoint
    files = [*sorted(prefix.parent.glob(f"{prefix.name}.*")), model.config_path]
    found = [(path.name, path.stat()) for path in (*files, model.label_map_path)]
    return [[name, status.st_size, status.st_mtime_ns] for name, status in found]


@dataclasses.dataclass(frozen=True)
class Loader:
    """What loads a trained model in a process of a cluster, and finds objects there.

    Attributes:
        places: Run folder, checkpoint, config and label map, as `trained_model.find` takes them;
            each may be an address.
        newest: Where the checkpoint is in the run folder, if it is not among them.
    """

    places: tuple[str | None, str | None, str | None, str | None]
    newest: str = ""

    def __call__(self) -> Finder:
        """Loads it."""
        # The copies stay while the process does.
        held = contextlib.ExitStack()
        run, checkpoint, *rest = (
            place and str(held.enter_context(sources.fetched(place))) for place in self.places
        )
        if checkpoint is None:
            checkpoint = f"{run}/{self.newest}"
        model = trained_model.find(run, checkpoint, *rest)
        return _CheckpointFinder(model, held)


class _CheckpointFinder:
    def __init__(self, model: TrainedModel, held: Any) -> None:
        self._held = held
        self._evaluator = CheckpointEvaluator(model.config, model.label_map)
        self._evaluator.restore(model.checkpoint)
        self._cost: dict[str, Any] | None = None

    def find(self, selection: Selection) -> Iterator[Found]:
        return self._evaluator.find(selection)

    def facts(self, selection: Selection) -> dict[str, Any]:
        # Of the same network everywhere.
        self._cost = self._cost or dataclasses.asdict(self._evaluator.cost(selection))
        return {"cost": self._cost}


def evaluate_on_cluster(
    model: TrainedModel,
    sharing: Sharing,
    selection: Selection,
    on_picture: OnPicture | None = None,
    corruptions: Sequence[Corruption] = (),
) -> Evaluation:
    """As `evaluate`, with the detections and losses found on a cluster.

    Args:
        model: As `trained_model.find` gives it.
        sharing: The cluster, whose processes a `Loader` makes ready.
        selection: As `records.select` gives it.
        on_picture: Sees every picture.
        corruptions: Ways to make the pictures worse and evaluate them again.

    Raises:
        UserError: As `records.evaluate` or `Parts.find`.
    """
    parts = Parts(sharing)

    def evaluated(part: Selection, seen_by: OnPicture | None = None) -> Evaluation:
        masks = pipeline_config.predicts_masks(model.config)
        found = parts.find(part)
        return _evaluation(model.checkpoint, model.label_map, masks, part, found, seen_by)

    found = evaluated(selection, on_picture)
    cost = Cost(**parts.facts[0]["cost"])
    robustness = corruption.measure(corruptions, selection, lambda worse: evaluated(worse).metrics)
    parts.end()
    return dataclasses.replace(found, cost=cost, robustness=robustness)


class CheckpointEvaluator:
    """Evaluates checkpoints of one model, whose graph is built once.

    Args:
        config: The model's `TrainEvalPipelineConfig`.
        label_map: Its classes.
    """

    def __init__(self, config: Any, label_map: LabelMap):
        # TensorFlow and the OD API take seconds to import.
        from roadmark.odapi import eval_step, models

        self._label_map = label_map
        self._network = models.build(config, is_training=False)
        self._step = eval_step.EvalStep(config, self._network)
        self._with_masks = pipeline_config.predicts_masks(config)

    def evaluate(
        self, checkpoint: Path, selection: Selection, on_picture: OnPicture | None = None
    ) -> Evaluation:
        """Evaluates a checkpoint, given by its prefix; see `evaluate`."""
        self.restore(checkpoint)
        found = self.find(selection)
        with_masks = self._with_masks
        return _evaluation(checkpoint, self._label_map, with_masks, selection, found, on_picture)

    def restore(self, checkpoint: Path) -> None:
        """Takes the weights of a checkpoint, given by its prefix."""
        checkpoints.restore_for_inference(self._network, checkpoint)

    def find(self, selection: Selection) -> Iterator[Found]:
        """Yields detections and losses of each chosen record's picture."""
        return self._step.run(lambda: (data for _, data in selection.records()))

    def cost(self, selection: Selection) -> Cost:
        """What the model takes, timed on the first pictures; once a checkpoint is restored."""
        found = self._step.cost(lambda: (data for _, data in selection.records()))
        return Cost(
            parameters=found.parameters,
            flops=found.flops,
            size_bytes=found.size_bytes,
            ms_per_image=found.ms_per_image,
            timed="checkpoint's network and post-processing in TensorFlow, one picture at a time",
            gzipped_bytes=found.gzipped_bytes,
        )


def _evaluation(
    checkpoint: Path,
    labels: LabelMap,
    with_masks: bool,
    selection: Selection,
    found: Iterable[Found],
    on_picture: OnPicture | None,
) -> Evaluation:
    totals: dict[str, float] = {}

    def detections() -> Iterator[Detections]:
        for one, losses in found:
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value
            yield one

    metrics = records.evaluate(selection, detections(), labels, with_masks, on_picture)
    return Evaluation(
        model=str(checkpoint),
        records=selection.source,
        step=checkpoints.step_of(checkpoint),
        metrics=metrics,
        losses={name: value / len(selection) for name, value in totals.items()},
    )
