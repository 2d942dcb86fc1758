import dataclasses
from pathlib import Path

import pytest

from roadmark import manifest
from roadmark.export import triton

DESCRIPTION = manifest.load(Path("tests/models/quickstart/export"))
PADDED = dataclasses.replace(
    DESCRIPTION, input=dataclasses.replace(DESCRIPTION.input, true_shapes_name="true_shapes")
)

FREE = """\
name: "quickstart_model"
platform: "onnxruntime_onnx"
max_batch_size: 8
input { name: "image" data_type: TYPE_FP32 dims: [160, 256, 3] }
output { name: "box_encodings" data_type: TYPE_FP32 dims: [5112, 4] }
output { name: "class_logits" data_type: TYPE_FP32 dims: [5112, 4] }
dynamic_batching { max_queue_delay_microseconds: 2000 }
"""


@pytest.mark.parametrize(
    ("description", "batch_size", "has", "lacks"),
    [
        pytest.param(
            DESCRIPTION,
            4,
            ["max_batch_size: 0", "dims: [4, 160, 256, 3]", "dims: [4, 5112, 4]"],
            ["dynamic_batching"],
            id="a fixed batch is part of the sizes",
        ),
        pytest.param(
            PADDED,
            0,
            ['input { name: "true_shapes" data_type: TYPE_INT32 dims: [3] }'],
            [],
            id="sizes inside the padding",
        ),
    ],
)
def test_config(description, batch_size, has, lacks):
    text = triton.config(description, batch_size)
    assert all(one in text for one in has)
    assert not any(one in text for one in lacks)


def test_repository(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"network")
    description = dataclasses.replace(DESCRIPTION, model="quickstart_model")
    triton.write(tmp_path / "triton", tmp_path / "model.onnx", description, 0)
    folder = tmp_path / "triton/quickstart_model"
    assert (folder / "config.pbtxt").read_text() == FREE
    assert (folder / "1/model.onnx").read_bytes() == b"network"
    assert sorted(path.name for path in folder.rglob("*")) == ["1", "config.pbtxt", "model.onnx"]
