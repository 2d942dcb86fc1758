"""What //python:evaluate answers to mistakes, before it loads TensorFlow."""

import pytest

from roadmark.testing import app_process, small_records

_CONFIG = """
model { ssd { num_classes: 1 } }
eval_input_reader { tf_record_input_reader { input_path: "data/none-*" } }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    run = folder / "runs" / "street"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "ckpt-7.index").touch()
    (run / "checkpoints" / "ckpt-7.data-00000-of-00001").touch()
    (run / "best.index").touch()
    (run / "label_map.pbtxt").write_text("item { id: 1 name: 'vehicle' }")
    (run / "pipeline.config").write_text(_CONFIG)
    (folder / "found.json").write_text('[{"image_id": 0, "category_id": 1}]')
    (folder / "empty.json").write_text("[]")
    small_records.write(folder / "records", 2, shards=1)
    (run / "export").mkdir()
    (run / "export" / "manifest.json").write_text('{"schema_version": 1, "weights_sha256": ""}')
    return folder


_RUN = "--model_dir=runs/street"
_EXPORT = "--model=runs/street/export"
_DETECTIONS = "--detections=found.json"
_EMPTY = "--detections=empty.json"
_ON_RECORDS = ("--eval_records=records/train-*", "--label_map=records/label_map.pbtxt")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "give --model_dir, --config, --model or --detections", id="nothing"),
        pytest.param(["--model_dir=none"], "none: no such run folder", id="no run"),
        pytest.param(["--config=none.config"], "runs/none: no such run folder", id="never trained"),
        pytest.param([_RUN, _EXPORT], "--model: found --model_dir beside it", id="both"),
        pytest.param(
            [_EXPORT, "--checkpoint=runs/street"],
            "--model: found --checkpoint beside it",
            id="an export and a checkpoint",
        ),
        pytest.param(
            [_RUN, "--engine=tensorflow"], "--engine: found it without --model", id="engine"
        ),
        pytest.param([_RUN, "--device=cpu"], "--device: found it without --model", id="device"),
        pytest.param(
            ["--model_dir=runs/street/export"], "is an exported model", id="an export for a run"
        ),
        pytest.param(
            [_RUN, "--checkpoint=runs/street/best"], "does not end with the", id="no step in a name"
        ),
        pytest.param([_RUN], "data/none-*", id="no records where the config says"),
        pytest.param([_RUN, "--eval_records=other-*"], "other-*", id="no records where told"),
        pytest.param([_EXPORT], "data/records/val-*", id="no records at the usual place"),
        pytest.param(
            [_DETECTIONS, _EXPORT], "--detections: found --model beside it", id="a model and a file"
        ),
        pytest.param([_DETECTIONS, "--device=cpu"], "found --device beside it", id="a device"),
        pytest.param([_DETECTIONS], "data/records/label_map.pbtxt", id="a file and no label map"),
        pytest.param(
            ["--detections=none.json", *_ON_RECORDS], "none.json: no such file", id="no file"
        ),
        pytest.param(
            [_DETECTIONS, *_ON_RECORDS], "detection 0: score: found None", id="no results"
        ),
        pytest.param(
            [_EMPTY, *_ON_RECORDS, "--group_by=("], "--group_by: not a regular", id="no expression"
        ),
        pytest.param([_DETECTIONS, "--corruptions=fog"], "found --corruptions", id="no pictures"),
        pytest.param([_RUN, "--corruptions=snow"], "found 'snow'", id="no corruption"),
        pytest.param(
            [_EXPORT, "--corruptions=fog", "--severities=9"], "found '9'", id="no severity"
        ),
        pytest.param(
            [_EMPTY, *_ON_RECORDS, "--mine_against=none.json"],
            "found it without --mine",
            id="against what",
        ),
        pytest.param([_RUN, "--eval_subset=-1"], "--eval_subset", id="a subset below nothing"),
    ],
)
def test_a_mistake_is_one_line_without_tensorflow_and_leaves_nothing(folder, arguments, says):
    before = sorted(folder.rglob("*"))
    answer = app_process.run("evaluate", folder, *arguments, python=["-X", "importtime"])
    lines = [line for line in answer.stderr.splitlines() if not line.startswith("import time:")]
    assert answer.returncode == 2
    assert answer.stdout.startswith("evaluating") or answer.stdout == ""
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert " roadmark.app\n" in answer.stderr
    assert " tensorflow\n" not in answer.stderr
    assert sorted(folder.rglob("*")) == before


def test_a_file_of_detections_needs_no_tensorflow(folder, tmp_path):
    answer = app_process.run(
        "evaluate",
        folder,
        _EMPTY,
        *_ON_RECORDS,
        f"--out={tmp_path}",
        python=["-X", "importtime"],
    )
    assert answer.returncode == 0, answer.stderr
    assert " tensorflow\n" not in answer.stderr
    assert "AP50 lost" in answer.stdout
    names = ["evaluation_detections.json", "report_detections.html"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_mining(folder, tmp_path):
    answer = app_process.run(
        "evaluate", folder, _EMPTY, *_ON_RECORDS, f"--out={tmp_path}", "--mine=1",
        "--mine_against=empty.json",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "mined 1 of 2 pictures: " in answer.stdout
    labels = tmp_path / "mined_detections" / "annotations" / "instances_labels.json"
    assert labels.is_file()
