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
    ("theirs", "says"),
    [
        (FOUND, "the same 3 boxes kept"),
        (but("scores", 1, 0.50001), "the same 3 boxes kept"),
        (but("scores", 1, 0.51), "2 boxes kept by both, of our 3 and their 3"),
        (but("classes", 0, 0), "2 boxes kept by both, of our 3 and their 3"),
        (but("boxes", (2, 3), 0.32), "2 boxes kept by both, of our 3 and their 3"),
        (
            {name: array[:1] for name, array in FOUND.items()},
            "1 boxes kept by both, of our 3 and their 1",
        ),
    ],
    ids=["equal", "rounding", "score", "class", "corner", "fewer"],
)
def test_same_detections(theirs, says):
    assert agreement.same_detections(FOUND, theirs) == says


def test_same_indices_in_any_order():
    ours = {"indices": np.int64([3, 1, 2])}
    assert agreement.same_indices(ours, {"indices": np.int64([1, 2, 3])}) == "the same 3 boxes kept"
    said = agreement.same_indices(ours, {"indices": np.int64([1, 2, 4, 5])})
    assert said == "2 boxes kept by both, of our 3 and their 4"


def test_close():
    ours, theirs = {"a": np.float32([1, 2])}, {"a": np.float32([1, 2.5])}
    assert agreement.close("a")(ours, theirs) == "largest difference 0.5 of 2.5"


def test_same_targets():
    ours = {
        "matches": np.int32([[0, -1, -1]]),
        "class_targets": np.float32([[[1], [0], [0]]]),
        "box_targets": np.zeros((1, 3, 4), np.float32),
    }
    theirs = {**ours, "matches": np.int32([[0, -1, 1]])}
    said = agreement.same_targets(ours, theirs)
    assert said.startswith("2 of 3 matches the same (2 of them to a box), class targets equal")
    theirs["class_targets"] = ours["class_targets"] + 1
    assert "class targets different" in agreement.same_targets(ours, theirs)


def test_same_pixels():
    ours, theirs = (
        {"masks": np.bool_([[[1, 1, 0]]])},
        {"masks": np.bool_([[[1, 0, 0]]])},
    )
    assert agreement.same_pixels(ours, ours) == "2 pixels set by both, 0 by one"
    assert agreement.same_pixels(ours, theirs) == "1 pixels set by both, 1 by one"
