"""The command as typed: exit codes, one-line errors, nothing left behind."""

import pytest

from roadmark.testing import app_process, pictures, small_records


def test_prepare_then_check(tmp_path):
    small_records.write(tmp_path / "old")
    made = app_process.run("prepare", tmp_path, "--from=tfrecord", "--input=old")
    assert made.returncode == 0, made.stderr
    assert "wrote data/records" in made.stdout
    assert "     1  vehicle" in made.stdout
    assert (tmp_path / "data/records/val-00000-of-00001.tfrecord").is_file()
    checked = app_process.run("prepare", tmp_path, "--check")
    assert (checked.returncode, checked.stdout) == (
        0,
        "2 files, 6 annotated pictures\nnothing wrong\n",
    )


def test_check_of_bad_records_ends_with_2(tmp_path):
    small_records.write(tmp_path)
    answer = app_process.run(
        "prepare", tmp_path, "--check", "--records=*.tfrecord", "--num_classes=1"
    )
    assert answer.returncode == 2
    assert "beyond_num_classes" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param([], "--input: not given", id="nothing-given"),
        pytest.param(
            ["--from=tfrecord", "--input=old", "--label_map=bad.pbtxt"], "id 1 is given", id="map"
        ),
        # sysfs takes no folders, whoever asks.
        pytest.param(
            ["--from=tfrecord", "--input=old", "--out=/sys/records"], "choose a ", id="out"
        ),
        pytest.param(
            ["--input=yolo", "--out=new", "--strict"], "faults, nothing written", id="strict"
        ),
        pytest.param(["--check", "--records=none*"], "no records match", id="glob"),
        pytest.param(["--check", "--input=old"], "name them with --records=", id="check-input"),
        pytest.param(["--from=synthetic", "--seed=-1"], "seed", id="seed"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, arguments, problem):
    small_records.write(tmp_path / "old")
    (tmp_path / "bad.pbtxt").write_text("item { id: 1 name: 'a' } item { id: 1 name: 'b' }")
    for number in range(3):
        pictures.write(tmp_path / f"yolo/{number}.jpg")
        (tmp_path / f"yolo/{number}.txt").write_text("0 0.5 0.5 2 2\n")
    (tmp_path / "yolo/data.yaml").write_text("names: [car]")
    answer = app_process.run("prepare", tmp_path, *arguments)
    said = [line for line in answer.stderr.splitlines() if not line.startswith("preparing: ")]
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert len(said) == 1
    assert said[0].startswith("error: ")
    assert problem in said[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.pbtxt", "old", "yolo"]
