"""Trains and judges classifiers of cars.

    bazel run //python:classify -- train --config=configs/cars_resnet50.yml
    bazel run //python:classify -- evaluate --model=runs/classify/cars_resnet50 --split=test
    bazel run //python:classify -- export --model=runs/classify/cars_resnet50
    bazel run //python:classify -- predict --model=RUN_OR_EXPORT --images=FOLDER_OR_PICTURE
    bazel run //python:classify -- tree --runs=runs/classify
    bazel run //python:classify -- train --again=runs/classify/exp_003 --model_dir=runs/classify/x

The class set comes from //python:prepare, with backgrounds cut away from //python:crop. train
goes on with an interrupted run when the same command is given again. docs/classify.md tells the
rest.
"""

import json
from pathlib import Path

from absl import flags

from roadmark import app, atomic
from roadmark.classification import class_set, evaluation, runs, scoring, training
from roadmark.errors import UserError
from roadmark.storage import path_flags

_CONFIG = path_flags.define_input(
    "config", None, "train: the config, such as configs/cars_small.yml."
)
_MODEL_DIR = path_flags.define_run(
    "model_dir", None, "train: run folder; runs/classify/<config name> by default.", is_live=True
)
_RESTART = flags.DEFINE_bool("restart", False, "train: remove an earlier run in the folder.")
_SEED = flags.DEFINE_integer("seed", None, "train: in place of the config's.", lower_bound=0)
_WEIGHTS = path_flags.define_input(
    "weights", None, "train: run to begin from, in place of the config's model.weights."
)
_AGAIN = path_flags.define_input(
    "again", None, "train: run to repeat, with its config, seed, class set and weights."
)
_DATA = path_flags.define_input("data", None, "Class set, in place of the config's or the run's.")
_MODEL = path_flags.define_run(
    "model", None, "A run, or for evaluate and predict an export of one."
)
_SPLIT = flags.DEFINE_enum("split", class_set.VAL, list(class_set.SPLITS), "evaluate: the part.")
_OUT = path_flags.define_output("out", None, "Folder to write; for predict a .json file.")
_IMAGES = path_flags.define_input("images", None, "predict: a picture, or a folder of pictures.")
_RUNS = path_flags.define_input("runs", str(runs.RUNS), "tree: folder of runs.")


def main(command: str) -> int:
    """Runs one command; see the module's text."""
    return _COMMANDS[command]()


def _train() -> int:
    if _AGAIN.value:
        folder = Path(_given(_MODEL_DIR, "a new run folder"))
        return _run(training.again(Path(_AGAIN.value), folder))
    options = training.Options(
        config=Path(_given(_CONFIG, "a config such as configs/cars_small.yml")),
        model_dir=Path(_MODEL_DIR.value) if _MODEL_DIR.value else None,
        restart=_RESTART.value,
        seed=_SEED.value,
        class_set=_DATA.value,
        weights=_WEIGHTS.value,
    )
    return _run(options)


def _run(options: training.Options) -> int:
    result = training.train(options)
    if result.best:
        print(
            f"{result.folder}: best epoch {result.best['epoch']:.0f} of {result.epochs}, "
            f"val_accuracy {result.best['val_accuracy']:.4f}"
        )
    return result.exit_code


def _evaluate() -> int:
    model = evaluation.load(_given(_MODEL, "a run or an exported classifier"))
    out = Path(_OUT.value) if _OUT.value else None
    judged = evaluation.evaluate(model, _DATA.value, _SPLIT.value, out)
    print(scoring.to_text(judged.scores), end="")
    print(f"wrote {judged.folder / 'report.html'}")
    return 0


def _predict() -> int:
    wanted = Path(_given(_IMAGES, "a picture or a folder of pictures"))
    paths = evaluation.find_pictures(wanted)
    found = evaluation.predict(evaluation.load(_given(_MODEL, "a run or an export")), paths)
    for one in found:
        best = ", ".join(f"{c['name']} {c['probability']:.3f}" for c in one["classes"][:3])
        print(f"{one['file']}: {best}")
    if _OUT.value:
        atomic.write_text(_OUT.value, json.dumps(found, indent=1) + "\n")
    return 0


def _export() -> int:
    run = _given(_MODEL, "a run")
    runs.load(run)
    from roadmark.classification import exporting

    folder = exporting.export(run, Path(_OUT.value) if _OUT.value else None)
    print(f"wrote {folder}; use it with: bazel run //python:infer -- --classify={folder}")
    return 0


def _tree() -> int:
    print(runs.render(runs.tree(_RUNS.value)), end="")
    print(f"\nto run one again: {runs.AGAIN}")
    return 0


def _given(flag: flags.FlagHolder, what: str) -> str:
    if not flag.value:
        raise UserError(f"--{flag.name}", f"missing, expected {what}", "give it")
    return flag.value


_COMMANDS = {
    "train": _train,
    "evaluate": _evaluate,
    "predict": _predict,
    "export": _export,
    "tree": _tree,
}

if __name__ == "__main__":
    app.run(main, tuple(_COMMANDS))
