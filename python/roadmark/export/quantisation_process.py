"""Quantises an exported network to INT8: the process that does it.

    python -m roadmark.export.quantisation_process FOLDER --engine=NAME --out=FILE
        --calibration_records=GLOB --pictures=N --eval_records=GLOB --eval_subset=N
        --max_map_drop=POINTS --calibration=NAME

`quantisation` runs this as a child. The last line that it prints is a JSON object with what was
measured, or with the mistake of the user's that it found.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from nncf.quantization.range_estimator import (
    RangeEstimatorParameters,
    RangeEstimatorParametersSet,
)

from roadmark import manifest
from roadmark.data import example
from roadmark.errors import UserError
from roadmark.evaluation import records
from roadmark.evaluation.coco import BOXES
from roadmark.evaluation.records import Selection
from roadmark.export import entropy_range, signed_int8
from roadmark.export.quantisation import CALIBRATIONS, MINMAX, PERCENTILE
from roadmark.inference import evaluate, fixed_batch
from roadmark.inference.detector import Detector
from roadmark.inference.engine import ONNXRUNTIME, OPENVINO, Engine, batch_size, stamp_of
from roadmark.inference.onnxruntime_engine import OnnxRuntimeEngine
from roadmark.inference.openvino_engine import OpenVinoEngine
from roadmark.manifest import EngineStamp

_POINTS = 100


def main(arguments: list[str]) -> None:
    """Runs the process; see the module's text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", choices=(OPENVINO, ONNXRUNTIME), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calibration_records", required=True)
    parser.add_argument("--pictures", type=int, required=True)
    parser.add_argument("--eval_records", required=True)
    parser.add_argument("--eval_subset", type=int, required=True)
    parser.add_argument("--max_map_drop", type=float, required=True)
    parser.add_argument("--calibration", choices=CALIBRATIONS, required=True)
    try:
        said = _quantise(parser.parse_args(arguments))
    except UserError as error:
        said = {"mistake": [error.where, error.problem, error.cure]}
    print(json.dumps(said))


def _quantise(options: argparse.Namespace) -> dict[str, Any]:
    description = manifest.load(options.folder)
    detector = Detector.load(options.folder, options.engine, "cpu", "fp32", description=description)
    stamp = stamp_of(description, options.engine, "fp32")
    backend = _OnnxRuntime(stamp) if options.engine == ONNXRUNTIME else _OpenVino(stamp)
    calibration = records.select(options.calibration_records, options.pictures)
    _refuse_one_class(calibration, len(description.label_map))
    selection = records.select(options.eval_records, options.eval_subset)
    measured: list[float] = []

    def mean_average_precision(model: Any, _: object) -> tuple[float, None]:
        judged = Detector(description, backend.engine(model), detector.anchors)
        result = evaluate.evaluate(options.folder, judged, selection)
        measured.append(float(result.metrics.summary[BOXES]["mAP"]))
        return measured[-1], None

    model = nncf.quantize_with_accuracy_control(
        backend.read(options.folder / stamp.path),
        nncf.Dataset(list(_batches(detector, calibration))),
        nncf.Dataset([0]),
        mean_average_precision,
        max_drop=options.max_map_drop / _POINTS,
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        advanced_quantization_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=backend.overflow_fix,
            activations_range_estimator_params=_ranges(options.calibration),
        ),
    )
    mean_average_precision(model, None)
    backend.save(model, options.out)
    return {
        "pictures": len(calibration),
        "evaluated": len(selection),
        "map_before": measured[0],
        "map_after": measured[-1],
    }


def _ranges(calibration: str) -> RangeEstimatorParameters:
    if calibration == MINMAX:
        return RangeEstimatorParameters()  # That is what nncf does when it is told nothing.
    if calibration == PERCENTILE:
        return RangeEstimatorParametersSet.MEAN_QUANTILE
    entropy_range.replace_squared_error()
    return RangeEstimatorParametersSet.HISTOGRAM


class _OpenVino:
    """OpenVINO's own format."""

    overflow_fix = None

    def __init__(self, stamp: EngineStamp) -> None:
        self._stamp = stamp

    def read(self, path: Path) -> ov.Model:
        return ov.Core().read_model(path)

    def engine(self, model: ov.Model | ov.CompiledModel) -> Engine:
        if isinstance(model, ov.Model):
            model = ov.Core().compile_model(model, "CPU")
        return OpenVinoEngine(model, "int8", batch_size(self._stamp))

    def save(self, model: ov.Model, path: Path) -> None:
        ov.save_model(model, path, compress_to_fp16=False)


class _OnnxRuntime:
    """ONNX with QuantizeLinear and DequantizeLinear, as TensorRT takes it: signed and symmetric."""

    # Half the range of weights, against overflows of processors without VNNI, is lost on a GPU.
    overflow_fix = nncf.OverflowFix.DISABLE

    def __init__(self, stamp: EngineStamp) -> None:
        self._stamp = dataclasses.replace(stamp, precision="int8")

    def read(self, path: Path) -> onnx.ModelProto:
        return onnx.load(path)

    def engine(self, model: onnx.ModelProto) -> Engine:
        session = ort.InferenceSession(
            signed_int8.convert(model).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return OnnxRuntimeEngine(session, self._stamp, "cpu")

    def save(self, model: onnx.ModelProto, path: Path) -> None:
        onnx.save(signed_int8.convert(model), path)


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
