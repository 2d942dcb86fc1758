"""Outputs in the memory of requests that are used again."""

import gc
from pathlib import Path

import numpy as np
import pytest

from roadmark import manifest
from roadmark.errors import UserError
from roadmark.inference.openvino_engine import OpenVinoEngine

_EXPORT = Path("tests/models/quickstart/export")
_OUTPUT = "class_logits"


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


def test_a_precision_of_tensorrt_alone_is_refused():
    with pytest.raises(UserError, match="--precision: found fp16, which openvino has not; use fp3"):
        OpenVinoEngine.load(_EXPORT, manifest.load(_EXPORT), precision="fp16")


def test_batches_under_way_have_outputs_of_their_own(engine, batches):
    handles = [engine.submit({"image": batch}) for batch in batches]
    together = [engine.result(handle)[_OUTPUT] for handle in reversed(handles)][::-1]
    alone = [_run(engine, batch)[_OUTPUT].copy() for batch in batches]
    assert all(np.array_equal(*pair) for pair in zip(together, alone, strict=True))
