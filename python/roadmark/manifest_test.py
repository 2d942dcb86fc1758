import dataclasses
import json

import pytest

from roadmark import manifest
from roadmark.errors import UserError
from roadmark.manifest import (
    BoxCoderSpec,
    EngineStamp,
    InputSpec,
    Manifest,
    NmsSpec,
    OutputSpec,
    PostprocessSpec,
)

EXAMPLE = Manifest(
    model="quickstart",
    input=InputSpec(
        name="image",
        height=192,
        width=192,
        resize=manifest.FIXED_SHAPE,
        min_dimension=0,
        max_dimension=0,
        mean=(127.5, 127.5, 127.5),
        scale=(1 / 127.5,) * 3,
        pad_value=(0.0, 0.0, 0.0),
        channel_order="RGB",
        layout="NHWC",
        dtype="float32",
        true_shapes_name="",
    ),
    outputs=(OutputSpec("class_logits", "Class logits.", (-1, 100, 4), "float32"),),
    postprocess=PostprocessSpec(
        architecture=manifest.ONE_STAGE,
        box_coder=BoxCoderSpec("faster_rcnn", (10.0, 10.0, 5.0, 5.0)),
        background_column=True,
        score_converter=manifest.SIGMOID,
        logit_scale=1.0,
        nms=NmsSpec(manifest.PER_CLASS, 1e-8, 0.6, 100, 100, 0.0),
        mask_threshold=0.5,
    ),
    label_map={"1": "vehicle", "4": "cyclist"},
    config_sha256="0" * 64,
    weights_sha256="1" * 64,
    step=400,
    engines=(EngineStamp("tensorflow", "raw", "fp32", {"tensorflow": "2.21.0"}),),
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "raw" / "variables").mkdir(parents=True)
    (tmp_path / "raw" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "raw" / "variables" / "data").write_bytes(b"weights")
    (tmp_path / "anchors.npy").write_bytes(b"anchors")
    manifest.write(tmp_path, EXAMPLE)
    return tmp_path


def edit(folder, change):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_what_is_written_is_read_back(folder):
    assert manifest.load(folder) == EXAMPLE
    assert EXAMPLE.names() == {1: "vehicle", 4: "cyclist"}


def test_a_loaded_manifest_can_be_written_again(folder):
    manifest.write(folder, dataclasses.replace(manifest.load(folder), step=500))
    assert manifest.load(folder).step == 500


def test_every_file_below_the_folder_is_listed_by_hash(folder):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert files == {
        name: manifest.sha256(folder / name)
        for name in ("anchors.npy", "raw/saved_model.pb", "raw/variables/data")
    }


def test_a_damaged_export_of_another_release_is_still_an_export(folder):
    edit(folder, lambda content: content.update(schema_version=99))
    (folder / "anchors.npy").unlink()
    assert manifest.is_export(folder)


def test_what_a_manifest_need_not_say(folder):
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    assert content["engines"][0].pop("making") == {}
    path.write_text(json.dumps(content))
    assert manifest.load(folder) == EXAMPLE


@pytest.fixture
def engine(folder):
    """An engine that is listed."""
    path = folder / "tensorrt/model_fp16.engine"
    path.parent.mkdir()
    path.write_bytes(b"code")
    stamp = EngineStamp("tensorrt", "tensorrt/model_fp16.engine", "fp16", {"gpu": "NVIDIA A10"})
    manifest.write(folder, dataclasses.replace(EXAMPLE, engines=(*EXAMPLE.engines, stamp)))
    return path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model_fp16.engine", "altered: found SHA-256"),
        ("model_int8.engine", "found a file that the manifest does not list"),
    ],
    ids=["altered", "from elsewhere"],
)
def test_an_engine_without_a_checksum_is_loaded_only_when_it_is_trusted(folder, engine, name, says):
    path = engine.with_name(name)
    path.write_bytes(b"other code")
    with pytest.raises(UserError) as refused:
        manifest.load(folder)
    message = str(refused.value)
    assert message.startswith(f"{path}: {says}")
    assert message.endswith("or load it all the same with --trust")
    assert "\n" not in message
    trusted = {one.path: one for one in manifest.load(folder, trust_engines=True).engines}
    stamp = trusted[f"tensorrt/{name}"]
    assert (stamp.engine, stamp.precision) == ("tensorrt", name[6:10])
    assert stamp.built_for == {manifest.TRUSTED: "yes"}
    listed = trusted["tensorrt/model_fp16.engine"].built_for
    assert (listed == stamp.built_for) == (path == engine)


@pytest.mark.parametrize("name", ["raw/saved_model.pb", "tensorrt/run.sh", "model_fp16.engine"])
def test_trust_is_for_engines_alone(folder, engine, name):
    (folder / name).write_bytes(b"something else")
    with pytest.raises(UserError, match=r"export the model again|move it out"):
        manifest.load(folder, trust_engines=True)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no manifest"),
        pytest.param('{"name": "A web app", "icons": []}', id="a manifest of other software"),
        pytest.param("[]", id="a list"),
        pytest.param("no JSON", id="no JSON"),
    ],
)
def test_other_folders_are_no_exports(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    assert not manifest.is_export(tmp_path)


@pytest.mark.parametrize(
    ("damage", "named", "says"),
    [
        pytest.param(
            lambda f: (f / "raw/variables/data").write_bytes(b"weightz"),
            "raw/variables/data",
            "altered: found SHA-256",
            id="one changed byte of one file",
        ),
        pytest.param(
            lambda f: (f / "anchors.npy").unlink(), "anchors.npy", "missing", id="a missing file"
        ),
        pytest.param(
            lambda f: (f / "raw/other.pb").write_bytes(b""),
            "raw/other.pb",
            "does not list",
            id="a file that does not belong",
        ),
        pytest.param(
            lambda f: (f / "manifest.json").unlink(),
            "manifest.json",
            "not found",
            id="no manifest",
        ),
        pytest.param(
            lambda f: (f / "manifest.json").write_text('{"schema'),
            "manifest.json",
            "expected JSON",
            id="a truncated manifest",
        ),
        pytest.param(
            lambda f: (f / "manifest.json").write_text("[1]"),
            "manifest.json",
            "found list, expected an object",
            id="a manifest that is no object",
        ),
        pytest.param(
            lambda f: edit(f, lambda c: c.update(schema_version=99)),
            "manifest.json",
            "found schema version 99, expected 1",
            id="a later schema",
        ),
        pytest.param(
            lambda f: edit(f, lambda c: c.pop("schema_version")),
            "manifest.json",
            "found schema version None",
            id="no schema version",
        ),
        pytest.param(
            lambda f: edit(f, lambda c: c.update(kind="classifier")),
            "manifest.json",
            "is that of a classifier, expected a detector",
            id="a classifier's",
        ),
        pytest.param(
            lambda f: edit(f, lambda c: c["input"].pop("mean")),
            "manifest.json",
            "missing fields mean",
            id="a missing field",
        ),
        pytest.param(
            lambda f: edit(f, lambda c: c["postprocess"]["nms"].update(max_total="many")),
            "manifest.json",
            "postprocess.nms.max_total: found 'many'",
            id="a field of another type",
        ),
        pytest.param(
            lambda f: edit(f, lambda c: c["input"].update(mean=[1.0, 2.0])),
            "manifest.json",
            "input.mean: found [1.0, 2.0]",
            id="a tuple of another length",
        ),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(folder, damage, named, says):
    damage(folder)
    with pytest.raises(UserError) as refused:
        manifest.load(folder)
    message = str(refused.value)
    assert message.startswith(str(folder / named))
    assert says in message
    assert "\n" not in message
