"""What a training run is asked for and what comes of it."""

import dataclasses
from pathlib import Path

LEAST_EVAL_EVERY = 500


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """A training run.

    What is None is taken from the config, or from where `prepare` puts things.

    Attributes:
        config: A pipeline config file.
        train_records: Globs of the training records, with commas between them.
        eval_records: Globs of the evaluation records; written to the as-run config.
        label_map: The label map file.
        model_dir: The run folder; None for `runs/<config name>`.
        steps: Length of the run; the learning-rate schedule is scaled with it.
        batch_size: Images per step, over all GPUs.
        seed: Of the weights, the order of the examples and their augmentation; None for that of
            the run that is resumed, else 0.
        fine_tune_checkpoint: A checkpoint to start from; an empty string for none.
        overrides: `path.to.field=value`, applied to the config in this order; those that begin
            with `recipe.` to the recipe.
        recipe: A recipe file, see `recipe.Recipe`; None for one that does nothing.
        restart: Whether to remove what an earlier run left in the folder and begin anew.
        check_learning_rate: Whether an implausible learning rate stops the run.
        xla: Whether to compile with XLA.
        native_target_assignment: Whether the native op assigns targets where it can, instead of
            the OD API's graph.
        checkpoint_every: Steps between two checkpoints.
        keep_checkpoints: How many of them to keep.
        log_every: Steps between two rows of `metrics.csv` and TensorBoard.
        eval_every: Steps between two evaluations; 0 for none, None for a tenth of the run (at
            least `LEAST_EVAL_EVERY`) where the config's evaluation records are there.
        eval_subset: Pictures to evaluate on, spread evenly; 0 for all.
        best_by: The metric that the best checkpoint is chosen by: see `evaluations.metric_names`.
        show_inputs: Pictures to draw, as the network sees them, in `inputs.jpg`; 0 for none.
        profile: Whether to write a TensorBoard profile of a few steps.
        patience: Evaluations without a better one before the run stops; 0 for never.
        track: A tracker of `tracking` that gets what is measured too; None for none.
    """

    config: Path
    train_records: str | None = None
    eval_records: str | None = None
    label_map: Path | None = None
    model_dir: Path | None = None
    steps: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    fine_tune_checkpoint: str | None = None
    overrides: tuple[str, ...] = ()
    recipe: Path | None = None
    restart: bool = False
    check_learning_rate: bool = True
    xla: bool = False
    native_target_assignment: bool = True
    checkpoint_every: int = 500
    keep_checkpoints: int = 3
    log_every: int = 10
    eval_every: int | None = 0
    eval_subset: int = 0
    best_by: str = "mAP"
    patience: int = 0
    track: str | None = None
    show_inputs: int = 0
    profile: bool = False


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training run left.

    Attributes:
        run: The run folder.
        checkpoint: Prefix of its newest checkpoint; None where one of several workers was stopped
            before the first.
        step: Steps done, those of earlier runs included.
        stopped_early: Whether patience ended it before its last step.
        best: Prefix of the best checkpoint; None where nothing was evaluated.
        exit_code: 0, or 130 or 143 when Ctrl-C or SIGTERM stopped it; the checkpoint is of the
            last step even then.
        metrics: The values of the last row of `metrics.csv` that this run wrote; empty when
            there was nothing left to do.
    """

    run: Path
    checkpoint: Path | None
    step: int
    exit_code: int
    metrics: dict[str, float]
    stopped_early: bool = False
    best: Path | None = None
