import numpy as np
import pytest

from roadmark.detections import Detections
from roadmark.errors import UserError
from roadmark.ops import annotate
from roadmark.video.counting import CountLine, CountZone
from roadmark.video.tracking import Tracker

_HEIGHT, _WIDTH = 240, 320


def found(*corners):
    """Objects of 40 x 20 pixels (width, height) with these left upper corners (x, y)."""
    boxes = np.array([[y, x, y + 20, x + 40] for x, y in corners], np.float32)
    count = len(boxes)
    return Detections(boxes, np.full(count, 0.9, np.float32), np.ones(count, np.int32))


def passing(counter, steps):
    """One object that stands at x = step + 20, y = 120 in each frame, and one that stays."""
    tracker, seen = Tracker(0.4), []
    counter.place(_HEIGHT, _WIDTH)
    for index, step in enumerate(steps):
        counter.update(tracker.update(found((step, 100), (280, 10)), index / 25).detections)
        seen.append(counter.counts)
    return seen


@pytest.mark.parametrize(
    ("text", "steps", "expected"),
    [
        ("100,0,100,200", range(0, 200, 4), {"to the left": 1, "to the right": 0}),
        ("100,200,100,0", range(0, 200, 4), {"to the left": 0, "to the right": 1}),
        ("100,0,100,200", range(200, 0, -4), {"to the left": 0, "to the right": 1}),
        ("100,0,100,50", range(0, 200, 4), {"to the left": 0, "to the right": 0}),
        ("100,0,100,200", range(0, 60, 4), {"to the left": 0, "to the right": 0}),
        ("0.3125,0,0.3125,1", range(0, 200, 4), {"to the left": 1, "to the right": 0}),
    ],
    ids=["down the picture", "up", "backwards", "beside the line", "not yet there", "shares"],
)
def test_line_counts_each_object_once_by_direction(text, steps, expected):
    line = CountLine.parse(text)
    assert passing(line, steps)[-1] == expected
    crossed = {way: {1: count} if count else {} for way, count in expected.items()}
    assert line.by_class() == crossed


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("100,50,200,50,200,150,100,150", True),
        ("0.3125,0.2,0.625,0.2,0.625,0.625,0.3125,0.625", True),
        ("100,50,200,50,200,110,100,110", False),
        ("100,-500,200,-500,200,900,100,900", True),
    ],
    ids=["around its way", "in shares", "above where it stands", "beyond the picture"],
)
def test_zone_counts_who_is_inside_and_who_ever_was(text, inside):
    zone = CountZone.parse(text)
    # There and back: the same object, which comes in twice.
    steps = [*range(0, 240, 4), *range(240, 0, -4)]
    seen = passing(zone, steps)
    for step, counts in list(zip(steps, seen, strict=True))[1:]:
        if min(abs(step + 20 - 100), abs(step + 20 - 200)) > 2:
            assert counts["inside"] == (inside and 100 < step + 20 < 200), step
    assert seen[-1] == {"inside": 0, "so far": int(inside)}
    assert zone.by_class() == {"so far": {1: 1} if inside else {}}


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,4,5,6", "a,b,c,d", "5,5,5,5", "nan,0,1,1"])
def test_what_is_no_line_is_one_line(text):
    with pytest.raises(UserError, match=r"--count_line: found .*; give two points in pixels or"):
        CountLine.parse(text)


@pytest.mark.parametrize("text", ["", "1,2,3,4", "1,2,3,4,5", "a,b,c,d,e,f", "1,1,5,5,9,9"])
def test_what_is_no_zone_is_one_line(text):
    with pytest.raises(UserError, match=r"--count_zone: found .*; give three or more corners"):
        CountZone.parse(text)


@pytest.mark.parametrize(
    "counter",
    [
        CountLine.parse("700,50,900,50"),
        CountLine.parse("10,-9,20,-5"),
        CountZone.parse("10,500,90,500,90,600"),
    ],
    ids=["right of it", "above it", "below it"],
)
def test_outside_the_picture_nothing_can_be_counted(counter):
    with pytest.raises(UserError, match="lies outside the picture, which is 320x240; give x and y"):
        counter.place(_HEIGHT, _WIDTH)


@pytest.mark.parametrize(
    ("counter", "edge"),
    [
        (CountLine.parse("40,200,280,200"), (200, slice(45, 275))),
        (CountZone.parse("40,60,280,60,280,200,40,200"), (200, slice(45, 275))),
        (CountZone.parse("40,60,280,60,280,200,40,200"), (slice(70, 195), 280)),
    ],
    ids=["line", "lower edge of a zone", "right edge of a zone"],
)
def test_outline_and_counts_are_drawn(counter, edge):
    shapes = ((_HEIGHT, _WIDTH), (120, 160), (120, 160))
    planes = tuple(np.full(shape, 128, np.uint8) for shape in shapes)
    counter.place(_HEIGHT, _WIDTH)
    counter.draw(annotate.Yuv420(planes, annotate.BT709), {"some": 3, "others": 0})
    changed = planes[0] != 128
    assert changed[edge].all()
    # The tag.
    assert changed[10:199, 40:200].sum() > 1000
