"""COCO metrics of a trained or an exported model.

    bazel run //python:evaluate -- --model_dir=runs/demo
    bazel run //python:evaluate -- --model=runs/demo/export --eval_subset=200

Of a run it takes the newest checkpoint (or --checkpoint) and gives the validation losses too; the
numbers are those of the OD API's own evaluation. Of an exported folder it measures the very path
that `infer` takes: pre-processing, engine, native post-processing.

It prints tables and writes evaluation.json and TensorBoard scalars into the run's folder:
`tensorboard --logdir=runs` shows validation and training losses in the same charts.
"""

from pathlib import Path

from absl import flags

from roadmark import app, locations
from roadmark.errors import UserError

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "Run folder. Default: runs/<name of --config>, unless --checkpoint is given."
)
_CONFIG = flags.DEFINE_string("config", None, "Pipeline config. Default: the run's own.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "Checkpoint prefix or folder. Default: the run's newest."
)
_LABEL_MAP = flags.DEFINE_string("label_map", None, "Label map. Default: the run's own.")
_MODEL = flags.DEFINE_string("model", None, "An exported folder, instead of a run.")
_ENGINE = flags.DEFINE_string("engine", "auto", "openvino, tensorflow, or auto to go by device.")
_DEVICE = flags.DEFINE_string("device", "auto", "cpu, gpu, or auto for a GPU where there is one.")
_PRECISION = flags.DEFINE_string("precision", "auto", "fp32, bf16, or auto for fp32.")
_EVAL_RECORDS = flags.DEFINE_string(
    "eval_records", None, "Glob of TFRecords. Default: what the config names."
)
_EVAL_SUBSET = flags.DEFINE_integer(
    "eval_subset", 0, "Evaluate on this many pictures, spread evenly; 0 for all.", lower_bound=0
)
_OUT = flags.DEFINE_string("out", None, "Folder for the results. Default: the run's folder.")


def main() -> int:
    """Runs the command; see the module's text."""
    result, out = _of_export() if _MODEL.value is not None else _of_checkpoint()

    from roadmark.evaluation import evaluation

    evaluation.print_tables(result)
    path = out / ("evaluation_export.json" if _MODEL.value is not None else "evaluation.json")
    scalars = out / "tensorboard" / ("eval_export" if _MODEL.value is not None else "eval")
    evaluation.write_json(result, path)
    evaluation.write_scalars(result, scalars)
    print(f"results: {path}, and for TensorBoard {scalars}")
    return 0


def _of_export():
    if any(flag.value is not None for flag in (_MODEL_DIR, _CONFIG, _CHECKPOINT, _LABEL_MAP)):
        raise UserError(
            "--model",
            "found flags of a run beside it",
            "give an exported folder or a run, not both",
        )
    from roadmark.evaluation import records
    from roadmark.inference import evaluate
    from roadmark.inference.detector import Detector

    folder = Path(_MODEL.value)
    selection = records.select(_EVAL_RECORDS.value or locations.EVAL_RECORDS, _EVAL_SUBSET.value)
    detector = Detector.load(folder, _ENGINE.value, _DEVICE.value, _PRECISION.value)
    print(f"evaluating {folder} ({detector.engine}) on {len(selection)} pictures", flush=True)
    return evaluate.evaluate(folder, detector, selection), Path(_OUT.value or folder.parent)


def _of_checkpoint():
    for flag in (_ENGINE, _DEVICE, _PRECISION):
        if flag.present:
            raise UserError(
                f"--{flag.name}",
                "found it without --model",
                "a run's checkpoint takes no such flag",
            )
    from roadmark.evaluation import records
    from roadmark.inference import checkpoint
    from roadmark.odapi import trained_model

    run = _run_folder()
    config = _CONFIG.value if run is None or _MODEL_DIR.value is not None else None
    model = trained_model.find(run, _CHECKPOINT.value, config, _LABEL_MAP.value)
    source = _EVAL_RECORDS.value or trained_model.eval_records(model)
    selection = records.select(source, _EVAL_SUBSET.value)
    out = Path(_OUT.value) if _OUT.value is not None else run or model.checkpoint.parent
    print(f"evaluating {model.checkpoint} on {len(selection)} pictures", flush=True)
    return checkpoint.evaluate(model, selection), out


def _run_folder() -> Path | None:
    if _MODEL_DIR.value is not None:
        return Path(_MODEL_DIR.value)
    if _CONFIG.value is None:
        raise UserError(
            "command line", "found no model to evaluate", "give --model_dir, --config or --model"
        )
    return None if _CHECKPOINT.value is not None else locations.model_dir(_CONFIG.value)


if __name__ == "__main__":
    app.run(main)
