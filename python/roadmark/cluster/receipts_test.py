"""What is finished is known again, in a folder and in a bucket, and nothing else is."""

import dataclasses
import json

import pytest

from roadmark.cluster import outputs, receipts, sources
from roadmark.cluster.task import Task
from roadmark.errors import UserError
from roadmark.testing import bucket_server
from roadmark.testing.bucket_server import BUCKET

_TASK = Task("a/b.mp4", "anywhere", {"bytes": 3})
_RESULTS = {"a/b.json": "{}", "a/b.annotated.mp4": "film"}


@pytest.fixture(scope="module")
def server():
    with bucket_server.running() as found:
        yield found


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path, server, monkeypatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ROADMARK_CACHE", str(tmp_path / "cache"))
    given = str(tmp_path / "out") if request.param == "folder" else f"s3://{BUCKET}/{tmp_path.name}"
    return outputs.at(given, "command")


def _publish(place, results=_RESULTS, task=_TASK, settings="same"):
    with place.unfinished() as folder:
        for name, text in results.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        receipts.publish(place, task, settings, folder, {"frames": 7})
    place.clean()


def _finished(place, task=_TASK, settings="same"):
    return receipts.finished(place, [task], settings)


def test_a_receipt_says_what_was_made_of_what(place):
    place.check_writable()
    assert _finished(place) == {}
    _publish(place)
    assert _finished(place) == {"a/b.mp4": {"frames": 7}}
    assert receipts.finished_elsewhere(place, _TASK, "same") == {"frames": 7}
    assert set(place.sizes()) == {*_RESULTS, ".finished/a/b.mp4.json"}
    noted = json.loads(place.read(".finished/a/b.mp4.json"))
    assert noted["results"] == {"a/b.json": 2, "a/b.annotated.mp4": 4}


def test_another_source_or_other_settings_are_not_finished(place):
    _publish(place)
    assert _finished(place, dataclasses.replace(_TASK, identity={"bytes": 4})) == {}
    assert _finished(place, settings="other") == {}
    assert _finished(place) != {}


@pytest.mark.parametrize("change", ["gone", "shorter"])
def test_results_that_are_not_whole_are_made_again(place, change):
    _publish(place)
    place.remove("a/b.json") if change == "gone" else place.write("a/b.json", b"")
    assert _finished(place) == {}
    assert receipts.finished_elsewhere(place, _TASK, "same") is None


def test_a_receipt_that_someone_wrote_into_counts_for_nothing(place):
    _publish(place)
    place.write(".finished/a/b.mp4.json", b"{")
    assert _finished(place) == {}
    place.write(".finished/a/b.mp4.json", b"[]")
    assert _finished(place) == {}


def test_results_of_other_settings_go(place):
    _publish(place, {**_RESULTS, "a/b.gif": "moving"})
    _publish(place, _RESULTS, settings="other")
    assert set(place.sizes()) == {*_RESULTS, ".finished/a/b.mp4.json"}


def test_what_a_killed_process_left_is_removed_and_what_others_do_stays(tmp_path):
    ours, theirs = (outputs.at(str(tmp_path), name) for name in ("ours", "theirs"))
    with ours.unfinished() as left, theirs.unfinished() as used:
        (left / "part").write_text("x")
        (used / "part").write_text("x")
        ours.clean()
        assert not left.exists()
        assert (used / "part").exists()
        assert ours.sizes() == {}


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(UserError, match="out: a file, expected a folder"):
        outputs.at(str(tmp_path / "out"), "command").check_writable()


@pytest.mark.parametrize("url", [f"s3://{BUCKET}", f"s3://{BUCKET}/a*"])
def test_no_folder_in_a_bucket(url):
    with pytest.raises(UserError, match="is no folder in a bucket"):
        outputs.at(url, "command")


def test_files_and_folders_in_a_bucket(server, tmp_path, monkeypatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ROADMARK_CACHE", str(tmp_path / "cache"))
    root = f"{BUCKET}/drives"
    for name in ("a.mp4", "north/b.MP4", "north/notes.txt", "south/c.mp4"):
        server.files.pipe_file(f"{root}/{name}", name.encode())

    def names(given):
        return [task.name for task in sources.files(given, (".mp4",))]

    assert names(f"s3://{root}") == ["a.mp4", "north/b.MP4", "south/c.mp4"]
    assert names(f"s3://{root}/north/b.MP4") == ["b.MP4"]
    assert names(f"s3://{root}/**/*.mp4") == ["a.mp4", "south/c.mp4"]
    assert [task.name for task in sources.folders(f"s3://{root}")] == ["north", "south"]
    (before,) = sources.files(f"s3://{root}/a.mp4", (".mp4",))
    with sources.fetched(before.source) as path:
        assert path.read_text() == "a.mp4"
    server.files.pipe_file(f"{root}/a.mp4", b"other")
    (after,) = sources.files(f"s3://{root}/a.mp4", (".mp4",))
    assert before.identity != after.identity
