"""A training job in a SageMaker container: its folders and hyper-parameters become `train`'s flags.

SageMaker gives `input/config/hyperparameters.json` and a folder per channel in `input/data`, keeps
`checkpoints` in a bucket while the job runs and after it is interrupted, takes the model from
`model`, and shows the first 1,024 characters of `output/failure`.
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from roadmark import app, atomic, locations
from roadmark.errors import UserError

ROOT = Path("/opt/ml")
RECORDS, CONFIG, CHECKPOINT = "records", "config", "checkpoint"
CHANNELS = {
    RECORDS: "what prepare wrote: train-*, val-* and label_map.pbtxt",
    CONFIG: "a pipeline config, and a recipe if wanted, in place of one of the image's configs",
    CHECKPOINT: "a checkpoint to start from",
}
"""Channels and what is in them; all but the first may be left out."""

_APPS = Path(__file__).resolve().parents[2]
_CONFIGS = _APPS.parent / "configs"
# SageMaker's SDK adds some of its own.
_NOT_OURS = ("sagemaker_", "_tuning_")
# Set from the folders.
_FOLDERS = ("model_dir", "train_records", "eval_records", "label_map", "recipe")
_LONGEST_FAILURE = 1024
_LINES_KEPT = 50


@dataclasses.dataclass(frozen=True)
class Job:
    """What a container is asked for.

    Attributes:
        root: The container's `/opt/ml`.
        flags: Of `train`.
    """

    root: Path
    flags: tuple[str, ...]

    @property
    def run(self) -> Path:
        """The run folder, which SageMaker keeps."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """Where the export goes, a folder in the one that SageMaker takes."""
        return self.root / "model" / "export"

    @property
    def failure(self) -> Path:
        """The file that tells why the job failed."""
        return self.root / "output" / "failure"


def run(root: Path = ROOT, configs: Path = _CONFIGS) -> int:
    """Trains, or goes on with it, and exports.

    Args:
        root: The container's `/opt/ml`.
        configs: Where the image's configs are.

    Returns:
        The exit code: that of `train` or `export` where one fails, 143 after an interruption.

    Raises:
        UserError: A channel is missing or a hyper-parameter is none; the failure file says so too.
    """
    try:
        job = read(root, configs)
    except UserError as error:
        _note(Job(root, ()), [str(error)])
        raise
    code = _run(job, "train", job.flags)
    if code:
        return code
    job.model.parent.mkdir(parents=True, exist_ok=True)
    return _run(job, "export", (f"--model_dir={job.run}", f"--out={job.model}"))


def read(root: Path, configs: Path = _CONFIGS) -> Job:
    """Reads what SageMaker has laid out.

    Raises:
        UserError: A channel is missing or a hyper-parameter is none.
    """
    parameters = _parameters(root / "input" / "config" / "hyperparameters.json")
    channels = root / "input" / "data"
    records = channels / RECORDS
    if not records.is_dir():
        found = sorted(path.name for path in channels.glob("*") if path.is_dir())
        raise UserError(
            f"channel {RECORDS!r}",
            f"missing, found {', '.join(found) or 'no channel'}; expected {CHANNELS[RECORDS]}",
            f"give the job an input channel named {RECORDS}",
        )
    flags = [
        f"--config={_config(channels / CONFIG, parameters.pop('config', None), configs)}",
        f"--train_records={records}/train-*",
        f"--label_map={records / locations.LABEL_MAP.name}",
        f"--model_dir={root / 'checkpoints'}",
    ]
    if any(records.glob("val-*")):
        flags.append(f"--eval_records={records}/val-*")
    recipes = sorted((channels / CONFIG).glob("*.yaml"))
    flags += [f"--recipe={path}" for path in recipes[:1]]
    if (channels / CHECKPOINT).is_dir():
        flags.append(f"--fine_tune_checkpoint={channels / CHECKPOINT}")
    return Job(root, tuple(flags + _flags(parameters)))


def _parameters(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise UserError(path, f"no JSON object ({error})", "write names and values") from None
    ours = {name: value for name, value in found.items() if not name.startswith(_NOT_OURS)}
    return {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in ours.items()
    }


def _config(channel: Path, name: str | None, configs: Path) -> Path:
    given = sorted(channel.glob("*.config"))
    if name is None and len(given) == 1:
        return given[0]
    known = {path.stem: path for path in (*sorted(configs.glob("*.config")), *given)}
    if name is None:
        found = f"{len(given)} in channel {CONFIG!r} and none named"
        raise UserError(
            "hyper-parameter 'config'", f"found {found}", f"choose one of {', '.join(known)}"
        )
    stem = str(_plain("config", name)).removesuffix(".config")
    if stem not in known:
        raise UserError(
            "hyper-parameter 'config'", f"found {stem!r}", f"choose one of {', '.join(known)}"
        )
    return known[stem]


def _flags(parameters: dict[str, str]) -> list[str]:
    """Flags of the parameters; `set` holds several, with spaces between them or as a JSON list."""
    flags = []
    for name, value in sorted(parameters.items()):
        plain = _plain(name, value)
        if name in _FOLDERS:
            raise UserError(f"hyper-parameter {name!r}", "comes from the channels", "leave it out")
        if name == "set":
            several = plain if isinstance(plain, list) else plain.split()
            flags += [f"--set={one}" for one in several]
        else:
            flags.append(f"--{name}={plain}")
    return flags


def _plain(name: str, value: str) -> str | list[str]:
    # SageMaker's SDK writes strings and lists as JSON.
    if not value.startswith(('"', "[")):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise UserError(
            f"hyper-parameter {name!r}", f"found {value!r}, no JSON ({error})", "correct it"
        ) from None


def _run(job: Job, name: str, flags: Sequence[str]) -> int:
    """Runs an app; SIGTERM is handed on, so that it leaves a checkpoint."""
    child = subprocess.Popen(
        [sys.executable, "-P", str(_APPS / f"{name}.py"), *flags],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    before = signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
    lines: deque[str] = deque(maxlen=_LINES_KEPT)
    try:
        for line in child.stderr or ():
            sys.stderr.write(line)
            sys.stderr.flush()
            lines.append(line.rstrip())
        code = child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    if code not in (0, app.EXIT_TERMINATED):
        _note(job, list(lines))
    return code if code >= 0 else 128 - code


def _note(job: Job, lines: list[str]) -> None:
    """Writes the failure file: our line where there is one, else the end of what was said."""
    ours = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    text = ours[-1] if ours else "\n".join(lines)[-_LONGEST_FAILURE:]
    atomic.write_text(job.failure, text[:_LONGEST_FAILURE])
