"""What is known of a run without its checkpoint, and of a result from elsewhere."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roadmark import locations
from roadmark.comparison import settings
from roadmark.comparison.settings import CONFIG
from roadmark.errors import UserError
from roadmark.evaluation.evaluation import Cost
from roadmark.evaluation.history import TOTAL_LOSS
from roadmark.odapi import pipeline_config
from roadmark.training import metrics

_LABEL_MAP = "label_map.pbtxt"
_DETECTIONS = ("detections.json", "detections.json.gz")
_EVALUATION = "evaluation.json"
_STEPS_PER_SECOND = "steps_per_second"
_SECONDS_PER_HOUR = 3600
# Of an external result: what is given, and what it is called in `Cost`.
_EXTERNAL = {
    "ms": "ms_per_image",
    "bytes": "size_bytes",
    "parameters": "parameters",
    "flops": "flops",
    "train_hours": "train_hours",
}
_FORM = "NAME=detections.json,ms=12.5,bytes=6200000,train_hours=3"


@dataclasses.dataclass(frozen=True)
class Run:
    """One of those to compare.

    Attributes:
        name: For the reader; no two are equal.
        detections: The file with what it found on the evaluation's records.
        folder: Of the run; None for a result from elsewhere.
        step: Training step of the weights; None where that is not known.
        cost: What the model takes.
        train_hours: Time spent in training steps; NaN where that is not known.
        losses: Validation losses by name; empty where that is not known.
        training: Step and values of each row of `metrics.csv`.
        validation: Likewise of `evaluations.csv`.
        settings: Every field of the config, the recipe and the versions, by its path.
    """

    name: str
    detections: Path
    folder: Path | None = None
    step: int | None = None
    cost: Cost = dataclasses.field(default_factory=Cost)
    train_hours: float = math.nan
    losses: Mapping[str, float] = dataclasses.field(default_factory=dict)
    training: Sequence[tuple[int, Mapping[str, float]]] = ()
    validation: Sequence[tuple[int, Mapping[str, float]]] = ()
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def training_loss(self) -> float:
        """Mean total loss over the last tenth of the rows before `step`; NaN without any."""
        rows = [values for step, values in self.training if self.step is None or step <= self.step]
        last = rows[-max(1, len(rows) // 10) :]
        losses = [values[TOTAL_LOSS] for values in last if TOTAL_LOSS in values]
        return sum(losses) / len(losses) if losses else math.nan

    @property
    def validation_loss(self) -> float:
        """The total loss on the evaluation's records; NaN where it is not known."""
        return self.losses.get(TOTAL_LOSS, math.nan)

    @property
    def gap(self) -> float:
        """Validation loss less training loss: what grows when a model over-fits."""
        return self.validation_loss - self.training_loss


def load(folders: Sequence[str], externals: Sequence[str]) -> list[Run]:
    """Reads what is to be compared.

    Args:
        folders: Run folders.
        externals: Results from elsewhere, each `NAME=FILE`, then what is known of them: `ms`,
            `bytes`, `parameters`, `flops`, `train_hours`, as `key=number` with commas between.

    Raises:
        UserError: There are fewer than two, two have one name, a folder or file is missing or
            damaged, or an external result is not written so.
    """
    runs = [of_folder(Path(folder)) for folder in folders] + [external(text) for text in externals]
    if len(runs) < 2:
        found = "nothing" if not runs else f"{runs[0].name} alone"
        raise UserError(
            "command line",
            f"found {found} to compare",
            "give two run folders or more, or --external",
        )
    for number, run in enumerate(runs):
        if run.name in {other.name for other in runs[:number]}:
            raise UserError(
                "command line", f"{run.name} is given twice", "give runs with names of their own"
            )
    return runs


def of_folder(folder: Path) -> Run:
    """Reads a run folder; only the detections in it are a must.

    Raises:
        UserError: It is missing, has no detections, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise UserError(
            folder, "no such run folder", "train one with: bazel run //python:train -- --config=..."
        )
    detections = next((folder / name for name in _DETECTIONS if (folder / name).is_file()), None)
    if detections is None:
        raise UserError(
            folder,
            f"found no {_DETECTIONS[0]}",
            f"make it with: bazel run //python:evaluate -- --model_dir={folder}",
        )
    found = _evaluation(folder / _EVALUATION)
    training = metrics.values(folder / metrics.TRAINING)
    validation = metrics.values(folder / metrics.EVALUATIONS)
    step = found.get("step")
    return Run(
        name=folder.resolve().name,
        detections=detections,
        folder=folder,
        step=step,
        cost=Cost(**found.get("cost", {})),
        train_hours=_hours(training),
        losses=found.get("losses") or _losses(validation, step),
        training=training,
        validation=validation,
        settings=settings.of_folder(folder),
    )


def external(text: str) -> Run:
    """A result from elsewhere, see `load`.

    Raises:
        UserError: It is not written so, or there is no such file.
    """
    where = f"--external={text}"
    name, equals, rest = text.partition("=")
    file, *facts = rest.split(",")
    if not equals or not name or not file:
        raise UserError(where, "found no name and file", f"write it as --external {_FORM}")
    if not Path(file).is_file():
        raise UserError(where, f"no such file: {file}", f"write it as --external {_FORM}")
    known: dict[str, Any] = {}
    for fact in facts:
        key, _, value = fact.partition("=")
        if key not in _EXTERNAL or _EXTERNAL[key] in known:
            raise UserError(
                where, f"found {fact!r}", f"give each of {', '.join(_EXTERNAL)} once at most"
            )
        known[_EXTERNAL[key]] = _positive(where, key, value)
    hours = known.pop("train_hours", math.nan)
    timed = "as given on the command line" if known else ""
    return Run(name, Path(file), cost=Cost(**known, timed=timed), train_hours=hours)


def label_map(runs: Sequence[Run]) -> Path:
    """The label map of the first run that has one, else where `prepare` puts it."""
    own = (run.folder / _LABEL_MAP for run in runs if run.folder is not None)
    return next((path for path in own if path.is_file()), locations.LABEL_MAP)


def eval_records(runs: Sequence[Run]) -> str:
    """The glob of records that the first run's config evaluates on, else where `prepare` puts them.

    Raises:
        UserError: A config cannot be read.
    """
    for run in runs:
        if run.folder is not None and (run.folder / CONFIG).is_file():
            for reader in pipeline_config.load(run.folder / CONFIG).eval_input_reader:
                if reader.tf_record_input_reader.input_path:
                    return ",".join(reader.tf_record_input_reader.input_path)
    return locations.EVAL_RECORDS


def _positive(where: str, key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UserError(
            where, f"{key}: found {text!r}, expected a number of 0 or more", "correct it"
        )
    return value


def _evaluation(path: Path) -> dict[str, Any]:
    """What is needed of `evaluation.json`; nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        cost = dataclasses.asdict(Cost(**found.get("cost", {})))
        losses = {name: float(value) for name, value in found.get("losses", {}).items()}
        step = found.get("step")
        if step is not None and not isinstance(step, int):
            raise TypeError(f"found step {step!r}")
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            path,
            f"not what an evaluation writes: {error}",
            f"make it anew with: bazel run //python:evaluate -- --model_dir={path.parent}",
        ) from None
    return {"cost": cost, "losses": losses, "step": step}


def _hours(training: Sequence[tuple[int, Mapping[str, float]]]) -> float:
    """Time in training steps: what evaluations, checkpoints and starts take is not in it."""
    seconds, before = 0.0, 0
    for step, values in training:
        seconds += (step - before) / (values.get(_STEPS_PER_SECOND) or math.nan)
        before = step
    return seconds / _SECONDS_PER_HOUR if training else math.nan


def _losses(
    validation: Sequence[tuple[int, Mapping[str, float]]], step: int | None
) -> Mapping[str, float]:
    rows = [values for at, values in validation if step is None or at == step]
    return {name: value for name, value in rows[-1].items() if "loss" in name} if rows else {}
