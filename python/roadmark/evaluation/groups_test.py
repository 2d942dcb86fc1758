import pytest

from roadmark.errors import UserError
from roadmark.evaluation import groups


@pytest.mark.parametrize(
    ("name", "drive"),
    [
        ("segment-1_0_with_camera_labels_0.tfrecord", "segment-1_0_with_camera_labels"),
        ("clip-7-000103.jpg", "clip-7"),
        ("night_frame12.png", "night"),
        ("street_12.rf.0a1b2c.jpg", "street"),
        ("2011_09_26/image_02/0000000012.png", "2011_09_26/image_02"),
        ("000012.png", "000012"),
        ("crossing.jpg", "crossing"),
    ],
)
def test_the_drive_that_a_name_tells(name, drive):
    assert groups.drive_of(name) == drive


@pytest.mark.parametrize(
    ("names", "expression", "expected"),
    [
        (["a_1.jpg", "a_2.jpg", "b_1.jpg"], None, (["a", "a", "b"], "drives")),
        (["1.jpg", "2.jpg"], None, (["0 1.jpg", "1 2.jpg"], "pictures")),
        (["a_1.jpg", "a_2.jpg"], None, (["0 a_1.jpg", "1 a_2.jpg"], "pictures")),
        (["a.jpg", "a.jpg"], None, (["0 a.jpg", "1 a.jpg"], "pictures")),
        (["x1y.jpg", "x2y.jpg"], r"x(\d)", (["1", "2"], "drives")),
    ],
    ids=["drives", "numbers alone", "one drive only", "one name twice", "told by the user"],
)
def test_group(names, expression, expected):
    assert groups.group(names, expression) == expected


@pytest.mark.parametrize("expression", ["(", "none"])
def test_an_expression_that_does_not_do(expression):
    with pytest.raises(UserError, match="--group_by"):
        groups.group(["a.jpg"], expression)


def test_numbers_follow_names():
    assert groups.numbered(["b", "a", "b"]).tolist() == [1, 0, 1]
    assert groups.numbered([]).tolist() == []
