"""Evaluation of a trained model's checkpoint: COCO metrics and validation losses."""

from collections.abc import Iterator

from roadmark.detections import Detections
from roadmark.evaluation import records
from roadmark.evaluation.evaluation import Evaluation
from roadmark.evaluation.records import Selection
from roadmark.odapi import checkpoints
from roadmark.odapi.trained_model import TrainedModel


def evaluate(model: TrainedModel, selection: Selection) -> Evaluation:
    """Evaluates a checkpoint on records, as the OD API's own evaluation does.

    Args:
        model: As `trained_model.find` gives it.
        selection: As `records.select` gives it.

    Raises:
        UserError: The checkpoint is of another model, or as `records.evaluate`.
    """
    # TensorFlow and the OD API take seconds to import.
    from roadmark.odapi import eval_step, models

    network = models.build(model.config, is_training=False)
    checkpoints.restore_for_inference(network, model.checkpoint)
    totals: dict[str, float] = {}

    def detections() -> Iterator[Detections]:
        results = eval_step.run(
            model.config, network, lambda: (record for _, record in selection.records())
        )
        for found, losses in results:
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + value
            yield found

    metrics = records.evaluate(selection, detections(), model.label_map, _predicts_masks(model))
    return Evaluation(
        model=str(model.checkpoint),
        records=selection.source,
        step=checkpoints.step_of(model.checkpoint),
        metrics=metrics,
        losses={name: value / len(selection) for name, value in totals.items()},
    )


def _predicts_masks(model: TrainedModel) -> bool:
    kind = model.config.model.WhichOneof("model")
    return kind == "faster_rcnn" and model.config.model.faster_rcnn.number_of_stages == 3
