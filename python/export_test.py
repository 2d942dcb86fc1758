"""What //python:export answers to mistakes, before it loads TensorFlow."""

from pathlib import Path

import pytest

from roadmark.testing import app_process

_CONFIG = """
model { ssd { num_classes: 1 } }
train_input_reader { label_map_path: "runs/street/label_map.pbtxt" }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    run = folder / "runs" / "street"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "ckpt-7.index").touch()
    (run / "checkpoints" / "ckpt-7.data-00000-of-00001").touch()
    (run / "label_map.pbtxt").write_text("item { id: 1 name: 'vehicle' }")
    (run / "pipeline.config").write_text(_CONFIG)
    (folder / "moved.config").write_text(_CONFIG)
    (folder / "afile").touch()
    for name in ("photos", "site"):
        (folder / name).mkdir()
        (folder / name / "precious.jpg").touch()
    (folder / "site" / "manifest.json").write_text('{"name": "a web app"}')
    export = folder / "exported"
    export.mkdir()
    (export / "manifest.json").write_text('{"schema_version": 1, "weights_sha256": ""}')
    (export / "notes.txt").touch()
    return folder


_RUN = "--model_dir=runs/street"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "give --model_dir or --config", id="no model"),
        pytest.param(["--model_dir=none"], "none: no such run folder", id="no run"),
        pytest.param(["--config=none.config"], "runs/none: no such run folder", id="never trained"),
        pytest.param(
            ["--config=moved.config", "--checkpoint=runs/street"],
            "--out: found no folder to write to",
            id="a checkpoint without a place for the export",
        ),
        pytest.param(
            [_RUN, "--checkpoint=runs/none"], "runs/none: no such checkpoint", id="no checkpoint"
        ),
        pytest.param(["--model_dir=exported"], "is an exported model", id="an export for a run"),
        pytest.param(
            [_RUN, "--format=onnx,caffe"],
            "--format: found 'caffe'; choose among saved_model, onnx, openvino, tensorrt, tflite, ",
            id="no such format",
        ),
        pytest.param(
            [_RUN, "--batch_size=4"],
            "--batch_size: found it with saved_model alone",
            id="a fixed batch of what has a free one",
        ),
        pytest.param(
            [_RUN, "--precision=int8"],
            "--precision: found int8, which only openvino and tensorrt have; add their --format",
            id="int8 of nothing",
        ),
        pytest.param(
            [_RUN, "--precision=int8", "--format=openvino"],
            "data/records/train-*: no records match",
            id="int8 without records",
        ),
        pytest.param(
            [_RUN, "--precision=fp16", "--format=onnx"],
            "--precision: found fp16, which tensorrt alone has; add its --format",
            id="fp16 of nothing",
        ),
        pytest.param(
            [_RUN, "--precision=fp16", "--format=tensorrt"],
            "--engine: found tensorrt, but this machine has no NVIDIA driver",
            id="no driver",
            marks=pytest.mark.skipif(
                Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA driver"
            ),
        ),
        pytest.param(
            ["--engines_of=exported"],
            "--engines_of: found no --format=tensorrt; add it",
            id="an engine of nothing",
        ),
        pytest.param([_RUN, "--out=afile"], "afile: Not a directory", id="out is a file"),
        pytest.param([_RUN, "--out=photos"], "photos: holds other files", id="out is the user's"),
        pytest.param(
            [_RUN, "--out=exported"], "exported/notes.txt: is no part", id="a file of the user's"
        ),
        pytest.param([_RUN, "--out=site"], "site: holds other files", id="another's manifest"),
        pytest.param([_RUN, "--out=runs/street"], "would replace", id="out is the run"),
        pytest.param([_RUN, "--out=runs"], "would replace", id="out contains the run"),
        pytest.param([_RUN, "--out=."], "would replace", id="out is the user's folder"),
        pytest.param(
            [_RUN, "--out=runs/street/checkpoints"], "would replace", id="out is the checkpoints"
        ),
        pytest.param(
            ["--config=moved.config", "--checkpoint=runs/street", "--out=runs/street"],
            "would replace",
            id="out is the checkpoint's run",
        ),
    ],
)
def test_a_mistake_is_one_line_without_tensorflow_and_leaves_all_as_it_was(folder, arguments, says):
    before = sorted(folder.rglob("*"))
    answer = app_process.run("export", folder, *arguments, python=["-X", "importtime"])
    lines = [line for line in answer.stderr.splitlines() if not line.startswith("import time:")]
    assert answer.returncode == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert " roadmark.app\n" in answer.stderr
    assert " tensorflow\n" not in answer.stderr
    assert sorted(folder.rglob("*")) == before
