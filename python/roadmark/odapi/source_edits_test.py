"""The edits against the installed sources."""

import importlib.util
import inspect
import sys
from pathlib import Path

import pytest

from roadmark.odapi import source_edits


def _sources() -> dict[str, str]:
    sources = {}
    for package in ("lvis", "object_detection", "tf_slim"):
        root = Path(importlib.util.find_spec(package).submodule_search_locations[0])
        for path in root.rglob("*.py"):
            module = ".".join((package, *path.relative_to(root).with_suffix("").parts))
            sources[module] = path.read_text(encoding="utf-8")
    return sources


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return _sources()


@pytest.mark.parametrize("edit", source_edits.EDITS, ids=lambda edit: edit.why)
def test_every_edit_is_needed_and_keeps_the_number_of_lines(edit, sources) -> None:
    edited = 0
    for module, source in sources.items():
        if edit.modules.fullmatch(module) and edit.old.search(source):
            edited += 1
            assert edit.old.sub(edit.new, source).count("\n") == source.count("\n")
    assert edited > 0, "nothing in the installed packages matches it: remove it"


def test_edited_sources_compile(sources) -> None:
    edited = {
        module: source_edits.apply(module, source)
        for module, source in sources.items()
        if source_edits.apply(module, source) != source
    }
    assert "object_detection.models.keras_models.resnet_v1" in edited
    for module, source in edited.items():
        compile(source, module, "exec", dont_inherit=True)


def test_functions_show_the_edited_source_which_autograph_reads(tmp_path, monkeypatch) -> None:
    (tmp_path / "eval.py").write_text("def kind():\n    return np.float\n")
    spec = source_edits._Finder().find_spec("lvis.eval", [str(tmp_path)])
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "lvis.eval", module)
    spec.loader.exec_module(module)
    assert module.kind() is float
    assert inspect.getsource(module.kind) == "def kind():\n    return float\n"


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        pytest.param(
            "object_detection.utils.metrics",
            "a.dtype != np.float and b.dtype == np.float32",
            "a.dtype != float and b.dtype == np.float32",
            id="np.float goes, np.float32 stays",
        ),
        pytest.param(
            "object_detection.utils.visualization_utils",
            "h = [font.getsize(ds)[1] for ds in all]",
            "h = [font.getbbox(ds)[2:][1] for ds in all]",
            id="width and height from the box of a text",
        ),
        pytest.param(
            "roadmark.data.example", "np.float", "np.float", id="other packages are left alone"
        ),
    ],
)
def test_apply(module: str, source: str, expected: str) -> None:
    assert source_edits.apply(module, source) == expected
