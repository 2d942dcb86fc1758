import dataclasses
import os
import shutil
from pathlib import Path

import nncf
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as opset

from roadmark import manifest
from roadmark.data import synthetic
from roadmark.errors import UserError
from roadmark.export import agreement, exporter, int8_cache, quantisation, quantisation_process
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


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Of its own for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/roadmark/int8"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The quickstart's export with OpenVINO's own file of the raw SavedModel."""
    folder = shutil.copytree(RUN / "export", tmp_path_factory.mktemp("int8") / "export")
    (folder / "openvino").mkdir()
    ov.save_model(ov.Core().read_model(folder / "raw"), folder / "openvino/model.xml", False)
    _list(folder, EngineStamp("openvino", "openvino/model.xml", "fp32", {}))
    return folder


@pytest.fixture
def second(folder, tmp_path):
    """A later export of the same model: converters give its parts other names."""
    copy = shutil.copytree(folder, tmp_path / "export")
    model = ov.Core().read_model(folder / "openvino/model.xml")
    model.set_friendly_name("of another conversion")
    ov.save_model(model, copy / "openvino/model.xml", False)
    _list(copy, EngineStamp("openvino", "openvino/model.xml", "fp32", {}))
    return copy


def test_int8_has_8_bits_and_finds_the_same(folder, second, tmp_path, monkeypatch):
    """And a second export has the same network, without a calibration of its own."""
    made = tmp_path / "made.xml"
    found = quantisation.quantise(folder, made, PLAN)
    assert (found.pictures, found.evaluated, found.is_from_cache) == (12, 12, False)
    assert found.map_before > 0.1
    assert found.drop <= PLAN.max_map_drop
    operations = [one.get_type_name() for one in ov.Core().read_model(made).get_ops()]
    assert operations.count("FakeQuantize") > 50
    monkeypatch.setattr(quantisation, "_PROCESS", "roadmark.export.nothing_that_calibrates")
    with pytest.raises(UserError, match="cannot be quantised"):
        quantisation.quantise(second, made, dataclasses.replace(PLAN, pictures=11))
    description = manifest.load(second)
    description, taken = exporter._add_int8(second, description, PLAN, 0, "openvino")
    manifest.write(second, description)
    assert taken == dataclasses.replace(found, is_from_cache=True)
    assert "12 pictures by an earlier export" in str(taken)
    again = second / "openvino/model_int8.xml"
    assert [again.with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")] == [
        made.with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")
    ]
    scenes = [synthetic.render_scene(2, index).image for index in range(10)]
    exact, fast = (
        Detector.load(second, engine="openvino", precision=precision)
        for precision in ("fp32", "int8")
    )
    assert str(fast.engine) == "openvino, int8, on the CPU"
    compared = agreement.between(exact, fast, scenes)
    assert compared.boxes >= 10
    assert compared.unmatched <= compared.boxes / 3


@pytest.mark.parametrize(
    ("calibration", "least", "most"),
    [
        pytest.param("minmax", 25, 26, id="all that was seen"),
        pytest.param("percentile", 3, 5, id="one value in 16,384 is left out"),
        pytest.param("entropy", 2, 13, id="an outlier costs the others their levels"),
    ],
)
def test_the_range_of_a_tensor_by_each_calibration(calibration, least, most):
    pictures = np.random.default_rng(0).normal(0, 1, (4, 1, 1, 128, 128)).astype(np.float32)
    pictures[..., 64, 64] = 25.5
    x = opset.parameter([1, 1, 128, 128], np.float32)
    convolved = opset.convolution(
        x, np.ones((1, 1, 1, 1), np.float32), [1, 1], [0, 0], [0, 0], [1, 1]
    )
    parameters = nncf.AdvancedQuantizationParameters(
        activations_range_estimator_params=quantisation_process._ranges(calibration)
    )
    made = nncf.quantize(
        ov.Model([convolved], [x]),
        nncf.Dataset(list(pictures)),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        advanced_parameters=parameters,
    )
    (quantiser,) = [
        one
        for one in made.get_ops()
        if one.get_type_name() == "FakeQuantize"
        and one.input_value(0).get_node() == made.inputs[0].get_node()
    ]
    assert least <= quantiser.input_value(2).get_node().data.item() <= most


@pytest.fixture(scope="module")
def changed_model(folder, tmp_path_factory):
    """The same network with other anchors."""
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("changed") / "export")
    np.save(copy / "anchors.npy", np.load(copy / "anchors.npy") + np.float32(0.01))
    manifest.write(copy, manifest.load(folder))
    return copy


def test_the_key_is_of_the_network_the_records_and_the_plan(folder, changed_model, tmp_path):
    def key(model=folder, engine="openvino", **changes):
        plan = dataclasses.replace(PLAN, **changes)
        return int8_cache.key(quantisation._facts(model, plan, engine))

    for number, path in enumerate(sorted(RECORDS.glob("train-*"))):
        shutil.copyfile(path, tmp_path / f"moved-{number}")
    assert key(calibration_records=f"{tmp_path}/moved-*") == key()
    others = [
        key(changed_model),
        key(calibration_records=PLAN.eval_records),
        key(eval_records=PLAN.calibration_records),
        key(pictures=11),
        key(eval_subset=11),
        key(max_map_drop=9.0),
        key(calibration="entropy"),
    ]
    assert len({key(), *others}) == 1 + len(others)


@pytest.mark.parametrize("file", ["network.bin", "result.json"])
def test_what_is_kept_is_taken_only_when_it_is_whole(cache, tmp_path, file):
    out = tmp_path / "made.xml"
    for suffix in (".xml", ".bin"):
        out.with_suffix(suffix).write_text(f"of {suffix}")
    int8_cache.keep("key", out, {"pictures": 3})
    assert int8_cache.take("key", tmp_path / "taken.xml") == {"pictures": 3}
    assert (tmp_path / "taken.bin").read_text() == "of .bin"
    assert int8_cache.take("other", tmp_path / "none.xml") is None
    (cache / "key" / file).write_text("[")
    assert int8_cache.take("key", tmp_path / "none.xml") is None
    assert not (tmp_path / "none.xml").exists()


def test_the_oldest_networks_go(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(int8_cache, "_KEPT", 2)
    out = tmp_path / "made.onnx"
    out.write_text("a network")
    for number in range(3):
        int8_cache.keep(f"key{number}", out, {})
        os.utime(cache / f"key{number}", (number, number))
    int8_cache.keep("key3", out, {})
    assert sorted(path.name for path in cache.iterdir()) == ["key2", "key3"]


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
