"""Every generated module of the OD API loads, without TensorFlow and by the ordinary import too."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from roadmark.odapi import protos

_FOLDER = Path(importlib.util.find_spec("object_detection").origin).parent / "protos"
_NAMES = sorted(path.name.removesuffix("_pb2.py") for path in _FOLDER.glob("*_pb2.py"))


def test_all_generated_modules_are_found() -> None:
    assert len(_NAMES) > 30


@pytest.mark.parametrize("name", _NAMES)
def test_loads_with_every_message_and_enum_of_its_descriptor(name: str) -> None:
    module = protos.load(name)
    assert module.DESCRIPTOR.name == f"object_detection/protos/{name}.proto"
    names = set(vars(module))
    assert set(module.DESCRIPTOR.message_types_by_name) <= names
    assert set(module.DESCRIPTOR.enum_types_by_name) <= names


def test_ordinary_import_gives_the_same_module() -> None:
    module = protos.load("pipeline")
    assert importlib.import_module("object_detection.protos.pipeline_pb2") is module


def test_messages_survive_the_wire() -> None:
    pipeline = protos.load("pipeline").TrainEvalPipelineConfig()
    pipeline.model.ssd.num_classes = 3
    copy = type(pipeline).FromString(pipeline.SerializeToString())
    assert copy.model.WhichOneof("model") == "ssd"
    assert copy.model.ssd.num_classes == 3


def test_a_module_that_does_not_exist_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_pb2"):
        protos.load("no_such")


def test_configs_and_label_maps_import_neither_tensorflow_nor_numpy() -> None:
    code = (
        "import sys; from roadmark.odapi import label_map, pipeline_config;"
        "print([name for name in ('tensorflow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
