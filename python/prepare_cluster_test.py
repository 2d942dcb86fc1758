"""//python:prepare on a cluster: the records of one machine, byte for byte."""

from roadmark.testing import app_process

_SYNTHETIC = ("--from=synthetic", "--num_images=90")


def test_records_are_those_of_one_machine(tmp_path):
    for out, cluster in (("alone", ()), ("shared", ("--cluster=local",))):
        answer = app_process.run("prepare", tmp_path, *_SYNTHETIC, f"--out={out}", *cluster)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / out).iterdir()}
        for out in ("alone", "shared")
    ]
    assert len(contents[0]) >= 6
    assert contents[0] == contents[1]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["alone", "shared"]


def test_a_set_of_classes_is_refused(tmp_path):
    answer = app_process.run("prepare", tmp_path, "--from=synthetic_cars", "--cluster=local")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: --cluster: found a set of classes")
