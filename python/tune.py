"""Searches the fields of a config and a recipe for the best values, with Ray Tune and ASHA.

    bazel run //python:tune -- --config=configs/effdet_d0.config --steps=2000 --trials=20
        --search 'recipe.weather.fog=uniform(0,0.5)' --search 'recipe.accumulate=choice(1,2)'
        --search 'train_config.gradient_clipping_by_norm=loguniform(0.1,10)'

Each trial is a `train` run in a process of its own; after each evaluation the worse ones are
stopped. Repeat the command to go on where it ended. It ends with a ranked table and writes the
winner's best.config and best_recipe.yaml. docs/tune.md tells the rest.
"""

import math
from pathlib import Path

from absl import flags

from roadmark import app, locations
from roadmark.storage import path_flags

_CONFIG = path_flags.define_input("config", None, "Pipeline config file.", required=True)
_SEARCH = flags.DEFINE_multi_string(
    "search", [], "path.to.field=loguniform(a,b), uniform(a,b), randint(a,b) or choice(a,b,c)."
)
_TRIALS = flags.DEFINE_integer("trials", 10, "Sets of values to try.", lower_bound=1)
_PARALLEL = flags.DEFINE_integer("parallel", 1, "Trials at the same time.", lower_bound=1)
_CLUSTER = flags.DEFINE_string("cluster", None, "Address of a Ray cluster; default: this machine.")
_OUT = path_flags.define_run(
    "out", None, "Folder of the search; runs/tune_<config name> by default.", is_live=True
)
_SEED = flags.DEFINE_integer("seed", 0, "Of the draws.", lower_bound=0)
_STEPS = flags.DEFINE_integer("steps", None, "As for train.", lower_bound=1)
_EVAL_EVERY = flags.DEFINE_integer(
    "eval_every", None, "Steps between evaluations; a tenth of the run by default.", lower_bound=1
)
_BEST_BY = flags.DEFINE_string("best_by", "mAP", "Metric to rank by, as for train.")
_SET = path_flags.define_inputs("set", [], "As for train.")
# Handed to train as they are.
_HANDED_ON = (
    path_flags.define_input("recipe", None, "As for train."),
    path_flags.define_input("train_records", None, "As for train."),
    path_flags.define_input("eval_records", None, "As for train."),
    path_flags.define_input("label_map", None, "As for train."),
    path_flags.define_input("fine_tune_checkpoint", None, "As for train."),
    flags.DEFINE_integer("batch_size", None, "As for train.", lower_bound=1),
    flags.DEFINE_integer("eval_subset", 500, "As for train.", lower_bound=0),
)
_TRAIN = Path(__file__).with_name("train.py")


def main() -> int:
    """Runs the command; see the module's text."""
    from rich.console import Console

    from roadmark.tuning import searching, space, table

    recipe = _HANDED_ON[0].value
    searches = space.parse(_SEARCH.value)
    config = space.check(searches, Path(_CONFIG.value), recipe and Path(recipe), tuple(_SET.value))
    last = _STEPS.value or config.train_config.num_steps
    eval_every = _EVAL_EVERY.value or max(1, math.ceil(last / 10))
    out = Path(_OUT.value or locations.RUNS / f"tune_{locations.model_dir(_CONFIG.value).name}")
    ranked = searching.search(
        searching.Options(
            searches=searches,
            command=_command(last, eval_every),
            metric=_BEST_BY.value,
            last=last,
            eval_every=eval_every,
            trials=_TRIALS.value,
            parallel=_PARALLEL.value,
            seed=_SEED.value,
            cluster=_CLUSTER.value,
            out=out,
        )
    )
    Console().print(table.of(ranked, _BEST_BY.value, last))
    print(f"best: {ranked[0].run}; {out / 'best.config'}, {out / 'best_recipe.yaml'}")
    return 0


def _command(last: int, eval_every: int) -> list[str]:
    given = [f"--{flag.name}={flag.value}" for flag in _HANDED_ON if flag.value is not None]
    return [
        "-P",
        str(_TRAIN.absolute()),
        f"--config={_CONFIG.value}",
        f"--steps={last}",
        f"--eval_every={eval_every}",
        f"--checkpoint_every={eval_every}",
        f"--best_by={_BEST_BY.value}",
        *given,
        *(f"--set={one}" for one in _SET.value),
    ]


if __name__ == "__main__":
    app.run(main)
