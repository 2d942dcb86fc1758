from types import SimpleNamespace

import pytest

from roadmark.errors import UserError
from roadmark.inference import engine
from roadmark.manifest import EngineStamp

HELD = SimpleNamespace(
    engines=(
        EngineStamp("tensorflow", "raw", "fp32", {}),
        EngineStamp("onnxruntime", "onnx/model.onnx", "fp32", {"batch": "4"}),
    )
)


@pytest.mark.parametrize(
    ("choice", "flag"),
    [
        ({"engine": "caffe"}, "--engine"),
        ({"engine": "TensorRT"}, "--engine"),
        ({"device": "abacus"}, "--device"),
        ({"precision": "fp1"}, "--precision"),
    ],
)
def test_unknown_choice_is_refused_before_anything_is_loaded(tmp_path, choice, flag):
    with pytest.raises(UserError, match=f"^{flag}: found '{next(iter(choice.values()))}'"):
        engine.load(tmp_path, description=None, **choice)


@pytest.mark.parametrize(
    ("name", "precision", "cure"),
    [
        ("openvino", "auto", "export again with --format=openvino, or choose another engine"),
        ("openvino", "int8", "export again with --format=openvino --precision=int8, or choose "),
        ("openvino", "exported", "export again with --format=openvino, or choose another engine"),
        ("onnxruntime", "bf16", "choose another precision or engine"),
    ],
)
def test_a_file_that_the_export_lacks_is_named_with_a_cure(name, precision, cure):
    with pytest.raises(UserError) as caught:
        engine.stamp_of(HELD, name, precision)
    assert "the export holds tensorflow fp32, onnxruntime fp32; " in str(caught.value)
    assert caught.value.cure.startswith(cure)


@pytest.mark.parametrize(
    ("works", "own_why", "why"),
    [
        (("openvino",), "", "first of openvino > onnxruntime > tensorflow"),
        (
            ("openvino",),
            "bf16 because it can",
            "first of openvino > onnxruntime > tensorflow; bf16 because it can",
        ),
        (
            ("onnxruntime",),
            "fp32 as ever",
            "first of openvino > onnxruntime > tensorflow; openvino on the CPU does not work (no); "
            "fp32 as ever",
        ),
    ],
    ids=["the engine alone", "its precision too", "what was passed over, too"],
)
def test_auto_says_what_it_takes_and_why(monkeypatch, works, own_why, why):
    def load_and_try(name, folder, description, device, precision, threads):
        if name not in works:
            raise UserError("--engine", "no", "take another")
        return SimpleNamespace(name=name, why=own_why)

    monkeypatch.setattr(engine, "_load_and_try", load_and_try)
    openvino = EngineStamp("openvino", "raw", "fp32", {})
    held = SimpleNamespace(engines=(*HELD.engines, openvino))
    found = engine.load("export", held, device="cpu")
    assert (found.name, found.why) == (works[0], why)


def test_a_file_says_its_batch_size():
    sizes = [engine.batch_size(engine.stamp_of(HELD, one.engine, "auto")) for one in HELD.engines]
    assert sizes == [None, 4]
