"""The search for a batch size that fits."""

import pytest

from roadmark.training import batch_fit


@pytest.mark.parametrize(
    ("limit", "unit", "most", "expected"),
    [(64, 1, 37, 37), (64, 1, 63, 63), (64, 1, 0, 0), (2, 1, 1, 1), (64, 4, 37, 36), (8, 4, 3, 0)],
    ids=["between", "one less", "none", "of two", "in parts", "not even one to a part"],
)
def test_the_largest_batch_is_found_by_bisection(limit, unit, most, expected):
    tried = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= most

    assert batch_fit.largest(limit, unit, fits) == expected
    assert len(tried) <= 6
    assert all(size < limit and size % unit == 0 for size in tried)
