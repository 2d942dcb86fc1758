import pytest

from roadmark.errors import UserError
from roadmark.video import timecode


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("90.5", 90.5), ("1:30", 90), ("0:01:30.25", 90.25), ("2:00:00", 7200)],
)
def test_times(text, seconds):
    assert timecode.seconds("--start", text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "1:75", "-5", "1:2:3:4", "nan", "inf", "1:", "1e400"])
def test_what_is_no_time_is_one_line(text):
    with pytest.raises(UserError, match=r"--end: found .*; give seconds, as 90, or a time"):
        timecode.seconds("--end", text)
