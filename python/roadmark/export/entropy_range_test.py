import numpy as np
import pytest

from roadmark.export import entropy_range


def _counts(values, bins=2048):
    counts, _ = np.histogram(values, bins)
    return counts, float(values.min()), float(values.max())


def _many(scale=1.0, outlier=None, positive=False):
    values = np.random.default_rng(0).normal(0, scale, 200_000)
    values = np.maximum(values, 0) if positive else values
    return values if outlier is None else np.append(values, outlier)


@pytest.mark.parametrize(
    ("values", "least", "most"),
    [
        pytest.param(_many(), 2.5, 5.0, id="a normal distribution keeps nearly all"),
        pytest.param(_many(outlier=40.0), 2.0, 20.0, id="one value far away is cut off"),
        pytest.param(_many(outlier=-40.0), 2.0, 20.0, id="on the other side too"),
        pytest.param(_many(positive=True, outlier=40.0), 2.0, 20.0, id="behind a ReLU"),
        pytest.param(np.linspace(-3, 3, 100_000), 2.9, 3.0, id="a uniform one keeps all"),
    ],
)
def test_where_a_tensor_is_cut_off(values, least, most):
    assert least <= entropy_range.magnitude(*_counts(values)) <= most


def test_divergence_by_hand():
    # Two bins a level: a level of counts 1 and 3 is told as 2 and 2, the others exactly.
    counts = np.full(2 * entropy_range.LEVELS, 2)
    assert entropy_range.divergence(counts, len(counts)) == pytest.approx(0, abs=1e-12)
    counts[:2] = 1, 3
    expected = (1 * np.log(1 / 2) + 3 * np.log(3 / 2)) / counts.sum()
    assert entropy_range.divergence(counts, len(counts)) == pytest.approx(expected)


def test_values_beyond_an_empty_last_bin_are_no_choice():
    counts = np.ones(2 * entropy_range.LEVELS)
    counts[-1], counts[entropy_range.LEVELS - 1] = 5, 0
    assert entropy_range.divergence(counts, entropy_range.LEVELS) == np.inf
