"""Runs a search with Ray Tune: trials, early stopping by ASHA, resuming, ranking.

ASHA is L. Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
"""

import dataclasses
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roadmark import atomic
from roadmark.cluster import joining
from roadmark.errors import UserError
from roadmark.training import metrics
from roadmark.training.metrics import STEP
from roadmark.tuning import space
from roadmark.tuning.space import Search

_TOTAL_LOSS = "total_loss"  # the one metric of which less is better
_RAY = "ray"
_OPTIONS = "search.json"
_PARAMS = "params.json"
_RESULTS = "results.json"
_WINNER = {"pipeline.config": "best.config", "recipe.yaml": "best_recipe.yaml"}
_REDUCTION = 3


@dataclasses.dataclass(frozen=True)
class Options:
    """A search.

    Attributes:
        searches: The fields.
        command: What runs `train` in Python: its file and its flags, without the searched fields
            and the run folder.
        metric: To rank by, a column of `evaluations.csv`.
        last: The last step of a whole run.
        eval_every: Steps between two evaluations; a trial may be stopped after each.
        trials: How many sets of values to draw.
        parallel: Trials at the same time.
        seed: Of the draws.
        cluster: Address of a Ray cluster; None for this machine.
        out: Folder for everything.
    """

    searches: Sequence[Search]
    command: Sequence[str]
    metric: str
    last: int
    eval_every: int
    trials: int
    parallel: int
    seed: int
    cluster: str | None
    out: Path


@dataclasses.dataclass(frozen=True)
class Trial:
    """What came of a trial.

    Attributes:
        fields: The value of each searched field.
        run: Its run folder.
        value: The best of the metric; NaN without any evaluation.
        step: Where that was.
        reached: The last step that was evaluated.
        failure: Why it failed; empty when it did not.
    """

    fields: Mapping[str, Any]
    run: str
    value: float
    step: int
    reached: int
    failure: str = ""


def search(options: Options) -> list[Trial]:
    """Runs a search, or goes on with the one in the folder.

    Returns:
        The trials, best first; failed ones last.

    Raises:
        UserError: The folder holds another search, the cluster cannot be reached, or no trial came
            to an evaluation.
    """
    _check_same(options)
    with joining.joined(options.cluster or joining.LOCAL, options.parallel):
        results = _tuner(options).fit()
    ranked = _ranked(options, results)
    if math.isnan(ranked[0].value):
        why = ranked[0].failure or "no evaluation"
        raise UserError(
            options.out, f"no trial came to an evaluation: {why}", "see runs/*/train.log"
        )
    _write(options, ranked)
    return ranked


def _tuner(options: Options) -> Any:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.basic_variant import BasicVariantGenerator

    from roadmark.tuning import trial

    trainable = tune.with_resources(trial.Trial, {"cpu": 1, "gpu": _gpus()})
    path = options.out.absolute() / _RAY
    if tune.Tuner.can_restore(str(path)):
        print(f"going on with the search in {options.out}", flush=True)
        return tune.Tuner.restore(
            str(path), trainable, resume_unfinished=True, param_space=_space(options)
        )
    mode = "min" if options.metric == _TOTAL_LOSS else "max"
    return tune.Tuner(
        trainable,
        param_space=_space(options),
        tune_config=tune.TuneConfig(
            metric=options.metric,
            mode=mode,
            num_samples=options.trials,
            search_alg=BasicVariantGenerator(
                max_concurrent=options.parallel, random_state=options.seed
            ),
            scheduler=ASHAScheduler(
                time_attr=STEP,
                max_t=options.last,
                grace_period=min(options.eval_every, options.last),
                reduction_factor=_REDUCTION,
            ),
            reuse_actors=False,
            trial_dirname_creator=trial.name_of,
        ),
        run_config=tune.RunConfig(
            name=path.name,
            storage_path=str(path.parent),
            verbose=0,
            callbacks=[_progress(options.metric)],
        ),
    )


def _gpus() -> int:
    import ray

    return 1 if ray.cluster_resources().get("GPU", 0) else 0


def _space(options: Options) -> dict[str, Any]:
    from ray import tune

    draw = {
        space.UNIFORM: tune.uniform,
        space.LOG_UNIFORM: tune.loguniform,
        space.WHOLE: tune.randint,
        space.CHOICE: lambda *values: tune.choice(list(values)),
    }
    return {
        "fields": {one.field: draw[one.kind](*one.values) for one in options.searches},
        "command": list(options.command),
        # Workers are elsewhere, and the paths in a config are relative to the user's folder.
        "folder": str(Path.cwd()),
        "out": str(options.out.absolute()),
        "last": options.last,
        "metric": options.metric,
    }


def _progress(metric: str) -> Any:
    from ray import tune

    class Progress(tune.Callback):
        """A line for each evaluation."""

        def on_trial_result(
            self, iteration: int, trials: list, trial: Any, result: dict, **info: Any
        ) -> None:
            del iteration, trials, info
            fields = ", ".join(
                space.assigned(field, value)
                for field, value in sorted(trial.config["fields"].items())
            )
            print(f"step {result[STEP]}: {metric} {result[metric]:.4f} ({fields})", flush=True)

    return Progress()


def _ranked(options: Options, results: Any) -> list[Trial]:
    from roadmark.tuning import trial

    sign = 1 if options.metric == _TOTAL_LOSS else -1
    found = []
    for result in results:
        # A trial that failed at once has no config of its own after a restart.
        params = (Path(result.path) / _PARAMS).read_text(encoding="utf-8")
        fields = json.loads(params)["fields"]
        run = trial.folder(str(options.out.absolute()), Path(result.path).name)
        rows = [
            (sign * float(row[options.metric]), int(row[STEP]))
            for row in metrics.read(run / trial.EVALUATIONS)
            if row.get(options.metric)
        ]
        best, step = min((row for row in rows if not math.isnan(row[0])), default=(math.nan, 0))
        failure = str(result.error).strip().splitlines()[-1] if result.error else ""
        reached = max((step for _, step in rows), default=0)
        found.append(Trial(fields, str(run), sign * best, step, reached, failure))
    return sorted(found, key=lambda one: (math.isnan(one.value), sign * one.value))


def _write(options: Options, ranked: Sequence[Trial]) -> None:
    content = [dataclasses.asdict(one) for one in ranked]
    for one in content:
        one["value"] = None if math.isnan(one["value"]) else one["value"]
    atomic.write_text(options.out / _RESULTS, json.dumps(content, indent=2) + "\n")
    for name, target in _WINNER.items():
        with atomic.atomic_path(options.out / target) as temporary:
            shutil.copyfile(Path(ranked[0].run) / name, temporary)


def _check_same(options: Options) -> None:
    """A search goes on only as it began."""
    path = options.out / _OPTIONS
    now = dataclasses.asdict(options)
    for name in ("out", "cluster", "parallel"):  # may change
        del now[name]
    now = json.loads(json.dumps(now))
    if not path.is_file():
        atomic.write_text(path, json.dumps(now, indent=2) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name in now if before.get(name) != now[name]]
    except (ValueError, AttributeError):
        raise UserError(path, "not what a search began with", "give another --out") from None
    if changed:
        raise UserError(
            options.out,
            f"the search in this folder began with other {', '.join(changed)}",
            "repeat its command to go on, or give another --out",
        )
