"""What //python:evaluate answers to mistakes, before it loads TensorFlow."""

import pytest

from roadmark.testing import app_process

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
    (run / "export").mkdir()
    (run / "export" / "manifest.json").write_text('{"schema_version": 1, "weights_sha256": ""}')
    return folder


_RUN = "--model_dir=runs/street"
_EXPORT = "--model=runs/street/export"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "give --model_dir, --config or --model", id="no model"),
        pytest.param(["--model_dir=none"], "none: no such run folder", id="no run"),
        pytest.param(["--config=none.config"], "runs/none: no such run folder", id="never trained"),
        pytest.param([_RUN, _EXPORT], "--model: found flags of a run beside it", id="both"),
        pytest.param(
            [_EXPORT, "--checkpoint=runs/street"], "not both", id="an export and a checkpoint"
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
        pytest.param([_RUN, "--eval_subset=-1"], "--eval_subset", id="a subset below nothing"),
    ],
)
def test_a_mistake_is_one_line_without_tensorflow_and_leaves_nothing(folder, arguments, says):
    before = sorted(folder.rglob("*"))
    answer = app_process.run("evaluate", folder, *arguments, python=["-X", "importtime"])
    lines = [line for line in answer.stderr.splitlines() if not line.startswith("import time:")]
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert " roadmark.app\n" in answer.stderr
    assert " tensorflow\n" not in answer.stderr
    assert sorted(folder.rglob("*")) == before
