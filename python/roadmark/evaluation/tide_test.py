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
