"""Scores against counts made by hand."""

import numpy as np
import pytest

from roadmark.classification import scoring

_CLASSES = [f"make {number}" for number in range(7)]


def _certain(guesses, classes=7):
    made = np.full((len(guesses), classes), 0.01, np.float32)
    made[np.arange(len(guesses)), guesses] = 0.9
    return made


def test_accuracies_and_confusions_are_counted():
    labels = np.array([0, 0, 0, 1, 1, 2, 6])
    found = scoring.score(_certain([0, 1, 1, 1, 0, 2, 6]), labels, _CLASSES)
    assert (found.accuracy.right, found.accuracy.total) == (4, 7)
    assert found.chance == pytest.approx(3 / 7)
    assert found.confusion[0].tolist() == [1, 2, 0, 0, 0, 0, 0]
    assert [(p.true, p.taken_for, p.count) for p in found.pairs] == [(0, 1, 2), (1, 0, 1)]
    assert found.pairs[0].indices == (1, 2)
    assert found.pairs[0].total == 3
    assert found.to_dict()["most_confused"][0] == {
        "class": "make 0", "taken_for": "make 1", "count": 2
    }  # fmt: skip
    assert found.per_class["make 1"]["precision"] == pytest.approx(1 / 3)
    assert found.loss == pytest.approx(-(4 * np.log(0.9) + 3 * np.log(0.01)) / 7, rel=1e-5)


def test_top_5_is_the_first_five_of_a_tie():
    # All others are equal: 0 to 3 follow the guess 6, 4 and 5 do not.
    found = scoring.score(_certain([6, 6, 6]), np.array([3, 4, 6]), _CLASSES)
    assert (found.top_5.right, found.top_5.total) == (2, 3)


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # By hand from Wilson's formula with z = 1.95996.
    [(10, 20, 0.2993, 0.7007), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_intervals_are_wilsons(right, total, low, high):
    share = scoring.Share.of(right, total)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-4)


def test_the_text_names_classes_and_interval():
    text = scoring.to_text(scoring.score(_certain([0, 1]), np.array([0, 1]), _CLASSES))
    assert "make 6" in text
    assert "top-1 accuracy 1.0000 (0.3424 to 1.0000, 2 of 2)" in text
    assert "not shown to be better than chance" in text, "0.5 lies in the interval"


def test_what_is_better_than_chance_is_not_called_into_question():
    labels = np.arange(70) % 7
    assert "not shown" not in scoring.to_text(scoring.score(_certain(labels), labels, _CLASSES))
