"""Outputs in the memory of requests that are used again."""

import gc
from pathlib import Path

import numpy as np
import openvino
import pytest

from roadmark import manifest
from roadmark.errors import UserError
from roadmark.inference import fastest_precision
from roadmark.inference.openvino_engine import OpenVinoEngine

_EXPORT = Path("tests/models/quickstart/export")
_OUTPUT = "class_logits"
HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.fixture(scope="module")
def engine():
    return OpenVinoEngine.load(_EXPORT, manifest.load(_EXPORT), threads=1)


@pytest.fixture
def batches():
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, (2, 160, 256, 3)).astype(np.float32) for _ in range(3)]


def _run(engine, batch):
    return engine.result(engine.submit({"image": batch}))


def test_what_somebody_holds_is_not_written_over(engine, batches):
    first = _run(engine, batches[0])
    kept = first[_OUTPUT].copy()
    part = np.from_dlpack(first[_OUTPUT])[:1]  # As `Detector` takes it.
    del first
    for batch in batches[1:]:
        _run(engine, batch)
    assert np.array_equal(part, kept[:1])


def test_a_request_is_used_again_when_nobody_holds_its_outputs(engine, batches):
    _run(engine, batches[2])
    gc.collect()
    idle = len(engine._idle)
    held = _run(engine, batches[0])
    assert len(engine._idle) == idle - 1
    address = held[_OUTPUT].ctypes.data
    one = held.pop(_OUTPUT)
    del held
    assert len(engine._idle) == idle - 1
    del one
    assert len(engine._idle) == idle
    assert _run(engine, batches[1])[_OUTPUT].ctypes.data == address
    assert engine.spent.network > 0


@pytest.mark.parametrize("precision", ["auto", "exported"])
def test_a_processor_without_bf16_computes_in_fp32(monkeypatch, precision):
    monkeypatch.setattr(fastest_precision, "cpuinfo", lambda: "flags : avx2 avx512f\n")
    found = OpenVinoEngine.load(_EXPORT, manifest.load(_EXPORT), precision=precision, threads=1)
    assert found.precision == "fp32"
    said = "fp32 because this processor has neither amx_bf16 nor avx512_bf16"
    assert found.why == (said if precision == "auto" else "")


@pytest.mark.skipif(not HAS_BF16, reason="this processor does not compute bfloat16")
def test_auto_computes_in_bf16_and_exported_does_not(monkeypatch, engine):
    monkeypatch.setattr(fastest_precision, "cpuinfo", lambda: "flags : avx512_bf16\n")
    found = OpenVinoEngine.load(_EXPORT, manifest.load(_EXPORT), precision="auto", threads=1)
    said = "openvino, bf16, on the CPU: bf16 because this processor has avx512_bf16; "
    assert found.explained().startswith(said)
    assert str(engine) == "openvino, fp32, on the CPU"


def test_a_precision_of_tensorrt_alone_is_refused():
    with pytest.raises(UserError, match="--precision: found fp16, which openvino has not; use fp3"):
        OpenVinoEngine.load(_EXPORT, manifest.load(_EXPORT), precision="fp16")


def test_batches_under_way_have_outputs_of_their_own(engine, batches):
    handles = [engine.submit({"image": batch}) for batch in batches]
    together = [engine.result(handle)[_OUTPUT] for handle in reversed(handles)][::-1]
    alone = [_run(engine, batch)[_OUTPUT].copy() for batch in batches]
    assert all(np.array_equal(*pair) for pair in zip(together, alone, strict=True))
