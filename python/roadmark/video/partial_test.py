import errno
import os

import pytest

from roadmark.errors import UserError
from roadmark.video.partial import partial_path, refusing_disk, whole_or_partial


@pytest.fixture
def heard():
    return []


def write(paths, heard, error=None):
    with refusing_disk(paths[0]), whole_or_partial(paths, heard.append) as temporary:
        for path in temporary:
            path.write_text("content")
        if error is not None:
            raise error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_success_gives_the_files_and_removes_old_parts(tmp_path, heard):
    paths = [tmp_path / "a.mp4", tmp_path / "a.json"]
    partial_path(paths[0]).write_text("old")
    write(paths, heard)
    assert names(tmp_path) == ["a.json", "a.mp4"]
    assert heard == []


@pytest.mark.parametrize(
    ("error", "notices"),
    [(KeyboardInterrupt(), 2), (SystemExit(143), 2), (UserError("x", "y", "z"), 0)],
    ids=["Ctrl-C", "SIGTERM", "an error that names the part itself"],
)
def test_interruption_keeps_the_parts_and_leaves_the_final_files_alone(
    tmp_path, heard, error, notices
):
    paths = [tmp_path / "a.mp4", tmp_path / "a.json"]
    paths[0].write_text("earlier")
    with pytest.raises(type(error)):
        write(paths, heard, error)
    assert names(tmp_path) == ["a.mp4", "a.partial.json", "a.partial.mp4"]
    assert paths[0].read_text() == "earlier"
    assert len(heard) == notices


def test_part_that_its_writer_removed_is_not_kept(tmp_path, heard):
    with (
        pytest.raises(KeyboardInterrupt),
        whole_or_partial([tmp_path / "a.mp4"], heard.append),
    ):
        raise KeyboardInterrupt
    assert names(tmp_path) == []
    assert heard == []


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path, heard):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(UserError, match=r"a\.mp4: cannot be written: No space left on device; .+"):
        write([tmp_path / "a.mp4", tmp_path / "a.json"], heard, error)
    assert names(tmp_path) == []


def test_folder_that_cannot_be_made_is_one_line(tmp_path, heard):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written: .*; choose another name"):
        write([tmp_path / "file" / "a.mp4"], heard)


def test_other_errors_stay_what_they_are(tmp_path, heard):
    with pytest.raises(OSError, match="no such library"):
        write([tmp_path / "a.mp4"], heard, OSError(errno.ENOENT, "no such library"))
    assert names(tmp_path) == []
