import numpy as np
import pytest

from roadmark.evaluation import average_precision, coco, matching
from roadmark.evaluation.average_precision import Ranking
from roadmark.evaluation.matching import NONE
from roadmark.testing.marked_and_found import (
    BOX,
    FAR,
    NAMES,
    SHIFTED,
    WIDER,
    picture,
    random_pictures,
)


@pytest.mark.parametrize(
    ("given", "at_50", "at_70", "ignored"),
    [
        pytest.param(picture([(1, BOX)], [(1, 0.9, BOX)]), [0], [0], [False], id="exact"),
        pytest.param(picture([(1, BOX)], [(1, 0.9, SHIFTED)]), [0], [NONE], [False], id="loose"),
        pytest.param(picture([(1, BOX)], [(2, 0.9, BOX)]), [NONE], [NONE], [False], id="class"),
        pytest.param(
            picture([(1, BOX)], [(1, 0.5, BOX), (1, 0.9, WIDER)]),
            [0, NONE],
            [0, NONE],
            [False] * 2,
            id="the better score chooses first, though the other fits better",
        ),
        pytest.param(
            picture([(1, BOX), (1, WIDER)], [(1, 0.9, WIDER), (1, 0.8, BOX)]),
            [1, 0],
            [1, 0],
            [False] * 2,
            id="each takes the object that it overlaps most",
        ),
        pytest.param(
            picture([(1, BOX)], [(1, 0.9, BOX), (1, 0.8, BOX)], crowd=[True]),
            [0, 0],
            [0, 0],
            [True] * 2,
            id="a crowd takes any number and is no success",
        ),
        pytest.param(
            picture([(1, BOX), (1, BOX)], [(1, 0.9, BOX)], crowd=[True, False]),
            [1],
            [1],
            [False],
            id="an object goes before a crowd",
        ),
        pytest.param(picture([], [(7, 0.9, BOX)]), [], [], [], id="no class of the label map"),
    ],
)
def test_match(given, at_50, at_70, ignored):
    found = matching.match([given], NAMES)
    assert found.matched[:, 0].tolist() == at_50
    assert found.matched[:, 4].tolist() == at_70
    assert found.ignored[:, 0].tolist() == ignored


def test_objects_are_counted_over_all_pictures():
    found = matching.match(
        [
            picture([(1, BOX), (2, FAR)], [(2, 0.9, FAR)]),
            picture([], [(1, 0.9, BOX)]),
            picture([(1, BOX)], [(2, 0.9, SHIFTED)]),
        ],
        NAMES,
    )
    assert found.image.tolist() == [0, 1, 2]
    assert found.matched[:, 0].tolist() == [1, NONE, NONE]
    assert found.nearest_same.tolist() == [1, NONE, NONE]
    assert found.nearest_other.tolist() == [NONE, NONE, 2]
    assert found.iou_other.tolist() == pytest.approx([0, 0, 2 / 3])


def test_only_the_best_hundred_of_a_class_count():
    many = [(1, 0.5 - number / 1000, FAR) for number in range(120)]
    found = matching.match([picture([(1, BOX)], [*many, (2, 0.1, BOX)])], NAMES)
    assert len(found.scores) == 101
    assert found.scores[:-1].min() == pytest.approx(0.401)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_cocos(seed):
    pictures = random_pictures(seed)
    expected = coco.evaluate([p.truth for p in pictures], [p.found for p in pictures], NAMES)
    rankings = [Ranking(matching.match(pictures, NAMES), class_id) for class_id in NAMES]
    weights = np.ones(len(pictures))
    values = average_precision.mean(rankings, weights)
    summary = expected.summary["bbox"]
    assert 0.1 < summary["mAP"] < 0.9
    assert values.mean() == pytest.approx(summary["mAP"], abs=1e-9)
    assert values[[0, 5]] == pytest.approx([summary["AP50"], summary["AP75"]], abs=1e-9)
    for name, ranking in zip(NAMES.values(), rankings, strict=True):
        own = ranking.average_precision(weights).mean()
        assert own == pytest.approx(expected.per_class["bbox"][name]["AP"], abs=1e-9, nan_ok=True)


def test_a_weight_is_how_often_a_picture_is_there():
    pictures = random_pictures(9, 12)
    weights = np.arange(12) % 3
    repeated = [p for p, weight in zip(pictures, weights, strict=True) for _ in range(weight)]
    expected = coco.evaluate([p.truth for p in repeated], [p.found for p in repeated], NAMES)
    rankings = [Ranking(matching.match(pictures, NAMES), class_id) for class_id in NAMES]
    found = average_precision.mean(rankings, weights).mean()
    assert found == pytest.approx(expected.summary["bbox"]["mAP"], abs=1e-9)
