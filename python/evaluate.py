"""COCO metrics of a model and an account of its mistakes.

    bazel run //python:evaluate -- --model_dir=runs/demo
    bazel run //python:evaluate -- --model=runs/demo/export --eval_subset=200
    bazel run //python:evaluate -- --detections=yolo.json
    bazel run //python:evaluate -- --model_dir=runs/demo --corruptions=fog,rain,night,blur,jpeg
    bazel run //python:evaluate -- --model_dir=runs/demo --eval_records=POOL --mine=200

Of a run it takes the newest checkpoint (or --checkpoint) and gives the validation losses too; the
numbers are those of the OD API's own evaluation. Of an exported folder it measures the very path
that `infer` takes. A file of detections may come from any framework.

It prints tables and writes evaluation.json, detections.json, report.html and TensorBoard scalars
(beside those of training) into the run's folder.
"""

from pathlib import Path

from absl import flags

from roadmark import app, locations, manifest
from roadmark.errors import UserError
from roadmark.storage import path_flags

_MODEL_DIR = path_flags.define_run(
    "model_dir", None, "Run folder. Default: runs/<name of --config>, unless --checkpoint is given."
)
_CONFIG = path_flags.define_input("config", None, "Pipeline config. Default: the run's own.")
_CHECKPOINT = path_flags.define_run(
    "checkpoint", None, "Checkpoint prefix or folder. Default: the run's newest."
)
_LABEL_MAP = path_flags.define_input("label_map", None, "Label map. Default: the run's own.")
_MODEL = path_flags.define_run("model", None, "An exported folder, instead of a run.")
_DETECTIONS = path_flags.define_run(
    "detections", None, "A file of detections (COCO JSON), instead of a model."
)
_ENGINE = flags.DEFINE_string("engine", "auto", "tensorflow, onnxruntime, openvino, or auto.")
_DEVICE = flags.DEFINE_string("device", "auto", "cpu, gpu, or auto for a GPU where there is one.")
_PRECISION = flags.DEFINE_string("precision", "exported", "fp32, bf16, int8, auto, or exported.")
_TRUST = flags.DEFINE_bool("trust", False, "As of infer.")
_EVAL_RECORDS = path_flags.define_input("eval_records", None, "TFRecords; else the config's.")
_EVAL_SUBSET = flags.DEFINE_integer(
    "eval_subset", 0, "Evaluate on this many pictures, spread evenly; 0 for all.", lower_bound=0
)
_GROUP_BY = flags.DEFINE_string("group_by", None, "Regular expression: the drive in a name.")
_CORRUPTIONS = flags.DEFINE_list(
    "corruptions", [], "Evaluate pictures made worse too: fog, rain, night, blur, jpeg."
)
_SEVERITIES = flags.DEFINE_list("severities", ["1", "3", "5"], "Of the corruptions, 1 to 5.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the bootstrap.")
_MINE = flags.DEFINE_integer("mine", 0, "Write so many of the worst pictures to learn from.", 0)
_MINE_AGAINST = path_flags.define_input(
    "mine_against", None, "Another model's detections on these records, to mine disagreements too."
)
_OUT = path_flags.define_output("out", None, "Folder for results. Default: the run's or file's.")


def main() -> int:
    """Runs the command; see the module's text."""
    if _MINE_AGAINST.present and not _MINE.value:
        raise UserError("--mine_against", "found it without --mine", "say how many pictures")
    if _DETECTIONS.value is not None:
        *found, out, suffix = _of_detections()
    elif _MODEL.value is not None:
        *found, out, suffix = _of_export()
    else:
        *found, out, suffix = _of_checkpoint()
    from roadmark.evaluation.results import Results

    results = Results(*found)
    written = results.write(out, suffix, _SEED.value)
    if _MINE.value:
        written.append(results.mine(out / f"mined{suffix}", _MINE.value, _MINE_AGAINST.value))
    print(f"results: {', '.join(map(str, written))}")
    return 0


def _of_detections():
    others = (_MODEL, _MODEL_DIR, _CONFIG, _CHECKPOINT, _ENGINE, _DEVICE, _PRECISION, _CORRUPTIONS)
    app.refuse_beside(_DETECTIONS, others, "evaluate one thing at a time")
    from roadmark.evaluation import detections_reading, records
    from roadmark.evaluation.recording import Recording
    from roadmark.odapi import label_map

    path, recorded = Path(_DETECTIONS.value), Recording(_GROUP_BY.value)
    labels = label_map.load(_LABEL_MAP.value or locations.LABEL_MAP)
    selection = records.select(_EVAL_RECORDS.value or locations.EVAL_RECORDS, _EVAL_SUBSET.value)
    print(f"evaluating {path} on {len(selection)} pictures", flush=True)
    result, notes = detections_reading.evaluate(path, labels, selection, recorded.add)
    for note in notes:
        print(note)
    return result, recorded, labels.names, selection, Path(_OUT.value or path.parent), "_detections"


def _of_export():
    others = (_MODEL_DIR, _CONFIG, _CHECKPOINT, _LABEL_MAP)
    app.refuse_beside(_MODEL, others, "evaluate one thing at a time")
    from roadmark.evaluation import corruption, records
    from roadmark.evaluation.recording import recording
    from roadmark.inference import evaluate
    from roadmark.inference.detector import Detector

    worse = corruption.parse(_CORRUPTIONS.value, _SEVERITIES.value)
    folder, out = Path(_MODEL.value), Path(_OUT.value or Path(_MODEL.value).parent)
    selection = records.select(_EVAL_RECORDS.value or locations.EVAL_RECORDS, _EVAL_SUBSET.value)
    choices = (_ENGINE.value, _DEVICE.value, _PRECISION.value)
    detector = Detector.load(folder, *choices, description=manifest.load(folder, _TRUST.value))
    what = f"{folder} ({detector.engine.explained()})"
    print(f"evaluating {what} on {len(selection)} pictures", flush=True)
    file = out / "detections_export.json"
    with recording(file, detector.label_map, _GROUP_BY.value) as recorded:
        result = evaluate.evaluate(folder, detector, selection, recorded.add, worse)
    return result, recorded, detector.label_map, selection, out, "_export"


def _of_checkpoint():
    for flag in (_ENGINE, _DEVICE, _PRECISION):
        if flag.present:
            raise UserError(f"--{flag.name}", "found it without --model", "give an export's folder")
    from roadmark.evaluation import corruption, records
    from roadmark.evaluation.recording import recording
    from roadmark.inference import checkpoint
    from roadmark.odapi import trained_model

    worse = corruption.parse(_CORRUPTIONS.value, _SEVERITIES.value)
    run = _run_folder()
    config = _CONFIG.value if run is None or _MODEL_DIR.value is not None else None
    model = trained_model.find(run, _CHECKPOINT.value, config, _LABEL_MAP.value)
    source = _EVAL_RECORDS.value or trained_model.eval_records(model)
    selection = records.select(source, _EVAL_SUBSET.value)
    out = Path(_OUT.value) if _OUT.value is not None else run or model.checkpoint.parent
    print(f"evaluating {model.checkpoint} on {len(selection)} pictures", flush=True)
    names = model.label_map.names
    with recording(out / "detections.json", names, _GROUP_BY.value) as recorded:
        result = checkpoint.evaluate(model, selection, recorded.add, worse)
    return result, recorded, names, selection, out, ""


def _run_folder() -> Path | None:
    if _MODEL_DIR.value is not None:
        return Path(_MODEL_DIR.value)
    if _CONFIG.value is None:
        cure = "give --model_dir, --config, --model or --detections"
        raise UserError("command line", "found nothing to evaluate", cure)
    return None if _CHECKPOINT.value is not None else locations.model_dir(_CONFIG.value)


if __name__ == "__main__":
    app.run(main)
