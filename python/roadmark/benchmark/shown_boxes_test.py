import numpy as np
import pytest

from roadmark.benchmark import shown_boxes

_THRESHOLD = 0.4
# Of two frames; the first shows two classes at nearly the same place.
_SHOWN = {
    "frame": np.int64([0, 0, 1]),
    "boxes": np.float32([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 40]]),
    "classes": np.int64([1, 2, 1]),
    "scores": np.float32([0.9, 0.8, 0.41]),
}


def _but(name, value):
    return {**_SHOWN, name: np.array(value, _SHOWN[name].dtype)}


def _first(count):
    return {name: values[:count] for name, values in _SHOWN.items()}


@pytest.mark.parametrize(
    ("theirs", "share", "frames", "end", "agrees"),
    [
        (_SHOWN, "100.0%", 2, "", True),
        (_but("scores", [0.5, 0.5, 0.5]), "100.0%", 2, "", True),
        (_but("boxes", [[0, 0, 10, 9], [0, 0, 10, 10], [20, 21, 31, 40]]), "100.0%", 2, "", True),
        (
            _but("boxes", [[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 20]]),
            "66.7%",
            1,
            "2 of 2",
            False,
        ),
        (_but("classes", [1, 1, 1]), "66.7%", 1, "0 of 2", False),
        (_but("frame", [0, 1, 1]), "66.7%", 0, "0 of 2", False),
        (_first(2), "80.0%", 1, "1 of 1", False),
        (_first(0), "0.0%", 0, "1 of 3", False),
    ],
    ids=[
        "the same",
        "other scores",
        "corners elsewhere",
        "no overlap",
        "another class",
        "another frame",
        "one flips",
        "nothing",
    ],
)
def test_boxes_are_paired_by_frame_class_and_overlap(theirs, share, frames, end, agrees):
    found = shown_boxes.compare(_SHOWN, theirs, 2, _THRESHOLD)
    count = len(theirs["frame"])
    begin = f"above 0.4 ours shows 3 boxes, theirs {count}, {share} of them matched"
    assert found.says.startswith(begin)
    assert f"all matched in {frames} of 2 frames" in found.says
    said = f"; {end} unmatched are within 0.02 of the threshold" if end else "frames"
    assert found.says.endswith(said)
    assert found.agrees == agrees


@pytest.mark.parametrize(
    ("alone", "score", "agrees"),
    [(18, 0.41, True), (19, 0.41, False), (3, 0.5, True), (4, 0.5, False)],
    ids=["few flip", "many flip", "few differ", "more differ"],
)
def test_some_may_flip_at_the_threshold(alone, score, agrees):
    """Of 100 frames with a box each, the first ones show it on our side alone."""
    ours = {
        "frame": np.arange(100),
        "boxes": np.tile(np.float32([0, 0, 9, 9]), (100, 1)),
        "classes": np.ones(100, np.int64),
        "scores": np.full(100, score, np.float32),
    }
    theirs = {name: values[alone:] for name, values in ours.items()}
    assert shown_boxes.compare(ours, theirs, 100, _THRESHOLD).agrees == agrees


def test_a_box_stands_for_one_other_alone():
    twice = {name: np.concatenate([values[:1]] * 2) for name, values in _SHOWN.items()}
    assert "2 boxes, theirs 1, 66.7% of them" in shown_boxes.compare(twice, _first(1), 1, 0.4).says


def test_two_empty_sides_are_no_agreement():
    assert not shown_boxes.compare(_first(0), _first(0), 2, _THRESHOLD).agrees
