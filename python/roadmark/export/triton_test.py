"""The repository's structure. `config.pbtxt` is parsed by the fields of Triton's `ModelConfig`."""

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from roadmark import manifest
from roadmark.data import synthetic
from roadmark.errors import UserError
from roadmark.export import detection_graphs, triton
from roadmark.inference.detector import Detector
from roadmark.manifest import TWO_STAGE

EXPORT = Path("tests/models/quickstart/export")
DESCRIPTION = dataclasses.replace(manifest.load(EXPORT), model="street")
PADDED = dataclasses.replace(
    DESCRIPTION, input=dataclasses.replace(DESCRIPTION.input, true_shapes_name="true_shapes")
)

FREE = """\
name: "street"
platform: "onnxruntime_onnx"
max_batch_size: 8
input { name: "image" data_type: TYPE_FP32 dims: [160, 256, 3] }
output { name: "box_encodings" data_type: TYPE_FP32 dims: [5112, 4] }
output { name: "class_logits" data_type: TYPE_FP32 dims: [5112, 4] }
dynamic_batching { max_queue_delay_microseconds: 2000 }
"""

# Of triton-inference-server/common, protobuf/model_config.proto: what is used here of it.
_FIELDS = {
    "Tensor": "name:string data_type:string dims:int64*",
    "Entry": "key:string value:string",
    "Step": "model_name:string model_version:int64 input_map:Entry* output_map:Entry*",
    "Scheduling": "step:Step*",
    "Batching": "max_queue_delay_microseconds:uint64",
    "ModelConfig": "name:string platform:string max_batch_size:int32 input:Tensor* output:Tensor* "
    "dynamic_batching:Batching ensemble_scheduling:Scheduling",
}
_SCALARS = {"string": 9, "int32": 5, "int64": 3, "uint64": 4}


@pytest.fixture(scope="module")
def model_config():
    """The message class; types of tensors are names, as in the text."""
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="t", syntax="proto2")
    for message, fields in _FIELDS.items():
        made = file.message_type.add(name=message)
        for number, field in enumerate(fields.split(), 1):
            name, kind = field.rstrip("*").split(":")
            type_name = "" if kind in _SCALARS else f".t.{kind}"
            made.field.add(
                name=name,
                number=number,
                label=3 if field.endswith("*") else 1,
                type=_SCALARS.get(kind, 11),
                type_name=type_name or None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.ModelConfig"))


@pytest.fixture
def parse(model_config):
    def parsed(text):
        for name in ("TYPE_FP32", "TYPE_INT32", "TYPE_UINT8"):
            text = text.replace(name, f'"{name}"')
        return text_format.Parse(text, model_config())

    return parsed


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


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"network")
    anchors = np.load(EXPORT / "anchors.npy")
    triton.write(tmp_path / "triton", tmp_path / "model.onnx", DESCRIPTION, 0, anchors)
    return tmp_path / "triton"


def test_repository(repository):
    files = sorted(
        path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()
    )
    assert files == [
        "street/1/model.onnx",
        "street/config.pbtxt",
        "street_pictures/1/README",
        "street_pictures/config.pbtxt",
        "street_postprocessing/1/model.onnx",
        "street_postprocessing/config.pbtxt",
        "street_preprocessing/1/model.onnx",
        "street_preprocessing/config.pbtxt",
    ]
    assert (repository / "street/config.pbtxt").read_text() == FREE
    assert (repository / "street/1/model.onnx").read_bytes() == b"network"


def test_the_steps_of_the_ensemble_fit_their_models_and_each_other(repository, parse):
    configs = {
        folder.name: parse((folder / "config.pbtxt").read_text()) for folder in repository.iterdir()
    }
    assert all(name == one.name for name, one in configs.items())
    ensemble = configs["street_pictures"]
    assert ensemble.platform == "ensemble"
    known = {one.name: one for one in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        model = configs[step.model_name]
        assert model.HasField("dynamic_batching")
        assert model.max_batch_size == ensemble.max_batch_size
        for tensors, maps in ((model.input, step.input_map), (model.output, step.output_map)):
            assert [one.name for one in tensors] == [one.key for one in maps]
        for entry, tensor in zip(step.input_map, model.input, strict=True):
            assert known[entry.value] == tensor
        known |= {
            entry.value: one for entry, one in zip(step.output_map, model.output, strict=True)
        }
    assert all(known[one.name] == one for one in ensemble.output)


def test_the_graphs_are_what_the_configs_say(repository, parse):
    names = {
        "TYPE_FP32": "tensor(float)",
        "TYPE_INT32": "tensor(int32)",
        "TYPE_UINT8": "tensor(uint8)",
    }
    for step in ("preprocessing", "postprocessing"):
        folder = repository / f"street_{step}"
        config = parse((folder / "config.pbtxt").read_text())
        session = ort.InferenceSession(folder / "1/model.onnx", providers=["CPUExecutionProvider"])
        for tensors, values in (
            (config.input, session.get_inputs()),
            (config.output, session.get_outputs()),
        ):
            found = {
                one.name: (one.type, [-1 if isinstance(size, str) else size for size in one.shape])
                for one in values
            }
            assert found == {one.name: (names[one.data_type], [-1, *one.dims]) for one in tensors}


def test_from_pictures_to_boxes_as_roadmark_does_it(repository):
    before, after = (
        ort.InferenceSession(
            repository / f"street_{step}/1/model.onnx", providers=["CPUExecutionProvider"]
        )
        for step in ("preprocessing", "postprocessing")
    )
    picture = synthetic.render_scene(2, 0).image
    image, window = before.run(None, {"pictures": picture[np.newaxis]})
    detector = Detector.load(EXPORT, "openvino", "cpu")
    raw = detector.engine.result(detector.engine.submit({"image": image}))
    raw = {name: np.array(value) for name, value in raw.items()}
    count, boxes, scores, classes = after.run(None, raw | {"window": window})
    (expected,) = detector.detect([picture])
    assert count.tolist() == [[len(expected)]]
    certain = expected.scores > 0.3
    assert certain.sum() >= 1
    np.testing.assert_allclose(scores[0, : len(expected)], expected.scores, atol=1e-3)
    np.testing.assert_array_equal(classes[0, : len(expected)][certain], expected.classes[certain])
    pixels = boxes[0, : len(expected)] * np.float32([*picture.shape[:2]] * 2)
    np.testing.assert_allclose(pixels[certain], expected.boxes[certain], atol=1)


def test_a_model_of_two_stages_has_the_network_alone(tmp_path):
    spec = dataclasses.replace(DESCRIPTION.postprocess, architecture=TWO_STAGE)
    (tmp_path / "model.onnx").write_bytes(b"network")
    description = dataclasses.replace(DESCRIPTION, postprocess=spec)
    triton.write(tmp_path / "triton", tmp_path / "model.onnx", description, 0)
    assert [one.name for one in (tmp_path / "triton").iterdir()] == ["street"]
    assert not detection_graphs.has_graphs(spec)


@pytest.mark.parametrize(("largest", "whole"), [(4, 4), (32, 8)])
def test_an_engine_takes_the_place_of_the_network(repository, tmp_path, parse, largest, whole):
    engine = tmp_path / "model_fp16.engine"
    engine.write_bytes(b"an engine")
    triton.write_plan(repository, engine, DESCRIPTION, 0, largest)
    config = parse((repository / "street/config.pbtxt").read_text())
    assert (config.platform, config.max_batch_size) == ("tensorrt_plan", largest)
    assert [one.name for one in config.output] == ["box_encodings", "class_logits"]
    assert [one.name for one in (repository / "street/1").iterdir()] == ["model.plan"]
    assert (repository / "street/1/model.plan").read_bytes() == b"an engine"
    ensemble = parse((repository / "street_pictures/config.pbtxt").read_text())
    assert ensemble.max_batch_size == whole


def test_an_engine_of_a_model_that_is_not_there_is_refused(repository, tmp_path):
    other = dataclasses.replace(DESCRIPTION, model="road")
    with pytest.raises(UserError, match="road: found no such model; export again with --format="):
        triton.write_plan(repository, tmp_path / "model_fp16.engine", other, 0, 4)
