"""Run folders as they are left without a checkpoint, on small records."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from roadmark.data import example
from roadmark.detections import Detections
from roadmark.evaluation import evaluation, records
from roadmark.evaluation.evaluation import Cost, Evaluation
from roadmark.evaluation.recording import recording
from roadmark.odapi.label_map import LabelMap
from roadmark.testing import small_records

RECORDS = "records/train-*"
_CONFIG = """
model {{ ssd {{ num_classes: 3 }} }}
train_config {{ batch_size: {batch_size} }}
eval_input_reader {{
  label_map_path: "records/label_map.pbtxt"
  tf_record_input_reader {{ input_path: "{records}" }}
}}
"""


def write_records(folder: Path, count: int = 12) -> None:
    """Writes `records` into the folder: drives of three pictures, `drive_0/0.png` and so on."""
    small_records.write(
        folder / "records",
        count,
        shards=1,
        change=lambda image: dataclasses.replace(image, filename=_in_drive(image.filename)),
    )


def write(
    folder: Path, name: str, found: float, batch_size: int = 8, subset: int = 0, fog: float = 0.0
) -> Path:
    """Writes the folder of a run, with the files that a comparison needs and no more.

    Args:
        folder: Where `write_records` was.
        name: Of the run.
        found: Chance of an object to be found; a false positive is in each picture besides.
        batch_size: For its config.
        subset: How many pictures it was evaluated on; 0 for all.
        fog: For its recipe.

    Returns:
        The run's folder.
    """
    run = folder / name
    run.mkdir(parents=True)
    selection = records.select(str(folder / RECORDS), subset)
    rng = np.random.default_rng(0)
    with recording(run / "detections.json", small_records.NAMES) as recorded:
        detections = [
            _found(example.parse(data, where), found, rng) for where, data in selection.records()
        ]
        metrics = records.evaluate(
            selection, detections, LabelMap.of(small_records.NAMES), on_picture=recorded.add
        )
    cost = Cost(2_600_000, 1_700_000_000, 10_400_000, 12.5, "checkpoint")
    evaluation.write_json(
        Evaluation(f"{name}/ckpt-40", RECORDS, 40, metrics, {"total_loss": 1.5}, cost),
        run / "evaluation.json",
    )
    (run / "label_map.pbtxt").write_text(small_records.LABEL_MAP)
    (run / "pipeline.config").write_text(_CONFIG.format(batch_size=batch_size, records=RECORDS))
    (run / "recipe.yaml").write_text(f"accumulate: 1\nweather:\n  fog: {fog}\n")
    (run / "versions.json").write_text(json.dumps({"seed": 0, "packages": {"numpy": "2"}}))
    rows = "".join(f"{step},{2 - step / 80},2\n" for step in range(2, 41, 2))
    (run / "metrics.csv").write_text(f"step,total_loss,steps_per_second\n{rows}")
    (run / "evaluations.csv").write_text("step,total_loss,mAP\n20,1.8,0.1\n40,1.6,0.2\n")
    return run


def _in_drive(filename: str) -> str:
    number = int(filename.removesuffix(".png"))
    return f"drive_{number // 3}/{filename}"


def _found(image: example.AnnotatedImage, share: float, rng: np.random.Generator) -> Detections:
    own = rng.random(len(image)) < share
    boxes = np.concatenate([image.boxes_in_pixels[own], np.float32([[0, 0, 9, 9]])])
    scores = np.append(rng.uniform(0.6, 1, own.sum()), 0.5).astype(np.float32)
    return Detections(boxes, scores, np.append(image.class_ids[own], 3).astype(np.int32))
