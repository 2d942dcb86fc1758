"""The classifier's command: mistakes are one line and exit code 2, whatever the command."""

import shutil

import pytest

from roadmark.classification import runs
from roadmark.testing import app_process, small_class_sets


def _error(tmp_path, *arguments) -> str:
    answer = app_process.run("classify", tmp_path, *arguments)
    assert answer.returncode == 2, answer.stderr
    (line,) = [x for x in answer.stderr.splitlines() if x]
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fly"], "found 'fly'; give one of: train, evaluate, predict, export, tree"),
        (["train"], "--config: missing"),
        (["train", "--config=none.yml"], "none.yml: no such file"),
        (["train", "--config=c.yml"], "class_set.json: not found, expected a class set"),
        (["evaluate", "--model=none"], "none/experiment.json: not found"),
        (["export", "--model=none"], "none/experiment.json: not found"),
        (["predict", "--model=none", "--images=none"], "none: no pictures here"),
        (["tree", "--runs=none"], "none: no runs of classifiers here"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, arguments, says):
    small_class_sets.write_config(tmp_path / "c.yml", "cars")
    assert says in _error(tmp_path, *arguments)


def test_the_whole_way_from_training_to_labels(tmp_path):
    """Train, evaluate, export, predict, tree: as a user types them."""
    small_class_sets.write(tmp_path / "cars")
    small_class_sets.write_config(
        tmp_path / "c.yml", "cars", phases="[{epochs: 8, learning_rate: 0.003}]"
    )

    def run(*arguments) -> str:
        answer = app_process.run("classify", tmp_path, *arguments)
        assert answer.returncode == 0, answer.stderr
        assert "oneDNN" not in answer.stderr, "TensorFlow's start is heard"
        return answer.stdout

    assert "val_accuracy 1.0000" in run("train", "--config=c.yml")
    folder = tmp_path / runs.default_folder("c.yml")
    said = run("evaluate", f"--model={folder}", "--split=test")
    assert "top-1 accuracy 1.0000" in said
    assert "Where it looks" in (folder / "evaluation/test/report.html").read_text()
    run("export", f"--model={folder}")
    said = run(
        "predict", f"--model={folder}/export", "--images=cars/test", "--out=found.json"
    ).splitlines()
    assert len(said) == 8
    assert all(line.split(": ")[1].startswith(line.split("/")[2]) for line in said)
    assert "c  val 1.0000, test 1.0000, 8 epochs" in run("tree")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    said = _error(tmp_path, "predict", f"--model={folder}/export", "--images=broken.jpg")
    assert "broken.jpg: cannot be decoded" in said
    (folder / "export" / "model.onnx").write_bytes(b"")
    said = _error(tmp_path, "predict", f"--model={folder}/export", "--images=cars/test")
    assert "model.onnx: altered since the export" in said
    shutil.rmtree(folder)
