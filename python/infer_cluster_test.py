"""//python:infer on a cluster: what one machine makes of each video, and mistakes."""

import json
import os
from pathlib import Path

import pytest

from roadmark.testing import app_process, bucket_server, clips

EXPORT = Path("tests/models/quickstart/export").resolve()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drives")
    for number, name in enumerate(("north/front.mp4", "south/front.mp4")):
        (folder / "in" / name).parent.mkdir(parents=True)
        clips.make(folder / "in" / name, frames=6 + number, sound="aac")
    (folder / "in" / "notes.mp4").write_text("not a video")
    return folder


def _run(folder, *arguments):
    return app_process.run(
        "infer", folder, f"--model={EXPORT}", "--score_threshold=0.05", *arguments
    )


@pytest.fixture(scope="module")
def answer(folder):
    return _run(folder, "--cluster=local", "--video=in", "--out=out")


def _without_times(path):
    found = json.loads(path.read_text())
    del found["info"]["speed"]
    return json.dumps(found)


def test_results_are_those_of_one_machine(folder, answer):
    assert answer.returncode == 2, answer.stdout + answer.stderr
    for name in ("north", "south"):
        alone = _run(folder, f"--video=in/{name}/front.mp4", f"--out=alone_{name}.mp4")
        assert alone.returncode == 0, alone.stderr
        ours, theirs = folder / "out" / name / "front.annotated.mp4", folder / f"alone_{name}.mp4"
        assert ours.read_bytes() == theirs.read_bytes()
        ours, theirs = ours.with_suffix(".json"), theirs.with_suffix(".json")
        assert _without_times(ours) == _without_times(theirs)
        assert (folder / "out" / name / "front.annotated.html").is_file()


def test_what_failed_is_named_and_the_rest_is_done(folder, answer):
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert "notes.mp4: is not a video" in line
    assert "north/front.mp4: 6 frames" in answer.stdout
    assert "out: 2 of 3 videos, 1 failed" in answer.stdout


def test_the_same_command_does_what_is_missing_alone(folder, answer):
    film = folder / "out" / "north" / "front.annotated.mp4"
    before = os.stat(film)
    clips.make(folder / "in" / "notes.mp4", frames=3)
    again = _run(folder, "--cluster=local", "--video=in", "--out=out")
    assert again.returncode == 0, again.stderr
    assert "2 of 3 videos are done: going on with the others" in again.stdout
    assert os.stat(film).st_mtime_ns == before.st_mtime_ns
    assert (folder / "out" / "notes.annotated.mp4").is_file()


@pytest.fixture
def bucket(folder, tmp_path, monkeypatch):
    """A bucket with two videos and the model, reached as a user's environment says."""
    with bucket_server.running() as found:
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("ROADMARK_CACHE", str(tmp_path / "cache"))
        films = {path: f"drives/{path.parent.name}/front.mp4" for path in _films(folder / "in")}
        files = [path for path in EXPORT.rglob("*") if path.is_file()]
        model = {path: f"export/{path.relative_to(EXPORT).as_posix()}" for path in files}
        for path, name in (films | model).items():
            found.files.pipe_file(f"{bucket_server.BUCKET}/{name}", path.read_bytes())
        yield found


def _films(folder):
    return sorted(folder.glob("*/front*.mp4"))


def test_from_bucket_to_bucket(folder, answer, bucket):
    """One video cannot be had at first; the same command does that one alone."""
    root, out = f"s3://{bucket_server.BUCKET}", f"{bucket_server.BUCKET}/annotated"
    places = (f"--video={root}/drives", f"--model={root}/export", f"--out={root}/annotated")
    gone = bucket_server.Fault("NoSuchKey", part="/drives/south/front.mp4", status=404)
    bucket.proxy.faults = [gone]
    first = _run(folder, "--cluster=local", *places)
    assert first.returncode == 2, first.stdout + first.stderr
    assert f"error: {root}/drives/south/front.mp4: has gone since" in first.stderr
    assert f"{root}/annotated: 1 of 2 videos, 1 failed" in first.stdout
    assert sorted(name.removeprefix(f"{out}/") for name in bucket.files.find(out)) == [
        ".finished/north/front.mp4.json",
        "north/front.annotated.html",
        "north/front.annotated.json",
        "north/front.annotated.mp4",
    ]

    again = _run(folder, "--cluster=local", *places)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "1 of 2 videos are done: going on with the others" in again.stdout
    puts = [path for how, path, _ in bucket.proxy.requests if how == "PUT"]
    assert len([path for path in puts if "north/front.annotated.mp4" in path]) == 1
    for here in _films(folder / "out"):
        name = here.relative_to(folder / "out").as_posix()
        assert bucket.files.cat_file(f"{out}/{name}") == here.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--video=in", "--cluster=127.0.0.1:1"], "--cluster=127.0.0.1:1: cannot be reached"),
        (["--video=none", "--cluster=local"], "none: no files"),
        (["--video=in", "--cluster=local", "--resume"], "--resume: found --cluster beside it"),
        (["--video=in", "--cluster=local", "--classes=cat"], "--classes: found 'cat'"),
        (["--video=in", "--cluster=local", "--classify=in"], "in: is no exported model"),
    ],
)
def test_mistake_is_one_line(folder, arguments, says):
    answer = _run(folder, *arguments, "--out=mistake")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert says in answer.stderr
