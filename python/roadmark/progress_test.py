import io

import pytest

from roadmark import progress
from roadmark.progress import State


def test_plain_lines_say_rate_and_count(capsys):
    with progress.track("training", 4, "steps", done=1) as meter:
        meter.advance(2, note="loss 0.5")
    line = capsys.readouterr().err.strip()
    assert line.startswith("training: 3/4 steps, ")
    assert " steps/s" in line
    assert line.endswith("loss 0.5")


def test_unknown_total_has_no_eta(capsys):
    with progress.track("frames", None, "frames") as meter:
        meter.advance()
    assert capsys.readouterr().err.startswith("frames: 1 frames, ")


def test_state_is_that_of_the_innermost_block():
    assert progress.state() is None
    with progress.track("training", 9, "steps", done=1) as outer:
        outer.advance(2)
        with progress.track("evaluating", None, "images"):
            assert str(progress.state()) == "evaluating: 0 images, 0.00 images/s"
        found = progress.state()
        assert (found.what, found.unit, found.done, found.total) == ("training", "steps", 3, 9)
        assert found.rate > 0
    assert progress.state() is None


def test_state_is_right_after_a_failure():
    with pytest.raises(OSError, match="gone"), progress.track("fetching", 1, "files"):
        raise OSError("gone")
    assert progress.state() is None


def _frames(done, total=100, unit="frames"):
    return State("annotating", unit, done, total, rate=2.5)


def test_parts_have_a_line_each(capsys):
    with progress.track("annotating", 3, "videos") as meter:
        meter.show_parts({"a.mp4": _frames(50), "b.mp4": _frames(7, None)})
        meter.show_parts({})
    assert capsys.readouterr().err.splitlines()[:2] == [
        "a.mp4: annotating: 50/100 frames, 2.50 frames/s, 20 s left",
        "b.mp4: annotating: 7 frames, 2.50 frames/s",
    ]


def test_many_parts_are_told_in_sums(capsys):
    parts = {f"{number}.mp4": _frames(number) for number in range(9)}
    with progress.track("annotating", 20, "videos") as meter:
        meter.show_parts({**parts, "new.mp4": _frames(0, 1, "files")})
        meter.show_parts({**parts, "endless.mp4": _frames(4, None)})
    assert capsys.readouterr().err.splitlines()[:-1] == [
        "in all: 9 under way: 36/900 frames, 22.50 frames/s, 38 s left",
        "in all: 1 under way: 0/1 files, 2.50 files/s, 0 s left",
        "in all: 10 under way: 40 frames, 25.00 frames/s",
    ]


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar_for_each_part_that_is_under_way(monkeypatch):
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress.track("annotating", 3, "videos") as meter:
        (display,) = progress._displays
        meter.show_parts({"a.mp4": _frames(0, 1, "files"), "b.mp4": _frames(7)})
        meter.advance()
        meter.show_parts({"a.mp4": _frames(50)})
        assert [(bar.description, bar.completed, bar.total) for bar in display.tasks] == [
            ("annotating", 1, 3),
            ("a.mp4", 50, 100),
        ]
    assert [bar.description for bar in display.tasks] == ["annotating"]
    assert "annotating" in terminal.getvalue()
