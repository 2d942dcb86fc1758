import dataclasses

import numpy as np
import pytest

from roadmark.evaluation import matching, tide
from roadmark.testing.marked_and_found import BOX, FAR, NAMES, SHIFTED, picture, random_pictures

BARELY = [100, 130, 150, 180]  # IoU with BOX: 1000 / 4000 = 0.25
NONE_WRONG = dict.fromkeys(tide.KINDS, 0)


@pytest.mark.parametrize(
    ("marked", "found", "counts", "costs"),
    [
        pytest.param([(1, BOX)], [(1, 0.9, SHIFTED)], {}, {}, id="right"),
        pytest.param(
            [(1, BOX)],
            [(2, 0.9, SHIFTED)],
            {"classification": 1},
            {"classification": 1.0},
            id="another class; the object does not count as missed",
        ),
        pytest.param(
            [(1, BOX)],
            [(1, 0.9, BARELY)],
            {"localisation": 1},
            {"localisation": 1.0},
            id="badly placed; the object does not count as missed",
        ),
        pytest.param(
            [(1, BOX)],
            [(2, 0.9, BARELY)],
            {"both": 1, "missed": 1},
            {"missed": 1.0},
            id="another class and badly placed",
        ),
        pytest.param(
            [(1, BOX), (1, FAR)],
            [(1, 0.9, BOX), (1, 0.8, SHIFTED), (1, 0.7, FAR)],
            {"duplicate": 1},
            # Precision is 1 up to recall 0.5 (51 points), then 2/3; without the duplicate, 1.
            {"duplicate": 50 / 101 / 3},
            id="twice",
        ),
        pytest.param(
            [(1, BOX)],
            [(1, 0.9, FAR), (1, 0.8, BOX)],
            {"background": 1},
            {"background": 0.5},
            id="where nothing is",
        ),
        pytest.param(
            [(1, BOX), (1, FAR)],
            [(1, 0.9, BOX)],
            {"missed": 1},
            {"missed": 50 / 101},
            id="not seen",
        ),
        pytest.param([(1, BOX)], [], {"missed": 1}, {"missed": 1.0}, id="nothing found at all"),
        pytest.param(
            [(1, BOX)],
            [(2, 0.9, BOX), (1, 0.8, BOX)],
            {"classification": 1},
            {},
            id="a wrong class on an object that is found goes, and class 2 has no AP to lose",
        ),
        pytest.param(
            [(1, BOX)],
            [(1, 0.9, BARELY), (1, 0.8, [130, 100, 180, 150])],
            {"localisation": 2},
            {"localisation": 1.0},
            id="of two badly placed the better becomes right and the other goes",
        ),
        pytest.param(
            [(1, BOX)],
            [(2, 0.9, BOX), (1, 0.8, BARELY)],
            {"classification": 1, "localisation": 1},
            {"classification": 1.0},
            id="of a wrong class and a bad place only the better can become right",
        ),
    ],
)
def test_kinds_and_costs(marked, found, counts, costs):
    split = tide.split(matching.match([picture(marked, found)], NAMES), NAMES)
    assert split.counts == NONE_WRONG | counts
    assert split.costs == pytest.approx(dict.fromkeys(tide.KINDS, 0.0) | costs)


def test_crowds_are_neither_missed_nor_mistaken():
    given = picture([(1, BOX)], [(1, 0.9, BOX)], crowd=[True])
    split = tide.split(matching.match([given], NAMES), NAMES)
    assert split.counts == NONE_WRONG


def test_false_positives_and_negatives_together():
    given = picture([(1, BOX), (1, FAR)], [(1, 0.9, [0, 0, 50, 50]), (1, 0.8, BOX)])
    split = tide.split(matching.match([given], NAMES), NAMES)
    assert pytest.approx(51 / 101 / 2) == split.AP50
    assert split.false_positives_cost == pytest.approx(51 / 101 / 2)
    assert split.false_negatives_cost == pytest.approx(0.5 - 51 / 101 / 2)


def test_every_mistake_is_of_one_kind_and_per_class_adds_up():
    matches = matching.match(random_pictures(3), NAMES)
    split = tide.split(matches, NAMES)
    wrong = int((matches.matched[:, 0] == matching.NONE).sum())
    assert sum(split.counts.values()) - split.counts["missed"] == wrong
    assert min(split.counts.values()) > 0
    for kind in tide.KINDS:
        assert sum(row[kind] for row in split.per_class.values()) == split.counts[kind]
        assert split.costs[kind] > -1e-12


def test_numbers_are_those_of_the_authors_toolbox():
    """Counts and costs that tidecv 1.0.1 gives for these pictures.

    Equal scores, crowds and classes without objects are left out, because it treats them in ways
    of its own.
    """
    random = np.random.default_rng(0)
    split = tide.split(
        matching.match([_comparable(given, random) for given in random_pictures(3)], NAMES), NAMES
    )
    assert list(split.counts.values()) == [9, 30, 2, 98, 3, 48]
    assert pytest.approx(0.45858750451361765, abs=1e-9) == split.AP50
    assert list(split.costs.values()) == pytest.approx(
        [
            0.0289425228855913,
            0.10552803568837895,
            0.006756919971862629,
            0.07180862603672551,
            0.01383840242081554,
            0.16845615575554923,
        ],
        abs=1e-9,
    )
    assert split.false_positives_cost == pytest.approx(0.1899273469715305, abs=1e-9)
    assert split.false_negatives_cost == pytest.approx(0.24777195970547588, abs=1e-9)


def _comparable(given, random):
    found = given.found.select(given.found.classes != 4)
    scores = found.scores - random.uniform(0, 0.009, len(found)).astype(np.float32)
    marked = dataclasses.replace(given.truth, is_crowd=np.zeros(len(given.truth.boxes), bool))
    return dataclasses.replace(
        given, truth=marked, found=dataclasses.replace(found, scores=scores.astype(np.float32))
    )
