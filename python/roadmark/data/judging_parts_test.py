"""What a machine of a cluster refuses before it judges; //python:prepare_cluster_test judges."""

import pytest

from roadmark.data import judging_parts
from roadmark.data.source import SourceObject, Units, of_file
from roadmark.data.validation import Rules
from roadmark.errors import UserError


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"picture")
    thing = SourceObject((0, 0, 1, 1), "car", "line 1")
    return of_file(path, "a", "here", (thing,), units=Units.PIXELS, split=None, group="a")


@pytest.mark.parametrize("change", ["not seen", "another"])
def test_files_that_only_the_commands_machine_sees(tmp_path, picture, change):
    """Else each would be dropped as unreadable, and records written without it."""
    task = judging_parts._task([picture])
    if change == "not seen":
        picture.load.path.unlink()
    else:
        picture.load.path.write_bytes(b"other picture")
    work = judging_parts._make(Rules({"car": 1}, False), ())
    with pytest.raises(UserError, match=r"a\.png: is not what the command's machine sees there"):
        work(task, tmp_path)


def test_a_part_is_named_by_what_is_in_it(picture):
    before = judging_parts._task([picture])
    assert judging_parts._task([picture]) == before
    picture.load.path.write_bytes(b"other picture")
    after = judging_parts._task([picture])
    assert after.identity != before.identity


def test_a_picture_that_the_set_lacks_is_judged(tmp_path, picture):
    picture.load.path.unlink()
    task = judging_parts._task([picture])
    work = judging_parts._make(Rules({"car": 1}, False), ())
    assert work(task, tmp_path) == {"pictures": 1}
