"""Run folders of classifiers and the tree that they form. Needs no Keras.

A run holds `config.yml` as run, `experiment.json` (parent, config, data version, result),
`metrics.csv`, `tensorboard/`, and the weights of its `last` and its `best` epoch.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roadmark import atomic, locations
from roadmark.errors import UserError
from roadmark.training import metrics

EXPERIMENT = "experiment.json"
CONFIG = "config.yml"
METRICS = "metrics.csv"
TENSORBOARD = "tensorboard"
LAST, BEST = "last", "best"
STATE = "state.json"
# In a run, a folder for each split that was evaluated, with these numbers in it.
EVALUATIONS, EVALUATION = "evaluation", "evaluation.json"
WEIGHTS_FILE = "classifier.weights.h5"
# Column of `metrics.csv`.
SECONDS = "seconds"
RUNS = locations.RUNS / "classify"
AGAIN = "bazel run //python:classify -- train --again=RUN --model_dir=NEW"


def default_folder(config: str | Path) -> Path:
    """The run folder of a config: `runs/classify/<config name>`."""
    return RUNS / Path(config).stem


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a run says about itself.

    Attributes:
        folder: The run.
        parent: Run folder that its weights began from, as written in the config; or None.
        weights: What the weights began as: `imagenet`, `none` or a path.
        config_sha256: Of `config.yml`.
        data_version: Of the class set.
        class_set: Its folder.
        classes: Class names in the order of their ids.
        seed: Of the run.
        versions: Of the libraries that decide what it computes.
        result: Epochs done, the best one, accuracies; empty before the first epoch.
        weights_sha256: Of the file that the weights began from; None where there is none.
    """

    folder: Path
    parent: str | None
    weights: str
    config_sha256: str
    data_version: str
    class_set: str
    classes: tuple[str, ...]
    seed: int
    versions: dict[str, str]
    result: dict[str, Any]
    weights_sha256: str | None = None

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.folder.resolve().name

    def save(self) -> None:
        """Writes `experiment.json`."""
        content = dataclasses.asdict(self)
        del content["folder"]
        atomic.write_text(self.folder / EXPERIMENT, json.dumps(content, indent=2) + "\n")

    def with_result(self, **values: Any) -> "Experiment":
        """The same with more in its result."""
        return dataclasses.replace(self, result=self.result | values)


def load(folder: str | Path) -> Experiment:
    """Reads a run's `experiment.json`.

    Raises:
        UserError: There is none, or it is damaged.
    """
    folder = Path(folder)
    path = folder / EXPERIMENT
    if not path.is_file():
        raise UserError(
            path, "not found, expected a classifier's run",
            "train one with: bazel run //python:classify -- train --config=CONFIG",
        )  # fmt: skip
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["classes"] = tuple(content["classes"])
        return Experiment(folder=folder, **content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(path, f"found {error!r}, expected a run's record", "train again") from None


def sha256_of_text(path: Path) -> str:
    """Of a text file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Epoch:
    """A row of `metrics.csv`.

    Attributes:
        number: From 1.
        phase: From 1.
        accuracy: On training pictures, augmented and with dropout.
        val_accuracy: On validation pictures.
        loss: Likewise of the former.
        val_loss: Likewise of the latter.
        seconds: In training steps; NaN where an earlier version has not measured it.
    """

    number: int
    phase: int
    accuracy: float
    val_accuracy: float
    loss: float
    val_loss: float
    seconds: float

    @property
    def gap(self) -> float:
        """How much better it knows what it has seen."""
        return self.accuracy - self.val_accuracy


def epochs(run: Path | None) -> list[Epoch]:
    """The epochs of a run; none without one."""
    if run is None:
        return []
    names = ("accuracy", "val_accuracy", "loss", "val_loss")
    return [
        Epoch(
            int(row[metrics.STEP]),
            int(row["phase"]),
            *(float(row[name]) for name in names),
            float(row.get(SECONDS) or math.nan),
        )
        for row in metrics.read(run / METRICS)
    ]


@dataclasses.dataclass
class Node:
    """A run in the tree.

    Attributes:
        name: Of its folder.
        experiment: What it says about itself.
        children: Runs that began from its weights, by name.
    """

    name: str
    experiment: Experiment
    children: list["Node"] = dataclasses.field(default_factory=list)

    def walk(self) -> Iterator["Node"]:
        """This run and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def tree(folder: str | Path = RUNS) -> list[Node]:
    """The runs in a folder as trees, roots by name.

    A run stands below the one whose weights it began from, where that one is in the folder too.

    Raises:
        UserError: The folder is not there or holds no runs.
    """
    folder = Path(folder)
    found = [load(path.parent) for path in sorted(folder.glob(f"*/{EXPERIMENT}"))]
    if not found:
        raise UserError(folder, "no runs of classifiers here", "give the folder of the runs")
    nodes = {one.folder.resolve(): Node(one.name, one) for one in found}
    roots = []
    for node in nodes.values():
        parent = _parent(node, nodes)
        # A run that was begun anew from one of its own descendants has none above it.
        is_root = parent is None or any(parent is one for one in node.walk())
        (roots if is_root else parent.children).append(node)
    return roots


def _parent(node: Node, nodes: dict[Path, Node]) -> Node | None:
    if node.experiment.parent is None:
        return None
    # Runs that were moved together stay together.
    beside = (node.experiment.folder.resolve().parent / Path(node.experiment.parent).name).resolve()
    return nodes.get(beside)


def render(roots: list[Node]) -> str:
    """The trees as text, a line for each run with its accuracies and data version."""
    lines: list[str] = []
    for root in roots:
        _add_lines(root, "", "", lines)
    width = max(len(text) for text, _ in lines)
    return "".join(f"{text:<{width}}  {facts}\n" for text, facts in lines)


def _add_lines(node: Node, first: str, rest: str, lines: list[Any]) -> None:
    is_root = not first
    facts = _facts(node.experiment)
    if is_root and node.experiment.parent is not None:
        facts += f", began from {node.experiment.parent}"
    lines.append((first + node.name, facts))
    for number, child in enumerate(node.children):
        is_last = number == len(node.children) - 1
        _add_lines(
            child,
            rest + ("└── " if is_last else "├── "),
            rest + ("    " if is_last else "│   "),
            lines,
        )


def _facts(experiment: Experiment) -> str:
    result = experiment.result
    if not result:
        return "not trained yet"
    parts = [
        f"{split} {result[f'{split}_accuracy']:.4f}"
        for split in ("val", "test")
        if f"{split}_accuracy" in result
    ]
    parts.append(f"{result.get('epochs', 0)} epochs")
    parts.append(f"data {experiment.data_version[:8]}")
    return ", ".join(parts)
