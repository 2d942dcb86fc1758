"""The training loop: batches in, checkpoints, metrics and evaluations out, resumable at any step.

Importing it is cheap: TensorFlow is imported once all that can be checked without it is in order.
"""

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from roadmark import locations, progress
from roadmark.errors import UserError
from roadmark.odapi import checkpoints, pipeline_config
from roadmark.training import cluster, preflight, run_config, schedule, tracking
from roadmark.training.anchor_watch import AnchorWatch
from roadmark.training.batch_fit import OutOfMemoryError
from roadmark.training.cluster import Cluster
from roadmark.training.evaluations import Evaluate, Evaluations
from roadmark.training.interruption import Interruption
from roadmark.training.memory_watch import OnShort, watching
from roadmark.training.options import TrainOptions, TrainResult
from roadmark.training.recorder import (
    DATA_WAIT,
    STEPS_PER_SECOND,
    TOTAL_LOSS,
    NotFiniteError,
    Recorder,
    SummaryWriter,
)
from roadmark.training.run_config import RunConfig
from roadmark.training.run_folder import RunFolder
from roadmark.training.tracking import TrackedRun

if TYPE_CHECKING:
    from roadmark.training.session import Session

# Steps after the first of a run that a profile begins and ends after.
_PROFILED = (10, 20)
# Steps after which a batch takes no more memory: the second one finds the first one's values held.
_FILLED = 3

GiveUp = Callable[[OutOfMemoryError], None]


def train(options: TrainOptions, give_up: GiveUp | None = None) -> TrainResult:
    """Trains a detector, or goes on with training it.

    Args:
        options: What to train, on what, and where to put it.
        give_up: Ends the process before the system does, when the first steps leave no memory;
            called in another thread. None to leave that to the system. Not with several workers.

    Returns:
        Where the run is and how far it came.

    Raises:
        UserError: Config, label map, records or a checkpoint do not fit, the model folder cannot
            be written to or another process trains into it, or the loss is no longer finite.
        OutOfMemoryError: TensorFlow was refused memory for a batch.
    """
    team = cluster.here()
    cluster.check(team, options)
    prepared = run_config.prepare(options)
    folder = RunFolder(options.model_dir or locations.model_dir(options.config))
    train = prepared.config.train_config
    if train.fine_tune_checkpoint and (options.restart or checkpoints.latest(folder.path) is None):
        _check_fine_tune(train.fine_tune_checkpoint, folder.path)
    with folder.held(lambda line: _say([line])) if team.is_chief else contextlib.nullcontext():
        return _train(options, give_up, team, prepared, folder)


def _train(
    options: TrainOptions,
    give_up: GiveUp | None,
    team: Cluster,
    prepared: RunConfig,
    folder: RunFolder,
) -> TrainResult:
    """Trains into a folder that no other process trains into; see `train`."""
    train = prepared.config.train_config
    _restart(folder, options)
    beginning = folder.beginning(options.seed, train.batch_size, prepared.index.digest())
    folder.check_label_map(prepared.label_map)
    resume, passed_over = checkpoints.newest_intact(folder.path)
    _say(passed_over)
    done = checkpoints.step_of(resume) if resume else 0
    _say(_summary(options, prepared, folder, beginning.seed))
    with Evaluations(folder, prepared.plan, _evaluate(prepared), done) as validation:
        if resume is not None and not validation.due(done):
            if validation.stalled():
                return _stalled_before(folder, resume, validation)
            if done >= train.num_steps:
                return _nothing_left(folder, resume, train.num_steps)
        with _written_to(folder, team) as written:
            written.begin(prepared.config, prepared.label_map_path, prepared.recipe, beginning)
            session = _session(prepared, beginning.seed, resume, options, team)
            if options.show_inputs:
                sheet = written.path / "inputs.jpg"
                session.write_input_sheet(prepared.label_map.names, sheet, options.show_inputs)
                _say([f"what the network sees: {sheet}"])
            tracked = TrackedRun(folder.path, _parameters(options, prepared, beginning.seed))
            tracker = options.track if team.is_chief else None
            with tracking.tracked(tracker, tracked) as track:
                write = _both(session.summary_writer(written.tensorboard), track)
                with Recorder(written, write, done) as recorder:
                    anchors = AnchorWatch(prepared.config, prepared.contents)
                    run = _Run(
                        session, recorder, validation, options, written, anchors, team, track
                    )
                    on_short = _on_short(give_up, train.batch_size, team)
                    with session.peers():
                        result = run.go(train.num_steps, resume, on_short)
                        if not result.exit_code:
                            session.meet()
        _say([*_waited(recorder), *_pruned(session, validation)])
        if result.checkpoint is None:
            return dataclasses.replace(result, run=folder.path)
        checkpoint = checkpoints.folder(folder.path) / result.checkpoint.name
        return dataclasses.replace(result, run=folder.path, checkpoint=checkpoint)


@contextlib.contextmanager
def _written_to(folder: RunFolder, team: Cluster) -> Iterator[RunFolder]:
    """The folder that this worker writes to: the chief to the run's, the others to one that goes.

    All must write, since what a checkpoint holds is brought together from all of them.
    """
    if team.is_chief:
        yield folder
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield RunFolder(Path(scratch))


def _both(first: SummaryWriter, second: SummaryWriter) -> SummaryWriter:
    def write(step: int, values: Mapping[str, float]) -> None:
        first(step, values)
        second(step, values)

    return write


def _parameters(options: TrainOptions, prepared: RunConfig, seed: int) -> dict[str, str]:
    train = prepared.config.train_config
    given = dict(one.partition("=")[::2] for one in options.overrides)
    return given | {
        "config": options.config.name,
        "steps": str(train.num_steps),
        "batch_size": str(train.batch_size),
        "learning_rate": f"{_peak(prepared):.4g}",
        "seed": str(seed),
    }


def _evaluate(prepared: RunConfig) -> Evaluate:
    @functools.cache
    def evaluator():
        from roadmark.inference.checkpoint import CheckpointEvaluator

        return CheckpointEvaluator(prepared.config, prepared.label_map)

    return lambda checkpoint: evaluator().evaluate(checkpoint, prepared.selection)


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


def _stalled_before(folder: RunFolder, checkpoint: Path, validation: Evaluations) -> TrainResult:
    step = checkpoints.step_of(checkpoint)
    _say([f"{checkpoint}: stopped early. {validation.line()}: give more --patience, or --restart"])
    return TrainResult(folder.path, checkpoint, step, 0, {}, True, validation.best_checkpoint())


def _session(
    prepared: RunConfig, seed: int, resume: Path | None, options: TrainOptions, team: Cluster
) -> "Session":
    if resume is not None:
        _say([f"resuming {resume}"])
    _say(["starting TensorFlow and building the model ..."])
    if team.workers > 1:
        _say([f"worker {team.index + 1} of {team.workers}: waiting for the others"])
    from roadmark.training.session import Session

    session = Session(
        prepared.config,
        prepared.index,
        seed,
        resume,
        options.xla,
        options.native_target_assignment,
        prepared.recipe,
        team,
    )
    if session.not_native is not None:
        _say([f"targets are assigned by the OD API's graph: {session.not_native}"])
    if session.fine_tuned is not None:
        _say(session.fine_tuned.lines())
    if session.frozen:
        names = f"{session.frozen[0]} to {session.frozen[-1]}"
        _say([f"{len(session.frozen)} variables stay as they are: {names}"])
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
        f"{_peak(prepared):.4g}, seed {seed}",
        f"records: {contents.images} images with {contents.boxes} boxes ({classes}) in "
        f"{len(prepared.index.paths)} files",
        *preflight.notices(prepared.config, contents),
        f"model folder: {folder.path}",
    ]


def _on_short(give_up: GiveUp | None, batch_size: int, team: Cluster) -> OnShort | None:
    if give_up is None or team.workers > 1:
        return None
    return lambda memory: give_up(OutOfMemoryError(batch_size, memory))


def _peak(prepared: RunConfig) -> float:
    scale = schedule.factor(prepared.config, prepared.recipe.schedule)
    return scale * schedule.peak_learning_rate(prepared.config)


def _say(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)


class _Run:
    """One run of the loop.

    Args:
        session: What TensorFlow holds.
        recorder: Takes the steps' values.
        validation: Evaluates checkpoints.
        options: As the user asked.
        folder: The run folder.
        anchors: Sees what the steps found.
        team: The workers; the chief alone evaluates.
        track: Takes what evaluations find.
    """

    def __init__(
        self,
        session: "Session",
        recorder: Recorder,
        validation: Evaluations,
        options: TrainOptions,
        folder: RunFolder,
        anchors: AnchorWatch,
        team: Cluster,
        track: SummaryWriter,
    ):
        self._session, self._recorder, self._validation = session, recorder, validation
        self._options, self._folder, self._tensorboard = options, folder.path, folder.tensorboard
        self._anchors, self._team, self._track = anchors, team, track

    def go(self, last: int, resume: Path | None, on_short: OnShort | None) -> TrainResult:
        """Trains to step `last` or until something stops it.

        Args:
            last: The step.
            resume: Checkpoint that the session went on from; None for none.
            on_short: What to do when the first steps leave no memory; None for nothing.
        """
        checkpoint, step = resume, self._session.step
        with Interruption() as interruption:
            if resume is not None:
                self._evaluate(resume, interruption)
            if step < last:
                checkpoint, step = self._train(step, last, interruption, resume, on_short)
        return TrainResult(
            self._folder,
            checkpoint,
            step,
            interruption.exit_code or 0,
            self._recorder.last,
            self._validation.stalled(),
            self._validation.best_checkpoint(),
        )

    def _train(
        self,
        step: int,
        last: int,
        interruption: Interruption,
        checkpoint: Path | None,
        on_short: OnShort | None,
    ) -> tuple[Path | None, int]:
        options, recorder = self._options, self._recorder
        filled = step + _FILLED
        saved = self._session.checkpoints_in(self._folder, options.keep_checkpoints)
        profiler = _Profiler(self._session, self._tensorboard, step) if options.profile else None
        track = progress.track("training", last, "steps", done=step)
        with track as meter, watching(on_short) as enough:
            for values, waited in self._session.steps():
                step += 1
                if step == filled:
                    enough.set()
                recorder.add(values, waited)
                stopped = interruption.exit_code is not None
                if stopped and self._team.workers > 1:
                    # The others do not know, and a checkpoint takes all of them.
                    break
                stop = step >= last or stopped
                due = self._validation.due(step)
                save = stop or due or step % options.checkpoint_every == 0
                if save or step % options.log_every == 0:
                    self._write_row(step)
                meter.advance(note=_note(recorder.last))
                if profiler is not None:
                    profiler.after(step, stop)
                saved.check()
                if save:
                    with self._session.as_saved():
                        checkpoint = saved.save(step)
                if stop or due:
                    saved.wait()
                if due:
                    self._evaluate(checkpoint, interruption)
                    stop = stop or interruption.exit_code is not None or self._validation.stalled()
                if stop:
                    break
        return checkpoint, step

    def _write_row(self, step: int) -> None:
        try:
            steps = self._recorder.write(step)
        except NotFiniteError as error:
            path = self._folder / "not_finite" / f"step-{error.step}.tfrecord"
            records = self._session.write_batch(error.step, path)
            raise UserError(
                f"training step {error.step}",
                f"{error.problem}; its records ({', '.join(records)}) are in {path}",
                "lower the learning rate, set train_config.gradient_clipping_by_norm, or look at "
                "these records; the checkpoints of earlier steps are whole",
            ) from None
        self._anchors.add(step, steps)

    def _evaluate(self, checkpoint: Path, interruption: Interruption) -> None:
        step = checkpoints.step_of(checkpoint)
        if interruption.exit_code is not None or not self._validation.due(step):
            return
        if not self._team.is_chief:
            return
        # Cut short, it is done when the run is resumed.
        with interruption.cutting_short():
            found = self._validation.add(checkpoint)
            self._track(step, {f"eval/{name}": value for name, value in found.items()})
            _say([self._validation.line()])
        self._recorder.begin_window()


class _Profiler:
    """A TensorBoard profile of a few steps, when the first ones, which compile, are over."""

    def __init__(self, session: "Session", folder: Path, step: int):
        self._session, self._folder = session, folder
        self._first, self._last = (step + after for after in _PROFILED)
        self._runs = False

    def after(self, step: int, stop: bool) -> None:
        """To be called after each step."""
        if step == self._first and not stop:
            self._session.profile(self._folder)
            self._runs = True
        elif self._runs and (stop or step == self._last):
            self._session.end_profile()
            self._runs = False
            steps = f"steps {self._first + 1} to {step}"
            _say([f"profile of {steps}: tensorboard --logdir={self._folder}"])


def _pruned(session: "Session", validation: Evaluations) -> list[str]:
    size = session.pruned()
    if size is None:
        return []
    return [size.line(), *validation.cost_of_pruning(session.pruning_begins)]


def _waited(recorder: Recorder) -> list[str]:
    share = recorder.waiting()
    return [] if share is None else [f"steps waited for data {share:.1%} of their time"]


def _note(row: dict[str, float]) -> str:
    if not row:
        return ""
    waiting = row[DATA_WAIT] * row[STEPS_PER_SECOND]
    return f"loss {row[TOTAL_LOSS]:.4f}, {waiting:.1%} of the time waiting for data"
