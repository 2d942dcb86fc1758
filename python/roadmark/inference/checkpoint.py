"""Evaluation of a trained model's checkpoints: COCO metrics and validation losses."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from roadmark.detections import Detections
from roadmark.evaluation import corruption, records
from roadmark.evaluation.corruption import Corruption
from roadmark.evaluation.evaluation import Cost, Evaluation
from roadmark.evaluation.records import OnPicture, Selection
from roadmark.odapi import checkpoints, pipeline_config
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
        checkpoints.restore_for_inference(self._network, checkpoint)
        totals: dict[str, float] = {}

        def detections() -> Iterator[Detections]:
            for found, losses in self._step.run(lambda: (data for _, data in selection.records())):
                for name, value in losses.items():
                    totals[name] = totals.get(name, 0.0) + value
                yield found

        metrics = records.evaluate(
            selection, detections(), self._label_map, self._with_masks, on_picture
        )
        return Evaluation(
            model=str(checkpoint),
            records=selection.source,
            step=checkpoints.step_of(checkpoint),
            metrics=metrics,
            losses={name: value / len(selection) for name, value in totals.items()},
        )

    def cost(self, selection: Selection) -> Cost:
        """What the model takes, timed on the first pictures; once a checkpoint is restored."""
        found = self._step.cost(lambda: (data for _, data in selection.records()))
        return Cost(
            parameters=found.parameters,
            flops=found.flops,
            size_bytes=found.size_bytes,
            ms_per_image=found.ms_per_image,
            timed="checkpoint's network and post-processing in TensorFlow, one picture at a time",
        )
