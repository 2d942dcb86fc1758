"""Quantises an exported network to INT8 for OpenVINO: the process that does it.

    python -m roadmark.export.quantisation_process FOLDER --out=FILE.xml --calibration_records=GLOB
        --pictures=N --eval_records=GLOB --eval_subset=N --max_map_drop=POINTS

`quantisation` runs this as a child. The last line that it prints is a JSON object with what was
measured, or with the mistake of the user's that it found.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov

from roadmark import manifest
from roadmark.data import example
from roadmark.errors import UserError
from roadmark.evaluation import records
from roadmark.evaluation.coco import BOXES
from roadmark.evaluation.records import Selection
from roadmark.inference import evaluate, fixed_batch
from roadmark.inference.detector import Detector
from roadmark.inference.engine import OPENVINO
from roadmark.inference.openvino_engine import OpenVinoEngine

_POINTS = 100


def main(arguments: list[str]) -> None:
    """Runs the process; see the module's text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calibration_records", required=True)
    parser.add_argument("--pictures", type=int, required=True)
    parser.add_argument("--eval_records", required=True)
    parser.add_argument("--eval_subset", type=int, required=True)
    parser.add_argument("--max_map_drop", type=float, required=True)
    try:
        said = _quantise(parser.parse_args(arguments))
    except UserError as error:
        said = {"mistake": [error.where, error.problem, error.cure]}
    print(json.dumps(said))


def _quantise(options: argparse.Namespace) -> dict[str, Any]:
    description = manifest.load(options.folder)
    detector = Detector.load(options.folder, OPENVINO, "cpu", "fp32", description=description)
    (stamp,) = [one for one in description.engines if one.engine == OPENVINO]
    calibration = records.select(options.calibration_records, options.pictures)
    _refuse_one_class(calibration, len(description.label_map))
    selection = records.select(options.eval_records, options.eval_subset)
    measured: list[float] = []

    def mean_average_precision(compiled: ov.CompiledModel, _: object) -> tuple[float, None]:
        engine = OpenVinoEngine(compiled, "int8", detector.engine.batch_size)
        judged = Detector(description, engine, detector.anchors)
        result = evaluate.evaluate(options.folder, judged, selection)
        measured.append(float(result.metrics.summary[BOXES]["mAP"]))
        return measured[-1], None

    model = nncf.quantize_with_accuracy_control(
        ov.Core().read_model(options.folder / stamp.path),
        nncf.Dataset(list(_batches(detector, calibration))),
        nncf.Dataset([0]),
        mean_average_precision,
        max_drop=options.max_map_drop / _POINTS,
        subset_size=len(calibration),
    )
    mean_average_precision(ov.Core().compile_model(model, "CPU"), None)
    ov.save_model(model, options.out, compress_to_fp16=False)
    return {
        "pictures": len(calibration),
        "evaluated": len(selection),
        "map_before": measured[0],
        "map_after": measured[-1],
    }


def _batches(detector: Detector, selection: Selection) -> Iterator[dict[str, np.ndarray]]:
    """The network's input of each picture, by the very pre-processing of inference."""
    for where, record in selection.records():
        picture = records.picture(example.parse(record, where), where)
        arrays = detector.preprocess([picture]).arrays
        yield from fixed_batch.split(arrays, detector.engine.batch_size)


def _refuse_one_class(selection: Selection, known: int) -> None:
    found = {
        int(class_id)
        for where, record in selection.records()
        for class_id in example.parse(record, where).class_ids
    }
    if not found or (len(found) == 1 < known):
        what = "no object" if not found else "objects of one class"
        raise UserError(
            selection.source,
            f"found {what} in {len(selection)} pictures, expected those of {known} classes",
            "calibrate on pictures like those that the model will see",
        )


if __name__ == "__main__":
    main(sys.argv[1:])
