import numpy as np
import pytest

from roadmark import manifest
from roadmark.inference import engine as engines
from roadmark.inference.detector import ANCHORS_FILE, Detector
from roadmark.manifest import (
    BoxCoderSpec,
    InputSpec,
    Manifest,
    NmsSpec,
    OutputSpec,
    PostprocessSpec,
)

_DESCRIPTION = Manifest(
    model="street",
    input=InputSpec(
        name="image",
        height=8,
        width=8,
        resize=manifest.FIXED_SHAPE,
        min_dimension=0,
        max_dimension=0,
        mean=(0.0,) * 3,
        scale=(1.0,) * 3,
        pad_value=(0.0,) * 3,
        channel_order="RGB",
        layout="NHWC",
        dtype="float32",
        true_shapes_name="",
    ),
    outputs=(OutputSpec("class_logits", "Class logits.", (-1, 2, 1), "float32"),),
    postprocess=PostprocessSpec(
        architecture=manifest.ONE_STAGE,
        box_coder=BoxCoderSpec("faster_rcnn", (10.0, 10.0, 5.0, 5.0)),
        background_column=False,
        score_converter=manifest.SIGMOID,
        logit_scale=1.0,
        nms=NmsSpec(manifest.PER_CLASS, 1e-8, 0.6, 100, 100, 0.0),
        mask_threshold=0.5,
    ),
    label_map={"1": "vehicle"},
    config_sha256="0" * 64,
    weights_sha256="1" * 64,
    step=7,
    engines=(),
)


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / ANCHORS_FILE, np.zeros((2, 4), np.float32))
    (tmp_path / "pipeline.config").write_text("model {}")
    manifest.write(tmp_path, _DESCRIPTION)
    return tmp_path


@pytest.mark.parametrize("given", [False, True], ids=["by its folder", "with its manifest"])
def test_every_file_is_hashed_once(folder, monkeypatch, given):
    hashed, handed_on = [], []
    original = manifest.sha256
    monkeypatch.setattr(manifest, "sha256", lambda path: hashed.append(path.name) or original(path))
    # The network itself takes TensorFlow; exporter_test loads a real one.
    monkeypatch.setattr(
        engines, "load", lambda folder, description, *_: handed_on.append(description)
    )
    description = manifest.load(folder) if given else None
    detector = Detector.load(folder, description=description)
    assert sorted(hashed) == [ANCHORS_FILE, "pipeline.config"]
    assert handed_on == [detector.manifest] == [_DESCRIPTION]
