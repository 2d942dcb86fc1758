import numpy as np
import pytest

from roadmark.ops.nms import iou, nms

SEEDS = range(5)


def reference_iou(box, other):
    ymin, xmin = max(box[0], other[0]), max(box[1], other[1])
    ymax, xmax = min(box[2], other[2]), min(box[3], other[3])
    area = (box[2] - box[0]) * (box[3] - box[1])
    other_area = (other[2] - other[0]) * (other[3] - other[1])
    if area <= 0 or other_area <= 0:
        return np.float32(0)
    intersection = max(ymax - ymin, np.float32(0)) * max(xmax - xmin, np.float32(0))
    return intersection / (area + other_area - intersection)


def reference_nms(boxes, scores, score_threshold, iou_threshold, max_outputs, sigma=0.0):
    """One candidate at a time, rescoring everything after each choice."""
    scores = scores.copy()
    left = [i for i in range(len(boxes)) if scores[i] > score_threshold]
    kept, kept_scores = [], []
    while left and len(kept) < max_outputs:
        best = min(left, key=lambda i: (-scores[i], i))
        kept.append(best)
        kept_scores.append(scores[best])
        left.remove(best)
        for i in list(left):
            overlap = reference_iou(boxes[i], boxes[best])
            if sigma:
                scores[i] *= np.exp(-overlap * overlap / (2 * sigma))
            elif overlap > iou_threshold:
                scores[i] = -np.inf
            if scores[i] <= score_threshold:
                left.remove(i)
    return kept, kept_scores


def random_boxes(rng, count):
    corners = rng.uniform(0, 100, (count, 2, 2)).astype(np.float32)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return boxes, rng.choice(rng.random(max(count // 3, 1)), count).astype(np.float32)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("iou_threshold", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("max_outputs", [5, 1000])
def test_equals_the_naive_reference_with_many_ties(seed, iou_threshold, max_outputs):
    boxes, scores = random_boxes(np.random.default_rng(seed), 150)
    options = {
        "score_threshold": 0.3,
        "iou_threshold": iou_threshold,
        "max_outputs": max_outputs,
    }
    kept, kept_scores = nms(boxes, scores, **options)
    expected, expected_scores = reference_nms(boxes, scores, **options)
    assert kept.tolist() == expected
    assert kept_scores.tolist() == expected_scores


@pytest.mark.parametrize("seed", SEEDS)
def test_soft_nms_equals_the_naive_reference(seed):
    boxes, scores = random_boxes(np.random.default_rng(seed), 60)
    kept, kept_scores = nms(
        boxes, scores, score_threshold=0.1, iou_threshold=1.0, max_outputs=30, soft_nms_sigma=0.5
    )
    expected, expected_scores = reference_nms(boxes, scores, 0.1, 1.0, 30, sigma=0.5)
    assert kept.tolist() == expected
    np.testing.assert_allclose(kept_scores, expected_scores, rtol=1e-5)


def test_more_candidates_than_the_first_look_takes():
    # 5000 copies of the best box hide the second object from the first look.
    boxes = np.tile(np.float32([[0, 0, 10, 10]]), (5001, 1))
    boxes[-1] = [50, 50, 60, 60]
    scores = np.full(5001, 0.9, np.float32)
    scores[:900] = 0.95
    scores[-1] = 0.1
    kept, _ = nms(boxes, scores, score_threshold=0.0, iou_threshold=0.5, max_outputs=100)
    assert kept.tolist() == [0, 5000]


def shifted_pair(overlap):
    """Two unit-wide boxes, the second moved so that their IoU is `overlap`."""
    shift = 100 * (1 - overlap) / (1 + overlap)
    return np.float32([[0, 0, 100, 100], [0, shift, 100, 100 + shift]])


@pytest.mark.parametrize(
    ("boxes", "scores", "expected"),
    [
        pytest.param(shifted_pair(0.5 - 1e-3), [0.9, 0.8], [0, 1], id="IoU just below stays"),
        pytest.param(shifted_pair(0.5 + 1e-3), [0.9, 0.8], [0], id="IoU just above goes"),
        pytest.param([[0, 0, 1, 1], [0, 0, 1, 1]], [0.5, 0.5], [0], id="tie: lower index wins"),
        pytest.param([[0, 0, 1, 1], [5, 5, 6, 6]], [0.5, 0.5], [0, 1], id="tie: index order"),
        pytest.param([[0, 0, 1, 1]], [0.25], [], id="a score equal to the threshold goes"),
        pytest.param([[0, 0, 0, 1], [0, 0, 0, 1]], [0.9, 0.8], [0, 1], id="no area: no overlap"),
        pytest.param([[1, 1, 0, 0], [0, 0, 1, 1]], [0.9, 0.8], [0], id="corners in either order"),
        pytest.param([[0, 0, 1, 1]], [np.nan], [], id="a NaN score goes"),
        pytest.param(np.zeros((0, 4)), [], [], id="nothing in, nothing out"),
        pytest.param(
            [[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 4.2]],
            [0.9, 0.8, 0.7],
            [0, 2],
            id="a suppressed box suppresses nothing",
        ),
    ],
)
def test_corner_cases(boxes, scores, expected):
    kept, _ = nms(
        np.asarray(boxes, np.float32),
        np.asarray(scores, np.float32),
        score_threshold=0.25,
        iou_threshold=0.5,
        max_outputs=10,
    )
    assert kept.tolist() == expected


def test_inputs_are_left_alone():
    boxes, scores = random_boxes(np.random.default_rng(0), 50)
    before = boxes.copy(), scores.copy()
    for array in (boxes, scores):
        array.flags.writeable = False
    nms(boxes, scores, score_threshold=0, iou_threshold=0.5, max_outputs=10, soft_nms_sigma=0.5)
    nms(boxes, scores, score_threshold=0, iou_threshold=0.5, max_outputs=10)
    assert np.array_equal(boxes, before[0])
    assert np.array_equal(scores, before[1])


def test_iou_of_negative_coordinates():
    found = iou(np.float32([[-10, -10, 0, 0]]), np.float32([[-10, -5, 0, 5], [1, 1, 2, 2]]))
    np.testing.assert_allclose(found, [[1 / 3, 0]], rtol=1e-6)


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        ([[0, 0, 1, 1]], "others: found list, expected an array"),
        (np.zeros((1, 3), np.float32), r"others: found float32 \(1, 3\), expected float32"),
        (np.zeros((1, 4)), r"others: found float64 \(1, 4\), expected float32 \(any, 4\)"),
        (np.zeros(4, np.float32), r"others: found float32 \(4,\), expected float32 \(any, 4\)"),
    ],
)
def test_iou_of_what_are_no_boxes(boxes, says):
    with pytest.raises(ValueError, match=says):
        iou(np.zeros((1, 4), np.float32), boxes)
