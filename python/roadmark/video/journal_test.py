import json

import numpy as np
import pytest

from roadmark.detections import LABEL, LABEL_PROBABILITY, Detections
from roadmark.errors import UserError
from roadmark.video.journal import journal, load_interrupted

_JOB = {"video": "a.mp4", "model": "of today"}


def found(count, **more):
    boxes = np.linspace(0, 90, count * 4, dtype=np.float32).reshape(count, 4)
    return Detections(
        boxes, np.full(count, 0.123456, np.float32), np.arange(1, count + 1, dtype=np.int32), **more
    )


def interrupted(path, frames, job=_JOB):
    heard = []
    with (
        pytest.raises(KeyboardInterrupt),
        journal(path, job, keep=True, report=heard.append) as lines,
    ):
        for index, detections in frames.items():
            lines.add(index, index / 25, detections)
        raise KeyboardInterrupt
    return heard


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"track_ids": np.array([4, 9], np.int32)},
        {"masks": np.random.default_rng(0).random((2, 7, 5)) > 0.5},
    ],
    ids=["boxes", "tracks", "masks"],
)
def test_what_was_found_comes_back(tmp_path, more):
    interrupted(tmp_path / "a.jsonl", {0: found(2, **more), 3: Detections.empty()})
    assert names(tmp_path) == ["a.partial.jsonl"]
    known = load_interrupted(tmp_path / "a.jsonl", _JOB)
    assert sorted(known) == [0, 3]
    assert len(known[3]) == 0
    expected = found(2, **more)
    np.testing.assert_allclose(known[0].boxes, expected.boxes, atol=5e-4)
    np.testing.assert_allclose(known[0].scores, expected.scores, atol=1e-6)
    np.testing.assert_array_equal(known[0].classes, expected.classes)
    for name in more:
        np.testing.assert_array_equal(getattr(known[0], name), more[name])


def test_what_a_classifier_said_comes_back(tmp_path):
    said = {LABEL: np.array([7, 2], np.int32), LABEL_PROBABILITY: np.array([0.75, -1], np.float32)}
    interrupted(tmp_path / "a.jsonl", {0: found(2, attributes=said), 1: found(1)})
    known = load_interrupted(tmp_path / "a.jsonl", _JOB)
    assert known[1].attributes == {}
    assert sorted(known[0].attributes) == sorted(said)
    for name, values in said.items():
        np.testing.assert_array_equal(known[0].attributes[name], values)


def test_lines_are_in_the_file_while_it_is_written(tmp_path):
    with journal(tmp_path / "a.jsonl", _JOB, keep=True) as lines:
        lines.add(5, 0.2, found(1))
        written = (tmp_path / "a.partial.jsonl").read_text().splitlines()
    assert json.loads(written[0]) == {"job": _JOB}
    frame = json.loads(written[1])
    assert (frame["frame_index"], frame["time_s"], frame["classes"]) == (5, 0.2, [1])
    assert names(tmp_path) == ["a.jsonl"]


def test_line_that_a_kill_has_cut_off_is_left_out(tmp_path):
    heard = interrupted(tmp_path / "a.jsonl", {index: found(1) for index in range(3)})
    assert heard == ["the same command with --resume goes on after 3 frames"]
    partial = tmp_path / "a.partial.jsonl"
    partial.write_text(partial.read_text()[:-20])
    assert sorted(load_interrupted(tmp_path / "a.jsonl", _JOB)) == [0, 1]


def test_journal_that_is_not_wanted_is_gone_when_all_went_well(tmp_path):
    with journal(tmp_path / "a.jsonl", _JOB, keep=False) as lines:
        lines.add(0, 0.0, found(1))
    assert names(tmp_path) == []


def test_journal_without_frames_is_not_kept(tmp_path):
    assert interrupted(tmp_path / "a.jsonl", {}) == []
    assert names(tmp_path) == []


def test_journal_of_another_job_is_refused(tmp_path):
    interrupted(tmp_path / "a.jsonl", {0: found(1)})
    with pytest.raises(UserError, match="was made with model 'of today', this run has 'another'"):
        load_interrupted(tmp_path / "a.jsonl", {**_JOB, "model": "another"})


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "--resume: found no"), ("", "is not of an interrupted run"), ("{}", "is not of an")],
)
def test_nothing_to_go_on_with_is_one_line(tmp_path, content, says):
    if content is not None:
        (tmp_path / "a.partial.jsonl").write_text(content)
    with pytest.raises(UserError, match=says):
        load_interrupted(tmp_path / "a.jsonl", _JOB)
