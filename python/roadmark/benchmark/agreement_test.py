import numpy as np
import pytest

from roadmark.benchmark import agreement

FOUND = {
    "boxes": np.float32([[0, 0, 1, 1], [0.2, 0.2, 0.5, 0.5], [0.1, 0.1, 0.3, 0.3]]),
    "scores": np.float32([0.9, 0.5, 0.4]),
    "classes": np.int32([1, 0, 1]),
}


def but(name, index, value):
    changed = {key: array.copy() for key, array in FOUND.items()}
    changed[name][index] = value
    return changed


@pytest.mark.parametrize(
    ("theirs", "says", "agrees"),
    [
        (FOUND, "the same 3 boxes kept", True),
        (but("scores", 1, 0.50001), "the same 3 boxes kept", True),
        (but("scores", 1, 0.51), "2 boxes kept by both, of our 3 and their 3", False),
        (but("classes", 0, 0), "2 boxes kept by both, of our 3 and their 3", False),
        (but("boxes", (2, 3), 0.32), "2 boxes kept by both, of our 3 and their 3", False),
        (
            {name: array[:1] for name, array in FOUND.items()},
            "1 boxes kept by both, of our 3 and their 1",
            False,
        ),
    ],
    ids=["equal", "rounding", "score", "class", "corner", "fewer"],
)
def test_same_detections(theirs, says, agrees):
    assert agreement.same_detections(FOUND, theirs) == (says, agrees)


def test_nothing_found_by_either_side_is_no_agreement():
    nothing = {name: array[:0] for name, array in FOUND.items()}
    assert not agreement.same_detections(nothing, nothing).agrees


def test_a_row_says_where_results_differ():
    assert str(agreement.Comparison("3 of 4", True)) == "3 of 4"
    assert str(agreement.Comparison("3 of 4", False)) == "RESULTS DIFFER: 3 of 4"


def test_same_indices_in_any_order():
    ours = {"indices": np.int64([3, 1, 2])}
    others = {"indices": np.int64([1, 2, 3])}
    assert agreement.same_indices(ours, others) == ("the same 3 boxes kept", True)
    found = agreement.same_indices(ours, {"indices": np.int64([1, 2, 4, 5])})
    assert found == ("2 boxes kept by both, of our 3 and their 4", False)


def test_one_box_of_a_hundred_may_meet_a_threshold():
    ours, theirs = {"indices": np.arange(100)}, {"indices": np.arange(1, 100)}
    assert agreement.same_indices(ours, theirs).agrees
    assert not agreement.same_indices(ours, {"indices": np.arange(2, 100)}).agrees


def test_close():
    ours, theirs = {"a": np.float32([1, 2])}, {"a": np.float32([1, 2.5])}
    assert agreement.close("a")(ours, theirs) == ("largest difference 0.5 of 2.5", False)
    theirs = {"a": np.float32([1, 2.0001])}
    assert agreement.close("a")(ours, theirs) == ("largest difference 0.0001 of 2", True)
    assert not agreement.close("a")({"a": np.float32([np.nan, 2])}, theirs).agrees


def test_same_targets():
    ours = {
        "matches": np.int32([[0, -1, -1]]),
        "class_targets": np.float32([[[1], [0], [0]]]),
        "box_targets": np.zeros((1, 3, 4), np.float32),
    }
    assert agreement.same_targets(ours, ours).agrees
    theirs = {**ours, "matches": np.int32([[0, -1, 1]])}
    says, agrees = agreement.same_targets(ours, theirs)
    assert says.startswith("2 of 3 matches the same (2 of them to a box), class targets equal")
    assert not agrees
    theirs = {**ours, "class_targets": ours["class_targets"] + 1}
    says, agrees = agreement.same_targets(ours, theirs)
    assert "class targets different" in says
    assert not agrees
    theirs = {**ours, "box_targets": ours["box_targets"] + 1}
    assert not agreement.same_targets(ours, theirs).agrees


def test_same_pixels():
    ours, theirs = (
        {"masks": np.bool_([[[1, 1, 0]]])},
        {"masks": np.bool_([[[1, 0, 0]]])},
    )
    assert agreement.same_pixels(ours, ours) == ("2 pixels set by both, 0 by one", True)
    assert agreement.same_pixels(ours, theirs) == ("1 pixels set by both, 1 by one", False)


def test_results_that_differ_on_purpose_have_the_same_shapes():
    compare = agreement.not_comparable("each draws in its own letters")
    frame = {"frame": np.zeros((6, 4), np.uint8)}
    says, agrees = compare(frame, frame)
    assert says == "results not compared: each draws in its own letters"
    assert agrees
    says, agrees = compare(frame, {"frame": frame["frame"][:4]})
    assert says == "ours are {'frame': (6, 4)}, theirs {'frame': (4, 4)}"
    assert not agrees
