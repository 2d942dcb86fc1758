"""Target assignment against the OD API's rules written out on the whole matrix of IoUs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadmark.ops import box_coder
from roadmark.ops.matcher import IGNORED, UNMATCHED, TargetAssigner
from roadmark.ops.nms import iou

SCALES = (10.0, 10.0, 5.0, 5.0)
BACKGROUND = np.float32([1, 0, 0, 0])
HALF = {"matched_threshold": 0.5, "unmatched_threshold": 0.5}


def random_boxes(rng, count, largest=0.5):
    corner = rng.uniform(0, 1, (count, 2))
    return np.hstack([corner, corner + rng.uniform(0, largest, (count, 2))]).astype(np.float32)


def one_hot(rng, *shape):
    return np.eye(4, dtype=np.float32)[rng.integers(1, 4, shape)]


def reference(anchors, boxes, weights, options):
    if not len(boxes):
        return np.full(len(anchors), UNMATCHED)
    overlaps = iou(boxes, anchors)
    matches, best = overlaps.argmax(axis=0), overlaps.max(axis=0)
    lower = options.get("negatives_lower_than_unmatched", True)
    below = best < np.float32(options["unmatched_threshold"])
    between = ~below & (best < np.float32(options["matched_threshold"]))
    matches[below] = UNMATCHED if lower else IGNORED
    matches[between] = IGNORED if lower else UNMATCHED
    if options.get("force_match_for_each_row"):
        for row in reversed(np.flatnonzero(weights > 0)):
            matches[overlaps[row].argmax()] = row
    return matches


@pytest.mark.parametrize(
    "options",
    [
        HALF,
        HALF | {"force_match_for_each_row": True},
        {"matched_threshold": 0.7, "unmatched_threshold": 0.3, "force_match_for_each_row": True},
        {
            "matched_threshold": 0.6,
            "unmatched_threshold": 0.2,
            "negatives_lower_than_unmatched": False,
        },
        {"matched_threshold": 0.0, "unmatched_threshold": 0.0},
    ],
)
@pytest.mark.parametrize("count", [0, 1, 30])
def test_equals_the_reference(options, count):
    rng = np.random.default_rng(count)
    anchors = random_boxes(rng, 500)
    boxes = np.stack([random_boxes(rng, count), random_boxes(rng, count, 0.1)])
    boxes[:, -1:] = anchors[7]  # Identical to an anchor, and a tie between the images' rows.
    labels, weights = one_hot(rng, 2, count), rng.random((2, count)).astype(np.float32)
    weights[:, ::3] = 0
    assigner = TargetAssigner(
        anchors, BACKGROUND, **options, scale_factors=SCALES, negative_class_weight=0.25
    )
    found = assigner.assign(boxes, labels, weights)
    for image in range(2):
        matches = reference(anchors, boxes[image], weights[image], options)
        matched = matches >= 0
        rows = matches[matched]
        assert np.array_equal(found.matches[image], matches)
        targets = np.zeros((500, 4), np.float32)
        targets[matched] = box_coder.encode(boxes[image][rows], anchors[matched], SCALES)
        assert np.array_equal(found.box_targets[image], targets)
        labels_of_anchors = np.tile(BACKGROUND, (500, 1))
        labels_of_anchors[matched] = labels[image][rows]
        assert np.array_equal(found.class_targets[image], labels_of_anchors)
        box_weights = np.zeros(500, np.float32)
        box_weights[matched] = weights[image][rows]
        assert np.array_equal(found.box_weights[image], box_weights)
        class_weights = np.where(matches == UNMATCHED, np.float32(0.25), box_weights)
        assert np.array_equal(found.class_weights[image], class_weights)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    grid=st.integers(1, 12),
    count=st.integers(0, 12),
    thresholds=st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)).map(sorted),
    lower=st.booleans(),
    force=st.booleans(),
)
def test_coarse_coordinates_with_many_ties(seed, grid, count, thresholds, lower, force):
    # Corners on a coarse grid: equal IoUs, boxes without area, inverted boxes.
    rng = np.random.default_rng(seed)
    anchors, boxes = (
        rng.integers(0, grid, (size, 4)).astype(np.float32) / np.float32(grid)
        for size in (60, count)
    )
    ordered = (boxes[:, :2] <= boxes[:, 2:]).all(axis=1)
    boxes[~ordered] = 0
    anchors[~(anchors[:, :2] <= anchors[:, 2:]).all(axis=1)] = 0
    weights = rng.integers(0, 2, count).astype(np.float32)
    options = {
        "unmatched_threshold": thresholds[0],
        "matched_threshold": thresholds[1],
        "negatives_lower_than_unmatched": lower,
        "force_match_for_each_row": force,
    }
    assigner = TargetAssigner(anchors, BACKGROUND, **options)
    found = assigner.assign(boxes[None], one_hot(rng, 1, count), weights[None])
    assert np.array_equal(found.matches[0], reference(anchors, boxes, weights, options))


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "form", [memoryview, read_only, np.asfortranarray, lambda array: np.repeat(array, 2, 0)[::2]]
)
@pytest.mark.parametrize("threads", [1, 2])
def test_every_form_of_array_gives_the_same_and_stays_as_it_is(form, threads):
    rng = np.random.default_rng(0)
    anchors = random_boxes(rng, 300)
    boxes = random_boxes(rng, 40).reshape(4, 10, 4)
    labels, weights = one_hot(rng, 4, 10), np.ones((4, 10), np.float32)
    before = boxes.tobytes(), labels.tobytes(), weights.tobytes()
    expected = TargetAssigner(anchors, BACKGROUND, **HALF).assign(boxes, labels, weights)
    found = TargetAssigner(form(anchors), form(BACKGROUND), **HALF).assign(
        form(boxes), form(labels), form(weights), threads=threads
    )
    assert np.array_equal(found.matches, expected.matches)
    assert np.array_equal(found.box_targets, expected.box_targets)
    assert np.array_equal(found.class_targets, expected.class_targets)
    assert (boxes.tobytes(), labels.tobytes(), weights.tobytes()) == before


def with_corner(value):
    boxes = np.tile(np.float32([0, 0, 1, 1]), (1, 2, 1))
    boxes[0, 1, 2] = value
    return boxes


ANCHORS = np.float32([[0, 0, 1, 1]])
BOXES = with_corner(1)
LABELS = np.zeros((1, 2, 4), np.float32)
WEIGHTS = np.ones((1, 2), np.float32)


def assign(boxes=BOXES, labels=LABELS, weights=WEIGHTS, threads=1):
    return TargetAssigner(ANCHORS, BACKGROUND, **HALF).assign(
        boxes, labels, weights, threads=threads
    )


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: assign(boxes=with_corner(np.nan)), r"boxes\[1\]: found \(0.*nan.*are numbers"),
        (lambda: assign(boxes=with_corner(np.inf)), "boxes: found inf, expected corners between"),
        (lambda: assign(boxes=with_corner(2e18)), "boxes: found 1.99.*, expected corners"),
        (lambda: assign(boxes=BOXES[0]), r"boxes: found float32 \(2, 4\), expected"),
        (lambda: assign(boxes=BOXES.astype(np.float64)), "boxes: found float64"),
        (lambda: assign(labels=LABELS[..., 1:]), r"labels: .*expected float32 \(1, 2, 4\)"),
        (lambda: assign(weights=WEIGHTS[:, 1:]), r"weights: .*expected float32 \(1, 2\)"),
        (lambda: assign(threads=0), "threads: found 0, expected 1 or more"),
        (
            lambda: TargetAssigner(with_corner(np.nan)[0], BACKGROUND, **HALF),
            r"anchors\[1\]: found \(0",
        ),
        (
            lambda: TargetAssigner(ANCHORS, BACKGROUND[None], **HALF),
            r"unmatched_label: found float32 \(1, 4\)",
        ),
        (
            lambda: TargetAssigner(
                ANCHORS, BACKGROUND, matched_threshold=0.3, unmatched_threshold=0.5
            ),
            "matched_threshold: found 0.3.*, expected unmatched_threshold to 1",
        ),
        (
            lambda: TargetAssigner(
                ANCHORS, BACKGROUND, matched_threshold=0.3, unmatched_threshold=-1
            ),
            "unmatched_threshold: found -1.0, expected 0 to 1",
        ),
        (
            lambda: TargetAssigner(ANCHORS, BACKGROUND, **HALF, scale_factors=(10, 10, 5, 0)),
            "scale_factors: found 0.0, expected factors above 0",
        ),
        (
            lambda: TargetAssigner(ANCHORS, BACKGROUND, **HALF, negative_class_weight=np.nan),
            "negative_class_weight: found nan",
        ),
    ],
)
def test_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
