"""Exports a trained model to a folder that runs without anything else.

    bazel run //python:export -- --model_dir=runs/demo
    bazel run //python:export -- --model_dir=runs/demo --format=saved_model,onnx,openvino
    bazel run //python:export -- --config=configs/effdet_d0.config --checkpoint=DIR/ckpt-0 --out=DIR

The folder, by default `export` inside the run's folder, always holds two SavedModels.
`saved_model` takes a uint8 batch of pictures and gives final detections, as TF Serving and the
tutorials use it. `raw` is the network alone; `manifest.json` beside it says how pictures become its
input and its outputs become detections, and carries the SHA-256 of every file. --format adds the
network in other formats, and has TensorRT build an engine (docs/tensorrt.md).
`infer` and `evaluate` take it as --model. Before it is put in place, all are run and compared.
"""

from pathlib import Path
from typing import Any

from absl import flags

from roadmark import app, locations
from roadmark.errors import UserError
from roadmark.storage import path_flags

_MODEL_DIR = path_flags.define_run(
    "model_dir", None, "Run folder. Default: runs/<name of --config>, unless --checkpoint is given."
)
_CONFIG = path_flags.define_input("config", None, "Pipeline config. Default: the run's own.")
_CHECKPOINT = path_flags.define_input(
    "checkpoint", None, "Checkpoint prefix or folder. Default: the run's newest."
)
_LABEL_MAP = path_flags.define_input("label_map", None, "Label map. Default: the run's own.")
_OUT = path_flags.define_output(
    "out", None, "Folder to write. Default: <model_dir>/export.", replaces=True
)
_FORMAT = flags.DEFINE_list(
    "format", ["saved_model"], "Of saved_model, onnx, openvino, tensorrt, tflite, triton."
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 0, "The only one that onnx and openvino take; 0 for any.", 0
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "fp32",
    ["fp32", "fp16", "bf16", "int8"],
    "int8 is openvino's and tensorrt's, calibrated on records; fp16 and bf16 are tensorrt's.",
)
_ENGINES_OF = path_flags.define_run(
    "engines_of", None, "Exported folder to build tensorrt's engine for, in place of a new export."
)
_MAX_BATCH = flags.DEFINE_integer("max_batch", 8, "The largest that tensorrt's engine takes.", 1)
_TENSORRT_PYTHON = flags.DEFINE_string("tensorrt_python", None, "Python that has TensorRT.")
_PORTABLE = flags.DEFINE_multi_enum(
    "portable", [], ["version", "hardware"], "What else may run tensorrt's engine: later, others."
)
_NMS_IN_ENGINE = flags.DEFINE_bool(
    "nms_in_engine", False, "tensorrt: suppress boxes inside, by its EfficientNMS_TRT."
)
_CALIBRATION_RECORDS = path_flags.define_input(
    "calibration_records", locations.TRAIN_RECORDS, "Glob of TFRecords to calibrate int8 on."
)
_CALIBRATION_PICTURES = flags.DEFINE_integer(
    "calibration_pictures", 128, "How many, spread evenly.", 1
)
_CALIBRATION = flags.DEFINE_enum(
    "calibration", "minmax", ["minmax", "percentile", "entropy"], "Ranges of values in int8."
)
_EVAL_RECORDS = path_flags.define_input(
    "eval_records", locations.EVAL_RECORDS, "TFRecords to judge by."
)
_EVAL_SUBSET = flags.DEFINE_integer("eval_subset", 0, "How many for int8; 0 for all.", 0)
_MAX_MAP_DROP = flags.DEFINE_float(
    "max_map_drop", 0.5, "Points of mAP (of 100) that int8 may cost.", 0.0
)


def main() -> int:
    """Runs the command; see the module's text."""
    from roadmark.export import exporter, sampled_map, tensorrt_build
    from roadmark.odapi import trained_model

    formats = exporter.checked_formats(_FORMAT.value, _BATCH_SIZE.value)
    # Whatever this machine lacks is told before the work of an hour, and not behind it.
    terms = (_TENSORRT_PYTHON.value, _PORTABLE.value, _NMS_IN_ENGINE.value)
    plan = tensorrt_build.plan(formats, _PRECISION.value, _MAX_BATCH.value, *terms)
    if _ENGINES_OF.value and plan is None:
        raise UserError("--engines_of", "found no --format=tensorrt", "add it")
    if _ENGINES_OF.value:
        return _add_engine(Path(_ENGINES_OF.value), plan)
    int8 = _int8(formats)
    run = _run_folder()
    out = _out(run)
    from_run = run is not None and _CHECKPOINT.value is None
    config = None if from_run and _MODEL_DIR.value is None else _CONFIG.value
    model = trained_model.find(run, _CHECKPOINT.value, config, _LABEL_MAP.value)
    print(f"exporting {model.checkpoint} to {out}", flush=True)
    sample = sampled_map.select(_EVAL_RECORDS.value, _EVAL_RECORDS.present)
    exported = exporter.export(model, out, formats, _BATCH_SIZE.value, int8, sample)
    print(exported)
    print(f"try it: bazel run //python:infer -- --model={exported.folder} --video=test.mp4")
    return _add_engine(out, plan) if plan else 0


def _add_engine(folder: Path, plan: Any) -> int:
    from roadmark.export import tensorrt_build

    _, agreement = tensorrt_build.add(folder, plan)
    print(f"tensorrt in {plan.precision} against onnxruntime on {agreement or 'nothing: not run'}")
    return 0


def _int8(formats: frozenset[str]) -> Any:
    if _PRECISION.value != "int8":
        return None
    from roadmark.data import records
    from roadmark.export.quantisation import Plan

    if not {"openvino", "tensorrt"} & formats:
        problem = "found int8, which only openvino and tensorrt have"
        raise UserError("--precision", problem, "add their --format")
    for glob in (_CALIBRATION_RECORDS.value, _EVAL_RECORDS.value):
        records.match(glob)  # Before the work of an hour, and not behind it.
    return Plan(
        _CALIBRATION_RECORDS.value,
        _CALIBRATION_PICTURES.value,
        _EVAL_RECORDS.value,
        _EVAL_SUBSET.value,
        _MAX_MAP_DROP.value,
        _CALIBRATION.value,
    )


def _run_folder() -> Path | None:
    if _MODEL_DIR.value is not None:
        return Path(_MODEL_DIR.value)
    if _CONFIG.value is None:
        raise UserError("command line", "found no model to export", "give --model_dir or --config")
    return None if _CHECKPOINT.value is not None else locations.model_dir(_CONFIG.value)


def _out(run: Path | None) -> Path:
    if _OUT.value is not None:
        return Path(_OUT.value)
    if run is None:
        raise UserError("--out", "found no folder to write to", "give --out=DIR")
    return locations.export_dir(run)


if __name__ == "__main__":
    app.run(main)
