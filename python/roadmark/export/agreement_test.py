import numpy as np
import pytest

from roadmark.detections import Detections
from roadmark.export import agreement


def detections(*rows):
    boxes, scores, classes = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.float32(boxes).reshape(-1, 4), np.float32(scores), np.int32(classes).reshape(-1)
    )


A, A_MOVED, A_FAR = [0, 0, 50, 50], [0, 0, 50, 50.5], [0, 0, 50, 53]
B = [100, 100, 150, 150]


@pytest.mark.parametrize(
    ("found", "expected", "boxes", "unmatched", "score", "corner", "holds"),
    [
        pytest.param([], [], 0, 0, 0, 0, True, id="nothing on either side"),
        pytest.param(
            [(A, 0.9, 1), (B, 0.8, 2)],
            [(B, 0.8, 2), (A_MOVED, 0.9005, 1)],
            2,
            0,
            0.0005,
            0.5,
            True,
            id="small differences in another order",
        ),
        pytest.param([(A, 0.9, 1)], [(A_FAR, 0.9, 1)], 1, 0, 0, 3, False, id="corner 3 px off"),
        pytest.param([(A, 0.9, 1)], [(A, 0.8, 1)], 1, 0, 0.1, 0, False, id="score 0.1 off"),
        pytest.param([(A, 0.9, 1)], [(A, 0.9, 2)], 0, 2, 0, 0, False, id="another class"),
        pytest.param([(A, 0.9, 1)], [], 0, 1, 0, 0, False, id="found alone"),
        pytest.param([], [(A, 0.9, 1)], 0, 1, 0, 0, False, id="expected alone"),
        pytest.param([(A, 0.2, 1)], [(B, 0.29, 1)], 0, 0, 0, 0, True, id="uncertain boxes"),
        pytest.param(
            [(A, 0.31, 1)], [(A, 0.2995, 1)], 1, 0, 0.0105, 0, False, id="one side uncertain"
        ),
        pytest.param(
            [(A, 0.9, 1), (A_MOVED, 0.8, 1)],
            [(A, 0.9, 1)],
            1,
            1,
            0,
            0,
            False,
            id="each box matches once",
        ),
    ],
)
def test_matching(found, expected, boxes, unmatched, score, corner, holds):
    result = agreement.match(detections(*found), detections(*expected))
    assert (result.boxes, result.unmatched) == (boxes, unmatched)
    assert result.score == pytest.approx(score, abs=1e-6)
    assert result.corner == pytest.approx(corner, abs=1e-5)
    assert result.holds == holds
