"""Manifests of classifiers: what is written is read, what is damaged is named."""

import json

import pytest

from roadmark import locations
from roadmark.classification import manifest
from roadmark.classification.manifest import ClassifierManifest
from roadmark.errors import UserError

_MADE = ClassifierManifest(
    model="cars", input_name="pictures", height=48, width=72, output_name="probabilities",
    classes=("a", "b"), backbone="small_cnn", data_version="d", config_sha256="c",
    weights_sha256="w", epoch=3, largest_difference=1e-6,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / manifest.ONNX_FILE).write_bytes(b"graph")
    manifest.write(tmp_path, _MADE)
    return tmp_path


def _change(folder, **values):
    path = folder / locations.MANIFEST
    content = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: v for name, v in content.items() if v is not None}))


def test_what_is_written_is_read(folder):
    assert manifest.load(folder) == _MADE


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": None}, "is that of a detector, expected a classifier"),
        ({"schema_version": 7}, "found schema version 7, expected 1"),
        ({"classes": None}, "expected a whole manifest"),
        ({"files": None}, "expected a manifest"),
        ({"colour": "red"}, "expected a whole manifest"),
    ],
)
def test_a_damaged_manifest_is_named(folder, changes, says):
    _change(folder, **changes)
    with pytest.raises(UserError, match=says) as error:
        manifest.load(folder)
    assert "classify -- export" in str(error.value)


@pytest.mark.parametrize(("content", "says"), [(b"other", "altered"), (None, "missing")])
def test_an_altered_or_missing_file_is_named(folder, content, says):
    path = folder / manifest.ONNX_FILE
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"model\.onnx: {says}"):
        manifest.load(folder)


def test_no_manifest_is_one_line(tmp_path):
    with pytest.raises(UserError, match="expected an exported classifier"):
        manifest.load(tmp_path)


def test_of_a_run_its_export_is_named(tmp_path):
    (tmp_path / "export").mkdir()
    manifest.write(tmp_path / "export", _MADE)
    with pytest.raises(UserError, match=r"expected an exported classifier; give .*/export$"):
        manifest.load(tmp_path)
