"""Which files and folders a flag names, what they are called, and what tells them from others."""

import os

import pytest

from roadmark.cluster import sources
from roadmark.errors import UserError

_SUFFIXES = (".mp4", ".mov")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("a.mp4", "b/c.MOV", "b/d.txt", ".hidden/e.mp4", "f/a.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "names"),
    [
        pytest.param("in", ["a.mp4", "b/c.MOV", "f/a.mp4"], id="a folder, without what is hidden"),
        pytest.param("in/a.mp4", ["a.mp4"], id="a file"),
        pytest.param("in/*.mp4", ["a.mp4"], id="a pattern"),
        pytest.param("in/**/*.mp4", ["a.mp4", "f/a.mp4"], id="a pattern over folders"),
        pytest.param("in/b/*", ["c.MOV", "d.txt"], id="a pattern says all that it means"),
        pytest.param("in/a.mp4,in/b", ["a.mp4", "c.MOV"], id="several"),
        pytest.param("in/a.mp4,in/a.mp4", ["a.mp4"], id="twice the same"),
    ],
)
def test_files(folder, given, names):
    found = sources.files(given, _SUFFIXES)
    assert [task.name for task in found] == names
    assert all(os.path.isabs(task.source) and os.path.isfile(task.source) for task in found)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        pytest.param("in", ["b", "f"], id="those in a folder"),
        pytest.param("in/b", ["b"], id="a folder without any"),
        pytest.param("in/[bf]", ["b", "f"], id="a pattern"),
    ],
)
def test_folders(folder, given, names):
    assert [task.name for task in sources.folders(given)] == names


def test_another_content_is_another_source(folder):
    (before,) = sources.files("in/a.mp4", _SUFFIXES)
    (same,) = sources.files("in/a.mp4", _SUFFIXES)
    (folder / "in" / "a.mp4").write_text("other")
    (after,) = sources.files("in/a.mp4", _SUFFIXES)
    assert before.identity == same.identity != after.identity


def test_another_file_in_a_folder_is_another_source(folder):
    (before,) = sources.folders("in/b")
    (folder / "in" / "b" / "new.png").write_text("x")
    (after,) = sources.folders("in/b")
    assert before.identity != after.identity


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("none", "none: no files"),
        ("in/b/*.mp4", "no files"),
        ("in/a.mp4,in/f", "would both be written as a.mp4; name the folder that both are in"),
    ],
)
def test_mistakes(folder, given, says):
    with pytest.raises(UserError, match=says):
        sources.files(given, _SUFFIXES)


def test_no_folder(folder):
    with pytest.raises(UserError, match="none: no such folder"):
        sources.folders("none")
