"""Every contender of the suite does, on small inputs, the work that it is timed for."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from roadmark.benchmark import inputs, ops
from roadmark.benchmark.suite import Operation, Rival
from roadmark.odapi import door

door.open()  # Before a contender imports TensorFlow.

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


def pairs() -> list[tuple[Operation, Rival]]:
    """Each function of ours with each of a rival, where it has least to do."""
    cheapest: dict[tuple[str, str], tuple[Operation, Rival]] = {}
    for operation in sorted(ops.operations(CONFIGS), key=lambda one: one.moved):
        for rival in operation.rivals:
            cheapest.setdefault((operation.ours, rival.function), (operation, rival))
    return list(cheapest.values())


def result(function: str, arrays: dict[str, np.ndarray], options: dict) -> dict[str, np.ndarray]:
    module, name = function.split(":")
    call, read = getattr(importlib.import_module(module), name)(arrays, options, 1)
    return read(call())


@pytest.mark.parametrize(
    ("operation", "rival"),
    [pytest.param(*one, id=f"{one[0].name}, {one[1].peer}") for one in pairs()],
)
def test_both_sides_give_the_same(operation, rival, monkeypatch):
    # The two coarsest of five levels: 1,125 anchors instead of 76,725.
    monkeypatch.setattr(inputs, "_LEVELS", range(6, 8))
    arrays = operation.inputs()
    given = {name: array.copy() for name, array in arrays.items()}
    try:
        theirs = result(rival.function, arrays, {**operation.options, **rival.options})
    except ImportError as error:
        if not rival.is_foreign:
            raise
        pytest.skip(f"{rival.peer} is in the peers' environment alone: {error}")
    ours = result(operation.ours, arrays, {**operation.options, **rival.our_options})
    says, agrees = rival.agree(ours, theirs)
    assert agrees, says
    for name, array in given.items():
        np.testing.assert_array_equal(arrays[name], array, f"{name} is as it was")


def test_every_promised_ratio_has_its_row():
    promised = {
        (operation.name, rival.peer, rival.target)
        for operation in ops.operations(CONFIGS)
        for rival in operation.rivals
    }
    assert promised >= {
        ("post-process", "OD API graph", 50.0),
        ("post-process", "OD API graph", 15.0),
        ("NMS", "tf.image combined", 10.0),
        ("NMS", "OpenCV batched", 5.0),
        ("NMS", "torchvision", 3.0),
        ("target assignment", "OD API batch_assign", 35.0),
        ("target assignment", "OD API batch_assign", 60.0),
        ("target assignment", "OD API batch_assign", 20.0),
        ("pre-process", "tf.image", 10.0),
        ("pre-process", "OpenCV + NumPy", 3.0),
        ("annotate", "supervision", 20.0),
        ("annotate", "OpenCV", 10.0),
        ("box encode", "OD API graph", 10.0),
        ("box decode", "NumPy", 5.0),
    }
