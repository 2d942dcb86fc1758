"""Which exports in other sizes are made, and which are there; `exporter_test` makes such a one."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from roadmark import manifest
from roadmark.benchmark import latency, resized_models, timing
from roadmark.benchmark.resized_models import Model
from roadmark.benchmark.suite import Grid, Options
from roadmark.errors import UserError
from roadmark.odapi import pipeline_config

_CONFIGS = Path(__file__).parents[3] / "configs"
_RUN = Path("tests/models/quickstart")
_OWN, _SIZE = (160, 256), (96, 128)


@pytest.fixture
def model():
    folder = _RUN / "export"
    return Model("quickstart", folder, manifest.load(folder), is_untrained=False)


@pytest.fixture
def cache(tmp_path, model):
    """With an export in another size, as an earlier run has left it."""
    folder = tmp_path / "quickstart_at_96x128" / "export"
    shutil.copytree(model.folder, folder)
    config = pipeline_config.load(model.config)
    resizer = config.model.ssd.image_resizer.fixed_shape_resizer
    resizer.height, resizer.width = _SIZE
    pipeline_config.save(config, folder / "pipeline.config")
    spec = dataclasses.replace(model.description.input, height=96, width=128)
    config_sha256 = manifest.sha256(folder / "pipeline.config")
    made = dataclasses.replace(model.description, input=spec, config_sha256=config_sha256)
    manifest.write(folder, made)
    return tmp_path


def test_what_an_earlier_run_has_made_of_the_same_model_is_taken(model, cache):
    said = []
    assert resized_models.make(model, _OWN, cache, 1, said.append) == model.folder
    assert not said
    folder = cache / "quickstart_at_96x128" / "export"
    assert resized_models.make(model, _SIZE, cache, 1, said.append) == folder
    assert said == [f"{folder}: made by an earlier run"]


@pytest.mark.parametrize(
    "change",
    [
        {"weights_sha256": "of another training"},
        {"engines": (manifest.EngineStamp("onnxruntime", "onnx/model.onnx", "fp32", {}),)},
        {"config_sha256": "of other anchors"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_has_been_made_of_another_model_is_not(model, cache, change):
    folder = cache / "quickstart_at_96x128" / "export"
    config = folder / "pipeline.config"
    assert resized_models._is_current(folder, model, config)
    manifest.write(folder, dataclasses.replace(manifest.load(folder), **change))
    assert not resized_models._is_current(folder, model, config)


def test_the_suite_goes_over_resolutions_and_tells_what_cannot_be_made(model, cache, monkeypatch):
    """The process that exports is started, and refuses to replace what is no export."""
    monkeypatch.setattr(latency, "_CACHE", cache)
    notes = cache / "quickstart_at_64" / "export" / "notes.txt"
    notes.parent.mkdir(parents=True)
    notes.touch()
    grid = Grid(models=(model.folder,), resolutions=((64, 64), _SIZE, _OWN))
    options = Options(timing.QUICK, (1,), (), Path(), _CONFIGS, None, print, grid)
    measuring = latency._Suite(options, Path())
    found = [(one.name, one.description.input.height) for one in measuring.models()]
    assert found == [("quickstart_at_96x128", 96), ("quickstart", 160)]
    (failure,) = measuring.failures
    assert failure.startswith(f"quickstart at 64: UserError: {notes.parent}: holds other files")
    assert notes.exists()


def test_a_checkpoint_that_is_not_there_is_told_before_anything_is_made(model, tmp_path):
    folder = Path(shutil.copytree(model.folder, tmp_path / "export"))
    alone = dataclasses.replace(model, folder=folder)
    resized_models.check(model, [_OWN, _SIZE])
    resized_models.check(alone, [_OWN])
    with pytest.raises(UserError) as refused:
        resized_models.check(alone, [_OWN, _SIZE])
    assert refused.value.where == str(tmp_path / "checkpoints" / "ckpt-700")
    assert "leave out --resolutions" in refused.value.cure


@pytest.mark.parametrize(
    ("text", "size"), [("512", (512, 512)), ("320x512", (320, 512)), ("64x64", (64, 64))]
)
def test_a_size_is_read_and_shown(text, size):
    assert resized_models.parsed(text) == size
    assert resized_models.parsed(resized_models.shown(size)) == size


@pytest.mark.parametrize("text", ["", "big", "0", "-320", "320x", "320x0", "1x2x3", "3.5"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UserError, match=r"--resolutions: found .*; give sides as 320,512"):
        resized_models.parsed(text)


@pytest.mark.parametrize(
    ("config", "size", "says"),
    [
        ("ssd_mobilenet_v2_fpnlite_640", (300, 300), "height is 300, but the feature pyramid"),
        ("ssd_resnet50_fpn_640", (128, 128), "height is 128, but ssd_resnet50_v1_fpn"),
        ("effdet_d1", (320, 512), "found 320x512, which the keep_aspect_ratio_resizer of"),
    ],
    ids=["levels do not meet", "too small", "not square"],
)
def test_a_size_that_the_model_does_not_take_is_refused(config, size, says):
    path = _CONFIGS / f"{config}.config"
    with pytest.raises(UserError, match=says) as refused:
        resized_models.refuse_unfit(path, [(512, 512), size])
    assert refused.value.where == "--resolutions"
    assert str(path) in refused.value.problem
    assert "--set" not in str(refused.value)
    resized_models.refuse_unfit(path, [(512, 512), (640, 640)])
