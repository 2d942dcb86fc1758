"""The order of the examples follows from seed and position alone."""

from pathlib import Path

import numpy as np
import pytest

from roadmark.errors import UserError
from roadmark.training import class_balance
from roadmark.training.example_order import ExampleOrder
from roadmark.training.recipe import Recipe
from roadmark.training.record_index import RecordIndex


def _epochs(seed: int, count: int = 50, epochs: int = 3) -> list[list[int]]:
    order = ExampleOrder(count, seed)
    return [[order.example_at(e * count + k) for k in range(count)] for e in range(epochs)]


def test_every_epoch_holds_every_example_once_in_an_order_of_its_own():
    epochs = _epochs(seed=1)
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_seeds_differ_and_repeat():
    assert _epochs(seed=1) == _epochs(seed=1)
    assert _epochs(seed=1) != _epochs(seed=2)


def test_a_position_means_the_same_whatever_was_asked_before():
    late = ExampleOrder(50, 1).example_at(1234)
    order = ExampleOrder(50, 1)
    for position in reversed(range(1200, 1300)):
        order.example_at(position)
    assert order.example_at(1234) == late


def test_examples_are_repeated_as_often_as_wanted_on_average():
    repeats = np.array([1.0, 1.0, 2.5, 4.0, 1.0])
    order = ExampleOrder(5, 3, repeats)
    assert order.epoch == 10  # 9.5, rounded to even.
    epochs = [[order.example_at(e * 10 + k) for k in range(10)] for e in range(200)]
    counts = np.array([np.bincount(epoch, minlength=5) for epoch in epochs])
    # Never more than one off, so that no epoch leaves an example out.
    assert (np.abs(counts - repeats * 10 / 9.5) < 1).all()
    np.testing.assert_allclose(counts.mean(axis=0), repeats * 10 / 9.5, atol=0.1)
    again = ExampleOrder(5, 3, repeats)
    assert [again.example_at(1990 + k) for k in range(10)] == epochs[199]


@pytest.mark.parametrize(
    ("classes", "threshold", "expected"),
    [
        ([(1,), (1,), (1,), (1, 2)], 1.0, [1, 1, 1, 2]),
        ([(1,), (1,), (1,), (2,)], 0.25, [1, 1, 1, 1]),
        ([(1,), (), (3,), (2, 3)], 1.0, [2, 1, 2**0.5, 2]),
    ],
    ids=["the rarest class decides", "common enough", "a picture without boxes"],
)
def test_repeat_factors(classes, threshold, expected):
    np.testing.assert_allclose(class_balance.repeat_factors(classes, threshold), expected)


def test_mined_pictures_are_weighted():
    paths = [Path("a/train-0"), Path("b/mined-00000-of-00001"), Path("mined-x/train-1")]
    found = class_balance.mined_factors(paths, np.array([0, 0, 1, 2, 1]), 3)
    assert found.tolist() == [1, 1, 3, 1, 3]
    with pytest.raises(UserError, match=r"recipe.mined: found 3, but no training records named"):
        class_balance.mined_factors(paths[:1], np.array([0, 0]), 3)


def test_weights_of_rare_classes_and_of_mined_pictures_multiply():
    paths = (Path("train-0"), Path("mined-0"))
    numbers = np.zeros(4, np.int32)
    files = np.array([0, 0, 0, 1], np.int32)
    index = RecordIndex(paths, files, numbers, numbers.astype(np.int64), ((1,), (1,), (1,), (2,)))
    assert class_balance.repeats(index, Recipe()) is None
    assert class_balance.repeats(index, Recipe(mined=3)).tolist() == [1, 1, 1, 3]
    assert class_balance.repeats(index, Recipe(mined=3, repeat_threshold=1)).tolist() == [
        pytest.approx(1.1547, abs=1e-4), pytest.approx(1.1547, abs=1e-4),
        pytest.approx(1.1547, abs=1e-4), 6,
    ]  # fmt: skip
