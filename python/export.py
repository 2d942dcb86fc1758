"""Exports a trained model to a folder that runs without anything else.

    bazel run //python:export -- --model_dir=runs/demo
    bazel run //python:export -- --model_dir=runs/demo --format=saved_model,onnx,openvino
    bazel run //python:export -- --config=configs/effdet_d0.config --checkpoint=DIR/ckpt-0 --out=DIR

The folder, by default `export` inside the run's folder, always holds two SavedModels.
`saved_model` takes a uint8 batch of pictures and gives final detections, as TF Serving and the
tutorials use it. `raw` is the network alone; `manifest.json` beside it says how pictures become its
input and its outputs become detections, and carries the SHA-256 of every file. --format adds the
raw network as ONNX and in OpenVINO's format. `infer` and `evaluate` take the folder as --model.

Before the folder is put in its place, all are run on rendered street scenes and compared.
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
_OUT = flags.DEFINE_string("out", None, "Folder to write. Default: <model_dir>/export.")
_FORMAT = flags.DEFINE_list(
    "format", ["saved_model"], "saved_model, onnx and openvino, with commas between them."
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 0, "The only one that onnx and openvino take; 0 for any.", 0
)


def main() -> int:
    """Runs the command; see the module's text."""
    formats = _formats()
    run = _run_folder()
    out = _out(run)

    from roadmark.export import exporter
    from roadmark.odapi import trained_model

    from_run = run is not None and _CHECKPOINT.value is None
    config = None if from_run and _MODEL_DIR.value is None else _CONFIG.value
    model = trained_model.find(run, _CHECKPOINT.value, config, _LABEL_MAP.value)
    print(f"exporting {model.checkpoint} to {out}", flush=True)
    exported = exporter.export(model, out, formats, _BATCH_SIZE.value)
    print(f"raw against stock on {exported.agreement}")
    if exported.conversion:
        print(f"conversion: {exported.conversion}")
        problems = "; ".join(exported.conversion.tensorrt)
        print(f"for TensorRT (operators and sizes alone): {problems or 'nothing in the way'}")
    for engine, agreement in exported.engines.items():
        print(f"{engine} against raw on {agreement}")
    print(f"exported {model.name} of step {exported.manifest.step} to {exported.folder}")
    print(f"try it: bazel run //python:infer -- --model={exported.folder} --video=test.mp4")
    return 0


def _formats() -> frozenset[str]:
    from roadmark.export import exporter

    formats = frozenset(_FORMAT.value)
    for name in sorted(formats - set(exporter.FORMATS)):
        choices = ", ".join(exporter.FORMATS)
        raise UserError("--format", f"found {name!r}", f"choose among {choices}")
    if _BATCH_SIZE.value and formats <= {"saved_model"}:
        raise UserError(
            "--batch_size",
            "found it with saved_model alone, whose batch is always free",
            "add --format=onnx or openvino",
        )
    return formats


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
