"""Compares training with the native target-assignment op and with the OD API's graph.

    bazel run //tests/parity:target_assignment -- --config=configs/effdet_d1.config \
        --train_records='../shared/data/waymo/train/*' \
        --label_map=../shared/data/waymo/label_map.pbtxt --set model.ssd.num_classes=4 \
        --batch_size=2 --what=targets,losses,time

`targets` says how far apart the two are on real batches, `losses` trains four runs from the same
weights on the same batches (three with the graph, one with the op), and `time` measures a training
step and the assignment alone with either. docs/results/target_assignment.md holds what was printed
last.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from roadmark import app
from roadmark.ops.matcher import TargetAssignment
from roadmark.training import run_config
from roadmark.training.options import TrainOptions

_CONFIG = flags.DEFINE_string("config", None, "Pipeline config file.", required=True)
_TRAIN_RECORDS = flags.DEFINE_string("train_records", None, "Training records.")
_LABEL_MAP = flags.DEFINE_string("label_map", None, "Label map file.")
_SET = flags.DEFINE_multi_string("set", [], "path.to.field=value: sets any field of the config.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "Images per step.")
_WHAT = flags.DEFINE_list("what", ["targets", "losses", "time"], "What to compare.")
_BATCHES = flags.DEFINE_integer("batches", 200, "Batches whose targets are compared.")
_STEPS = flags.DEFINE_integer("steps", 50, "Steps of each of the four runs.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Steps timed, after one that is not.")

_Pair = dict[bool, Any]
"""By whether the op is used."""


def _session(prepared: run_config.RunConfig, native: bool) -> Any:
    from roadmark.training.session import Session

    session = Session(prepared.config, prepared.index, 0, None, False, native)
    assert session.not_native is None, session.not_native
    return session


def _assignments(session: Any) -> dict[bool, Callable[[Any], TargetAssignment]]:
    """The two ways to assign the labels of a batch, for a session with the op."""
    import tensorflow as tf
    from object_detection import model_lib

    model = session.model
    # Anchors of this context: the model makes them whenever it sees a picture.
    model.predict(*model.preprocess(tf.zeros([1, 64, 64, 3])))

    def compiled(assign: Callable) -> Callable[[Any], TargetAssignment]:
        def run(labels: Any) -> TargetAssignment:
            lists = model_lib.unstack_batch(labels, unpad_groundtruth_tensors=False)
            names = ("groundtruth_boxes", "groundtruth_classes", "groundtruth_weights")
            boxes, classes, weights = (lists[name] for name in names)
            return TargetAssignment(*assign(boxes, classes, None, weights))

        return tf.function(run, autograph=False)

    by_graph = type(model)._assign_targets.__get__(model)
    return {False: compiled(by_graph), True: compiled(model._assign_targets)}


def _ulps(left: np.ndarray, right: np.ndarray) -> int:
    """The largest distance of two float32 arrays in units of the last place."""

    def ordered(values: np.ndarray) -> np.ndarray:
        bits = values.view(np.int32).astype(np.int64)
        return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)

    return int(np.abs(ordered(left) - ordered(right)).max())


def _compare_targets(prepared: run_config.RunConfig) -> None:
    session = _session(prepared, native=True)
    assignments = _assignments(session)
    matched = boxes = batches = different = ulps = 0
    for _, labels in session._batches:
        graph, op = (
            TargetAssignment(*(tensor.numpy() for tensor in assignments[native](labels)))
            for native in (False, True)
        )
        weights = np.broadcast_to(op.class_weights, graph.class_weights.shape)
        different += int((graph.matches != op.matches).sum())
        different += int((graph.class_targets != op.class_targets).sum())
        different += int((graph.class_weights != weights).sum())
        different += int((graph.box_weights != op.box_weights).sum())
        ulps = max(ulps, _ulps(graph.box_targets, op.box_targets))
        matched += int((op.matches >= 0).sum())
        boxes += int(labels["groundtruth_weights"].numpy().astype(bool).sum())
        batches += 1
        if batches == _BATCHES.value:
            break
    print(
        f"targets: {batches} batches, {boxes} boxes, {matched} matched anchors: {different} "
        f"matches, class targets and weights differ; box targets differ by {ulps} ulp at most"
    )


def _losses(session: Any, weights: list[np.ndarray]) -> list[float]:
    for variable, value in zip(session.model.variables, weights, strict=True):
        variable.assign(value)
    losses = []
    for values, _ in session.steps():
        losses.append(float(values["total_loss"]))
        if len(losses) == _STEPS.value:
            return losses
    raise AssertionError("the input ended")


def _compare_losses(prepared: run_config.RunConfig) -> None:
    # Runs of one process draw different weights, whatever the seed.
    weights, runs = None, []
    for native in (False, False, False, True):
        session = _session(prepared, native)
        weights = weights or [variable.numpy() for variable in session.model.variables]
        runs.append(_losses(session, weights))
    for step in sorted({1, 2, 5, 10, 20, 30, 40, _STEPS.value}):
        if step > _STEPS.value:
            continue
        first, second, third, op = (run[step - 1] for run in runs)
        print(
            f"losses: step {step}: graph {first:.7f}, graph again {second - first:+.2e} and "
            f"{third - first:+.2e}, op {op - first:+.2e}",
            flush=True,
        )


def _seconds(function: Callable, *arguments: Any) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def _compare_times(prepared: run_config.RunConfig) -> None:
    sessions = {native: _session(prepared, native) for native in (False, True)}
    features, labels = next(iter(sessions[True]._batches))
    assignments = _assignments(sessions[True])
    steps: _Pair = {False: [], True: []}
    alone: _Pair = {False: [], True: []}
    for _ in range(_ROUNDS.value + 1):
        for native, session in sessions.items():
            steps[native].append(_seconds(session._train_step, features, labels))
            alone[native].append(_seconds(assignments[native], labels))
    graph, op = (statistics.median(steps[native][1:]) for native in (False, True))
    graph_alone, op_alone = (statistics.median(alone[native][1:]) for native in (False, True))
    print(
        f"time: batch of {labels['groundtruth_boxes'].shape[0]}: a step takes {graph:.3f} s with "
        f"the graph, {op:.3f} s with the op; assignment alone {1000 * graph_alone:.1f} ms and "
        f"{1000 * op_alone:.1f} ms, {(graph_alone - op_alone) / graph:.1%} of the step"
    )


def main() -> None:
    """Prints what was asked for."""
    prepared = run_config.prepare(
        TrainOptions(
            config=Path(_CONFIG.value),
            train_records=_TRAIN_RECORDS.value,
            label_map=_LABEL_MAP.value and Path(_LABEL_MAP.value),
            overrides=tuple(_SET.value),
            batch_size=_BATCH_SIZE.value,
            check_learning_rate=False,
        )
    )
    comparisons = {"targets": _compare_targets, "losses": _compare_losses, "time": _compare_times}
    for name in _WHAT.value:
        comparisons[name](prepared)


if __name__ == "__main__":
    app.run(main)
