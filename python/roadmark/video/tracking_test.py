import dataclasses

import numpy as np
import pytest

from roadmark.detections import LABEL, LABEL_PROBABILITY, Detections
from roadmark.video.tracking import UNTRACKED, Tracker

_STEP_S = 1 / 25


def found(*corners, scores=None, classes=None):
    """Objects of 40 x 20 pixels (width, height) with these left upper corners (x, y)."""
    boxes = np.array([[y, x, y + 20, x + 40] for x, y in corners], np.float32).reshape(-1, 4)
    count = len(boxes)
    return Detections(
        boxes,
        np.array(scores or [0.9] * count, np.float32),
        np.array(classes or [1] * count, np.int32),
    )


def follow(frames, tracker=None, step=_STEP_S):
    tracker = tracker or Tracker(0.4)
    return [tracker.update(frame, index * step) for index, frame in enumerate(frames)]


def test_objects_keep_their_ids_in_whatever_order_they_come():
    there = [found((3 * i, 10), (300 - 3 * i, 100)) for i in range(20)]
    swapped = [one.select([1, 0]) if i % 2 else one for i, one in enumerate(there)]
    seen = follow(swapped)
    assert seen[0].detections.track_ids.tolist() == [UNTRACKED, UNTRACKED]
    for index, one in enumerate(seen[2:], 2):
        left, right = one.detections.track_ids.tolist()[:: -1 if index % 2 else 1]
        assert (left, right) == (1, 2)
        np.testing.assert_array_equal(one.detections.boxes, swapped[index].boxes)


@pytest.mark.parametrize(("gone", "same"), [(5, True), (60, False)])
def test_object_that_is_hidden_for_a_moment_keeps_its_id(gone, same):
    frames = [found((2 * i, 10)) for i in range(10)]
    frames += [Detections.empty()] * gone
    frames += [found((2 * i, 10)) for i in range(10 + gone, 20 + gone)]
    last = follow(frames)[-1].detections.track_ids.tolist()
    assert (last == [1]) == same


def test_weak_detection_goes_on_with_a_track_and_begins_none():
    frames = [found((2 * i, 10), (200, 100), scores=[0.9, 0.2]) for i in range(5)]
    frames += [found((2 * i, 10), (200, 100), scores=[0.2, 0.2]) for i in range(5, 10)]
    assert [one.detections.track_ids.tolist() for one in follow(frames)] == [[UNTRACKED]] + [
        [1]
    ] * 9


def test_flickering_class_does_not_end_a_track():
    frames = [found((2 * i, 10), classes=[1 + i % 2]) for i in range(10)]
    assert follow(frames)[-1].detections.track_ids.tolist() == [1]


def test_trails_show_where_an_object_stood_in_the_last_seconds():
    seen = follow([found((2 * i, 10)) for i in range(200)])
    assert [len(one.trails[0]) for one in seen[:4]] == [0, 1, 2, 3]
    trail = seen[-1].trails[0]
    # Two seconds, the last point now; the middle of the lower edge.
    assert len(trail) in (50, 51)
    assert trail[-1].tolist() == [30, 2 * 199 + 20]
    assert (np.diff(trail[:, 1]) == 2).all()


def test_a_classifiers_name_does_not_flicker():
    """Class 1 is a vehicle without a name, 2 a pedestrian, 5 and 6 are makes."""
    given = [(5, 0.9), (5, 0.9), (6, 0.8), (1, 0.0), (6, 0.8), (2, -1.0), (6, 0.9), (6, 0.8)]
    frames = [
        dataclasses.replace(
            found((index, 10), classes=[class_id]),
            attributes={
                LABEL: np.int32([class_id]),
                LABEL_PROBABILITY: np.float32([probability]),
            },
        )
        for index, (class_id, probability) in enumerate(given)
    ]
    voted = follow(frames)
    seen = [int(one.detections.classes[0]) for one in voted]
    # The first frame has no track yet: 6 leads with its second vote. A pedestrian stays one.
    assert seen == [5, 5, 5, 5, 6, 2, 6, 6]
    # As in a run that is taken up again.
    known = [dataclasses.replace(one.detections, track_ids=None) for one in voted[:4]]
    again = follow([*known, *frames[4:]])
    assert [int(one.detections.classes[0]) for one in again] == seen


def test_without_a_classifier_classes_are_the_detectors():
    frames = [found((index, 10), classes=[1 + index % 2]) for index in range(4)]
    assert [int(one.detections.classes[0]) for one in follow(frames)] == [1, 2, 1, 2]


def test_tracks_that_are_gone_are_forgotten():
    tracker = Tracker(0.4)
    for index in range(600):
        # Each object is there for ten frames, far from the one before.
        tracker.update(found((100 * (index // 10), 10)), index * _STEP_S)
    assert len(tracker._trails) <= 6


def test_nothing_at_all():
    (seen,) = follow([Detections.empty()])
    assert len(seen.detections) == 0
    assert seen.detections.track_ids.dtype == np.int32
