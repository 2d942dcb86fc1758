"""The order of the examples follows from seed and position alone."""

from roadmark.training.example_order import ExampleOrder


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
