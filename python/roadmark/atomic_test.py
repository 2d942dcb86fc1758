import os

import pytest

from roadmark.atomic import atomic_folder, atomic_path, write_text


def test_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "a.tar.gz"
    with atomic_path(path) as temporary:
        assert temporary.name.endswith(".tar.gz")
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["a.tar.gz"]


def test_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_folder_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "export"
    for name in ("old", "new"):
        with atomic_folder(path) as temporary:
            (temporary / name).write_text(name)
    assert os.listdir(path) == ["new"]
    assert os.listdir(tmp_path) == ["export"]


def test_failed_folder_keeps_the_old_one(tmp_path):
    path = tmp_path / "export"
    with atomic_folder(path) as temporary:
        (temporary / "old").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(path) as temporary:
        (temporary / "half").write_text("half")
        raise RuntimeError
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["export"]


@pytest.mark.parametrize("error", [OSError(5, "broken"), SystemExit(143)], ids=["disk", "SIGTERM"])
@pytest.mark.parametrize("failing", [1, 2], ids=["taking the old away", "putting the new there"])
def test_the_old_folder_survives_a_failed_swap(tmp_path, monkeypatch, error, failing):
    path = tmp_path / "export"
    path.mkdir()
    (path / "old").touch()
    calls = []

    def replace(source, target):
        calls.append(source)
        if len(calls) == failing:
            raise error
        original(source, target)

    original = os.replace
    with pytest.raises(type(error)), atomic_folder(path) as temporary:
        (temporary / "new").touch()
        monkeypatch.setattr(os, "replace", replace)
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["export"]


def test_a_stop_after_the_swap_leaves_only_the_new_folder(tmp_path, monkeypatch):
    path = tmp_path / "export"
    path.mkdir()
    original = os.replace

    def replace(source, target):
        original(source, target)
        if target == path:
            raise SystemExit(143)

    with pytest.raises(SystemExit), atomic_folder(path) as temporary:
        (temporary / "new").touch()
        monkeypatch.setattr(os, "replace", replace)
    assert os.listdir(path) == ["new"]
    assert os.listdir(tmp_path) == ["export"]


def test_a_file_in_the_place_of_a_folder_stays(tmp_path):
    path = tmp_path / "export"
    path.write_text("mine")
    with pytest.raises(NotADirectoryError, match="export"), atomic_folder(path):
        raise AssertionError("entered")
    assert path.read_text() == "mine"
    assert os.listdir(tmp_path) == ["export"]
