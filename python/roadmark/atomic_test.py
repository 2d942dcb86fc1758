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
