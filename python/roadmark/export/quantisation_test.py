import dataclasses
import shutil
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from roadmark import manifest
from roadmark.data import synthetic
from roadmark.errors import UserError
from roadmark.export import agreement, quantisation
from roadmark.export.quantisation import Plan, Quantised
from roadmark.inference.detector import Detector
from roadmark.manifest import EngineStamp
from roadmark.testing import small_records

RUN = Path("tests/models/quickstart")
RECORDS = RUN / "records"
PLAN = Plan(f"{RECORDS}/train-*", 12, f"{RECORDS}/val-*", 12, 10.0)


def _list(folder, *stamps):
    description = dataclasses.replace(manifest.load(RUN / "export"), engines=stamps)
    manifest.write(folder, description)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The quickstart's export with OpenVINO's own file of the raw SavedModel."""
    folder = shutil.copytree(RUN / "export", tmp_path_factory.mktemp("int8") / "export")
    (folder / "openvino").mkdir()
    ov.save_model(ov.Core().read_model(folder / "raw"), folder / "openvino/model.xml", False)
    _list(folder, EngineStamp("openvino", "openvino/model.xml", "fp32", {}))
    return folder


def test_int8_has_8_bits_and_finds_the_same(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "export")
    made = copy / "openvino/model_int8.xml"
    found = quantisation.quantise(copy, made, PLAN)
    assert (found.pictures, found.evaluated) == (12, 12)
    assert found.map_before > 0.1
    assert found.drop <= PLAN.max_map_drop
    operations = [one.get_type_name() for one in ov.Core().read_model(made).get_ops()]
    assert operations.count("FakeQuantize") > 50
    _list(
        copy,
        EngineStamp("openvino", "openvino/model.xml", "fp32", {}),
        EngineStamp("openvino", "openvino/model_int8.xml", "int8", {}),
    )
    scenes = [synthetic.render_scene(2, index).image for index in range(10)]
    exact, fast = (
        Detector.load(copy, engine="openvino", precision=precision)
        for precision in ("fp32", "int8")
    )
    assert str(fast.engine) == "openvino, int8, on the CPU"
    compared = agreement.between(exact, fast, scenes)
    assert compared.boxes >= 10
    assert compared.unmatched <= compared.boxes / 3


def _alike(image):
    """The picture with all its objects of the first class."""
    names = ("vehicle",) * len(image.class_ids)
    return dataclasses.replace(image, class_ids=np.ones_like(image.class_ids), class_names=names)


def _empty(image):
    """The picture without its objects."""
    return dataclasses.replace(
        image,
        boxes=image.boxes[:0],
        class_ids=image.class_ids[:0],
        class_names=(),
        is_crowd=image.is_crowd[:0],
        difficult=image.difficult[:0],
        areas=image.areas[:0],
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(None, "train-*: no records match", id="no records"),
        pytest.param(_empty, "found no object in 3 pictures, expected those of 3", id="no object"),
        pytest.param(_alike, "found objects of one class in 3 pictures, expected", id="one class"),
    ],
)
def test_calibration_on_nothing_of_use_is_refused(folder, tmp_path, change, says):
    if change:
        small_records.write(tmp_path, 3, shards=1, change=change)
    plan = dataclasses.replace(PLAN, calibration_records=f"{tmp_path}/train-*")
    with pytest.raises(UserError) as caught:
        quantisation.quantise(folder, tmp_path / "int8.xml", plan)
    assert says in str(caught.value)
    assert not (tmp_path / "int8.xml").exists()


def test_without_its_file_int8_is_refused(folder):
    with pytest.raises(UserError, match="found openvino in int8, the export holds openvino fp32"):
        Detector.load(folder, engine="openvino", precision="int8")


@pytest.mark.parametrize(("after", "refused"), [(0.395, False), (0.385, True), (0.41, False)])
def test_a_loss_beyond_the_bound_is_refused(after, refused):
    found = Quantised(pictures=12, evaluated=12, map_before=0.4, map_after=after)
    plan = dataclasses.replace(PLAN, max_map_drop=1.0)
    if not refused:
        quantisation.refuse_loss(found, plan)
        return
    with pytest.raises(UserError, match=r"--max_map_drop: int8 costs 1\.50 points of mAP, of 1 "):
        quantisation.refuse_loss(found, plan)
