import numpy as np
import openvino as ov
import openvino.opset13 as ops
import pytest

from roadmark import locations
from roadmark.inference import compiled_models

_OPTIONS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


class Compiling:
    """Compiles `y = 2 x`, and counts how often."""

    def __init__(self, core):
        self.count, self._core = 0, core

    def __call__(self):
        self.count += 1
        x = ops.parameter([-1, 4], np.float32, name="x")
        y = ops.multiply(x, np.float32([2]))
        y.output(0).set_names({"y"})
        return self._core.compile_model(ov.Model([y], [x], "twice"), "CPU", _OPTIONS)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/roadmark/openvino"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "export"
    made.mkdir()
    (made / locations.MANIFEST).write_text('{"files": {}}')
    return made


def load(folder, options=_OPTIONS):
    core = ov.Core()
    compiling = Compiling(core)
    model = compiled_models.load(core, folder, options, compiling)
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(model({0: x})[0], 2 * x)
    return compiling.count


def test_model_is_compiled_once(cache, folder):
    assert [load(folder), load(folder)] == [1, 0]
    assert len(list(cache.iterdir())) == 1


def test_another_model_or_other_options_are_compiled_again(cache, folder):
    load(folder)
    assert load(folder, {**_OPTIONS, "INFERENCE_NUM_THREADS": 1}) == 1
    (folder / locations.MANIFEST).write_text('{"files": {"raw/saved_model.pb": "0"}}')
    assert load(folder) == 1
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("where", [0, 40, -5], ids=["checksum", "head", "weights"])
def test_altered_file_is_not_used(cache, folder, where):
    load(folder)
    (blob,) = cache.iterdir()
    content = bytearray(blob.read_bytes())
    content[where] ^= 0xFF
    blob.write_bytes(content)
    assert [load(folder), load(folder)] == [1, 0]


def test_blob_that_openvino_refuses_is_made_anew(cache, folder):
    load(folder)
    (blob,) = cache.iterdir()
    compiled_models._write(blob, b"of another build")
    assert [load(folder), load(folder)] == [1, 0]


def test_cache_that_cannot_be_written_is_done_without(cache, folder):
    cache.parent.parent.mkdir()
    cache.parent.touch()
    assert [load(folder), load(folder)] == [1, 1]


def test_folder_without_a_manifest_is_not_cached(cache, folder):
    (folder / locations.MANIFEST).unlink()
    assert [load(folder), load(folder)] == [1, 1]
    assert not cache.exists()


def test_oldest_models_are_removed(cache, folder, monkeypatch):
    monkeypatch.setattr(compiled_models, "_KEPT", 2)
    for threads in (1, 2, 3):
        load(folder, {**_OPTIONS, "INFERENCE_NUM_THREADS": threads})
    assert len(list(cache.iterdir())) == 2
    assert load(folder, {**_OPTIONS, "INFERENCE_NUM_THREADS": 3}) == 0
