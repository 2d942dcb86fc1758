"""Trains a detector from a pipeline config.

  bazel run //python:train -- --config=configs/ssd_mobilenet_v2_fpnlite_320.config

It reads data/records/train-* and data/records/label_map.pbtxt, which is where //python:prepare
writes, and leaves checkpoints, metrics.csv, TensorBoard files and the config as run in
runs/<config name>. Before the first step it checks config, label map and records against each
other, and stops with what to change. Repeat the command to resume; Ctrl-C leaves a checkpoint.

Any field of the config can be set: --set train_config.batch_size=4, as often as needed.
`tensorboard --logdir=runs` shows the curves. --cluster=ADDRESS --workers=4 trains on machines of a
Ray cluster (docs/cluster.md). docs/train.md tells the rest.
"""

from pathlib import Path

from absl import flags

from roadmark import app
from roadmark.cluster import flags as cluster_flags
from roadmark.storage import path_flags
from roadmark.training.options import TrainOptions, TrainResult

_CONFIG = path_flags.define_input("config", None, "Pipeline config file.", required=True)
_TRAIN_RECORDS = path_flags.define_input(
    "train_records", None, "Training records: a glob, or several with commas between them."
)
_EVAL_RECORDS = path_flags.define_input(
    "eval_records", None, "Evaluation records, written to the config as run; likewise."
)
_LABEL_MAP = path_flags.define_input("label_map", None, "Label map file.")
_MODEL_DIR = path_flags.define_run(
    "model_dir", None, "Run folder; runs/<config name> by default.", is_live=True
)
_STEPS = flags.DEFINE_integer(
    "steps", None, "Length of the run; warm-up and decay are scaled with it.", lower_bound=1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Images per step, over all GPUs.", lower_bound=1
)
_SEED = flags.DEFINE_integer(
    "seed", None, "Of weights, order and augmentation; 0 by default.", lower_bound=0
)
_FINE_TUNE_CHECKPOINT = path_flags.define_input(
    "fine_tune_checkpoint", None, "Checkpoint to start from, such as .../ckpt-0; empty for none."
)
_SET = path_flags.define_inputs(
    "set", [], "path.to.field=value: any field of the config or, from `recipe.` on, of the recipe."
)
_RECIPE = path_flags.define_input(
    "recipe", None, "YAML file of what configs have no field for; see configs/recipes."
)
_RESTART = flags.DEFINE_bool(
    "restart", False, "Remove the checkpoints and metrics in the run folder and begin anew."
)
_CHECK_LEARNING_RATE = flags.DEFINE_bool(
    "check_learning_rate", True, "Stop when the learning rate is far off for the batch size."
)
_XLA = flags.DEFINE_bool("xla", False, "Compile with XLA.")
_NATIVE_TARGET_ASSIGNMENT = flags.DEFINE_bool(
    "native_target_assignment", True, "Targets by the native op instead of the OD API's graph."
)
_CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", 500, "Steps between two checkpoints.", lower_bound=1
)
_KEEP_CHECKPOINTS = flags.DEFINE_integer("keep_checkpoints", 3, "Checkpoints to keep.", 1)
_LOG_EVERY = flags.DEFINE_integer(
    "log_every", 10, "Steps between two rows of metrics.csv.", lower_bound=1
)
_EVAL_EVERY = flags.DEFINE_integer(
    "eval_every", None, "Steps between evaluations, 0 for none; default: a tenth of the run.", 0
)
_EVAL_SUBSET = flags.DEFINE_integer(
    "eval_subset", 500, "Pictures per evaluation, spread evenly; 0 for all.", lower_bound=0
)
_BEST_BY = flags.DEFINE_string(
    "best_by", "mAP", "Metric of the checkpoint to keep in best/: AP50, AP/car, total_loss, ..."
)
_PATIENCE = flags.DEFINE_integer(
    "patience", 0, "Stop after this many evaluations without a better one; 0 for never.", 0
)
_TRACK = flags.DEFINE_enum("track", None, ["mlflow", "wandb"], "Send what is measured there too.")
_SHOW_INPUTS = flags.DEFINE_integer(
    "show_inputs", 0, "Draw so many pictures as the network sees them in inputs.jpg.", 0
)
_PROFILE = flags.DEFINE_bool(
    "profile", False, "Write a TensorBoard profile of ten steps to the run folder."
)
_CLUSTER = cluster_flags.define_workers()
path_flags.leave_all(unless="cluster")

# Options of the same names.
_AS_GIVEN = (
    *(_TRAIN_RECORDS, _EVAL_RECORDS, _STEPS, _BATCH_SIZE, _SEED, _FINE_TUNE_CHECKPOINT, _RESTART),
    *(_CHECK_LEARNING_RATE, _XLA, _NATIVE_TARGET_ASSIGNMENT, _CHECKPOINT_EVERY, _KEEP_CHECKPOINTS),
    *(_LOG_EVERY, _EVAL_EVERY, _EVAL_SUBSET, _BEST_BY, _PATIENCE, _TRACK, _SHOW_INPUTS, _PROFILE),
)
_STOPPED_BY = {app.EXIT_INTERRUPTED: "Ctrl-C", app.EXIT_TERMINATED: "SIGTERM"}


def main() -> int:
    """Trains as the flags say."""
    from roadmark.training import batch_fit, placing

    options = _options()
    if _CLUSTER.value:
        command = ["-P", str(Path(__file__).absolute()), *cluster_flags.given_besides()]
        placed = placing.Placement(cluster_flags.choice(), flags.FLAGS.workers, command)
        placing.train(placed, options, lambda line: print(line, flush=True))
        return 0
    return _end(batch_fit.train(options))


def _options() -> TrainOptions:
    return TrainOptions(
        config=Path(_CONFIG.value),
        label_map=_LABEL_MAP.value and Path(_LABEL_MAP.value),
        model_dir=_MODEL_DIR.value and Path(_MODEL_DIR.value),
        overrides=tuple(_SET.value),
        recipe=_RECIPE.value and Path(_RECIPE.value),
        **{flag.name: flag.value for flag in _AS_GIVEN},
    )


def _end(result: TrainResult) -> int:
    if result.exit_code:
        whole = f"{result.checkpoint} is complete" if result.checkpoint else "no checkpoint yet"
        print(
            f"stopped by {_STOPPED_BY[result.exit_code]} after step {result.step}: "
            f"{whole}; repeat the command (without --restart) to resume"
        )
        return result.exit_code
    early = f", {_PATIENCE.value} evaluations without a better one" if result.stopped_early else ""
    print(f"trained to step {result.step}{early}: {result.checkpoint}")
    if result.best is not None:
        print(f"best by {_BEST_BY.value}: {result.best}")
    print(f"next: bazel run //python:evaluate -- --model_dir={result.run}")
    return 0


if __name__ == "__main__":
    app.run(main)
