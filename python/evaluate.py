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
(beside those of training) into the run's folder. --cluster=auto has the machines of a Ray cluster
look for objects; docs/cluster.md tells how.
"""

from absl import flags

from roadmark import app
from roadmark.cluster import flags as cluster_flags
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
_ENGINE = flags.DEFINE_string("engine", "auto", "Or tensorflow, onnxruntime, openvino, tensorrt.")
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


_CLUSTER = cluster_flags.define("parts of the records")


def main() -> int:
    """Runs the command; see the module's text."""
    _check()
    from roadmark.inference.wanted import Wanted
    from roadmark.training import metrics

    paths = (_MODEL_DIR, _CONFIG, _CHECKPOINT, _LABEL_MAP, _MODEL, _EVAL_RECORDS)
    wanted = Wanted(
        model_dir=_MODEL_DIR.value,
        config=_CONFIG.value,
        checkpoint=_CHECKPOINT.value,
        label_map=_LABEL_MAP.value,
        model=_MODEL.value,
        detections=_DETECTIONS.value,
        engine=_ENGINE.value,
        device=_DEVICE.value,
        precision=_PRECISION.value,
        trust=_TRUST.value,
        eval_records=_EVAL_RECORDS.value,
        eval_subset=_EVAL_SUBSET.value,
        group_by=_GROUP_BY.value,
        corruptions=_CORRUPTIONS.value,
        severities=_SEVERITIES.value,
        out=_OUT.value,
        history=metrics.history,
        choice=cluster_flags.choice() if _CLUSTER.value else None,
        given={flag.name: path_flags.as_given(flag) for flag in paths},
    )
    results, out, suffix = wanted.evaluate()
    written = results.write(out, suffix, _SEED.value)
    if _MINE.value:
        written.append(results.mine(out / f"mined{suffix}", _MINE.value, _MINE_AGAINST.value))
    print(f"results: {', '.join(map(str, written))}")
    return 0


def _check() -> None:
    """Refuses flags that do not go together."""
    if _MINE_AGAINST.present and not _MINE.value:
        raise UserError("--mine_against", "found it without --mine", "say how many pictures")
    engine, run = (_ENGINE, _DEVICE, _PRECISION), (_MODEL_DIR, _CONFIG, _CHECKPOINT)
    cure = "evaluate one thing at a time"
    if _DETECTIONS.value is not None:
        others = (_MODEL, *run, *engine, _CORRUPTIONS, _CLUSTER)
        app.refuse_beside(_DETECTIONS, others, cure)
    elif _MODEL.value is not None:
        app.refuse_beside(_MODEL, (*run, _LABEL_MAP), cure)
    else:
        for flag in engine:
            if flag.present:
                raise UserError(
                    f"--{flag.name}", "found it without --model", "give an export's folder"
                )


if __name__ == "__main__":
    app.run(main)
