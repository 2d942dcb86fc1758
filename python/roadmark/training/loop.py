"""The training loop: batches in, checkpoints and metrics out, resumable at any step.

Importing it is cheap: TensorFlow is imported once all that can be checked without it is in order.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from roadmark import locations, progress
from roadmark.errors import UserError
from roadmark.odapi import checkpoints, pipeline_config
from roadmark.training import preflight, run_config, schedule
from roadmark.training.interruption import Interruption
from roadmark.training.options import TrainOptions, TrainResult
from roadmark.training.recorder import TOTAL_LOSS, Recorder
from roadmark.training.run_config import RunConfig
from roadmark.training.run_folder import RunFolder

if TYPE_CHECKING:
    from roadmark.training.session import Session


def train(options: TrainOptions) -> TrainResult:
    """Trains a detector, or goes on with training it.

    Args:
        options: What to train, on what, and where to put it.

    Returns:
        Where the run is and how far it came.

    Raises:
        UserError: Config, label map, records or a checkpoint do not fit, the model folder cannot
            be written to, or the loss is no longer finite.
    """
    prepared = run_config.prepare(options)
    folder = RunFolder(options.model_dir or locations.model_dir(options.config))
    train = prepared.config.train_config
    if train.fine_tune_checkpoint and (options.restart or checkpoints.latest(folder.path) is None):
        _check_fine_tune(train.fine_tune_checkpoint, folder.path)
    _restart(folder, options)
    beginning = folder.beginning(options.seed, train.batch_size, prepared.index.digest())
    resume = checkpoints.latest(folder.path)
    steps = train.num_steps
    _say(_summary(options, prepared, folder, beginning.seed))
    if resume is not None and checkpoints.step_of(resume) >= steps:
        return _nothing_left(folder, resume, steps)
    folder.begin(prepared.config, prepared.label_map_path, beginning)
    session = _session(prepared, beginning.seed, resume, options)
    with Recorder(folder, session.summary_writer(folder.tensorboard), session.step) as recorder:
        return _run(session, recorder, options, folder.path, steps)


def _check_fine_tune(path: str, run: Path) -> None:
    # Before anything is removed: a slip in the path must not cost the earlier run.
    prefix = checkpoints.resolve(path)
    if prefix.resolve().is_relative_to(checkpoints.folder(run).resolve()):
        raise UserError(
            f"--fine_tune_checkpoint={path}",
            f"{prefix} is in the folder of this run, which --restart clears",
            "train into another --model_dir",
        )


def _restart(folder: RunFolder, options: TrainOptions) -> None:
    removed = folder.remove_training() if options.restart else []
    if removed:
        _say([f"--restart: removed {', '.join(removed)} of {folder.path}"])


def _nothing_left(folder: RunFolder, checkpoint: Path, steps: int) -> TrainResult:
    step = checkpoints.step_of(checkpoint)
    _say([f"{checkpoint} has {step} of {steps} steps: give more --steps, or --restart"])
    return TrainResult(folder.path, checkpoint, step, 0, {})


def _session(
    prepared: RunConfig, seed: int, resume: Path | None, options: TrainOptions
) -> "Session":
    if resume is not None:
        _say([f"resuming {resume}"])
    _say(["starting TensorFlow and building the model ..."])
    from roadmark.training.session import Session

    session = Session(
        prepared.config,
        prepared.index,
        seed,
        resume,
        options.xla,
        options.native_target_assignment,
    )
    if session.not_native is not None:
        _say([f"targets are assigned by the OD API's graph: {session.not_native}"])
    if session.fine_tuned is not None:
        _say(session.fine_tuned.lines())
    _say([f"training on {session.devices}"])
    return session


def _summary(options: TrainOptions, prepared: RunConfig, folder: RunFolder, seed: int) -> list[str]:
    contents, train = prepared.contents, prepared.config.train_config
    classes = ", ".join(
        f"{prepared.label_map.name_of(number)} {count}"
        for number, count in contents.boxes_by_class().items()
    )
    return [
        f"config: {options.config}, {pipeline_config.num_classes(prepared.config)} classes, "
        f"{train.num_steps} steps of {train.batch_size} images, learning rate up to "
        f"{schedule.peak_learning_rate(prepared.config):.4g}, seed {seed}",
        f"records: {contents.images} images with {contents.boxes} boxes ({classes}) in "
        f"{len(prepared.index.paths)} files",
        *preflight.notices(prepared.config, contents),
        f"model folder: {folder.path}",
    ]


def _say(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _run(
    session: "Session", recorder: Recorder, options: TrainOptions, run: Path, last: int
) -> TrainResult:
    step = session.step
    with (
        Interruption() as interruption,
        progress.track("training", last, "steps", done=step) as meter,
    ):
        for values, waited in session.steps():
            step += 1
            recorder.add(values, waited)
            stop = step >= last or interruption.exit_code is not None
            save = stop or step % options.checkpoint_every == 0
            if save or step % options.log_every == 0:
                recorder.write(step)
            meter.advance(note=_note(recorder.last))
            if save:
                checkpoint = session.save(run, step, options.keep_checkpoints)
            if stop:
                break
    return TrainResult(run, checkpoint, step, interruption.exit_code or 0, recorder.last)


def _note(row: dict[str, float]) -> str:
    return f"loss {row[TOTAL_LOSS]:.4f}" if row else ""
