"""The rules of docs/design.md that concern the whole tree: who may import whom, sizes, names."""

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path("WORKSPACE").resolve().parent
_PYTHON = _ROOT / "python"

# A package may import what stands on a lower layer, and itself.
_LAYERS = (
    (
        "app",
        "atomic",
        "cluster",
        "detections",
        "errors",
        "locations",
        "manifest",
        "ops",
        "progress",
        "storage",
        "tensorflow_logs",
    ),
    ("odapi",),
    ("data",),
    ("evaluation",),
    ("inference",),
    ("training", "export"),
    ("video", "classification", "comparison", "tuning"),
    ("serving",),
    ("demo", "doctor"),
    ("benchmark",),
)
_LAYER = {package: number for number, layer in enumerate(_LAYERS) for package in layer}
_TESTING = "testing"

_ONLY_ODAPI = {"object_detection", "official"}
_MAX_APP_LINES = 150
_TEXT_FLAGS = {"flags.DEFINE_string", "flags.DEFINE_multi_string", "flags.DEFINE_list"}
_PATHS = re.compile(r"\b(files?|folders?|globs?|records|runs?|checkpoints?|pictures?)\b", re.I)
# Its addresses are for the cloud's machines.
_HANDS_ON = "launch.py"
# Names and numbers; and the Python of an environment.
_NO_DATA = {
    "allow_urls",
    "batch_sizes",
    "best_by",
    "corruptions",
    "group_by",
    "only",
    "peers_python",
}
_NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc"}


def _sources():
    return [path for path in sorted(_PYTHON.rglob("*.py")) if "__pycache__" not in path.parts]


def _imports(tree):
    """Yields (line, module) of every absolute import, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the import from `roadmark` on"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _violations(path, source):
    """What is wrong with the imports of the file `path`, relative to python/."""
    inside = path.parts[0] == "roadmark"
    own = path.parts[1].removesuffix(".py").removesuffix("_test") if inside else None
    for line, module in _imports(ast.parse(source)):
        parts = module.split(".")
        where = f"python/{path}:{line}"
        if parts[0] in _ONLY_ODAPI and own != "odapi":
            yield f"{where}: only roadmark.odapi imports {parts[0]}"
        if parts[0] != "roadmark" or not inside:
            continue
        found = parts[1]
        if found == own or own == _TESTING:
            continue
        if found == _TESTING and path.name.endswith("_test.py"):
            continue
        unknown = {own, found} - _LAYER.keys()
        if unknown:
            yield f"{where}: {unknown} has no layer; give it one in layering_test.py"
        elif _LAYER[found] > _LAYER[own] or (_LAYER[found] == _LAYER[own] and _LAYER[own] > 0):
            yield f"{where}: {own} may not import {found}, which stands above or beside it"


@pytest.mark.parametrize(
    ("path", "source", "wrong"),
    [
        ("roadmark/data/a.py", "from roadmark.odapi import door", False),
        ("roadmark/data/a.py", "from roadmark.data import records", False),
        ("roadmark/data/a.py", "from roadmark.evaluation import coco", True),
        ("roadmark/data/a.py", "def f():\n    import roadmark.evaluation.coco", True),
        ("roadmark/export/a.py", "from roadmark.training import loop", True),
        ("roadmark/progress.py", "from roadmark import data", True),
        ("roadmark/progress.py", "from roadmark.errors import UserError", False),
        ("roadmark/data/a.py", "import object_detection.core", True),
        ("roadmark/odapi/a.py", "import object_detection.core", False),
        ("roadmark/data/a.py", "from roadmark.misc import a", True),
        ("roadmark/misc/a.py", "from roadmark.data import a", True),
        ("train.py", "from roadmark.training import loop", False),
        ("train.py", "from official import vision", True),
        ("roadmark/data/a.py", "from roadmark.testing import street_data", True),
        ("roadmark/data/a_test.py", "from roadmark.testing import street_data", False),
    ],
)
def test_the_check_itself_tells_right_from_wrong(path, source, wrong):
    assert bool(list(_violations(Path(path), source))) == wrong


def test_imports_go_one_way():
    assert _sources()
    violations = [
        line
        for path in _sources()
        for line in _violations(path.relative_to(_PYTHON), path.read_text())
    ]
    assert not violations, "\n".join(violations)


def test_apps_are_thin():
    sizes = {path.name: len(path.read_text().splitlines()) for path in _PYTHON.glob("*.py")}
    assert not {name: lines for name, lines in sizes.items() if lines > _MAX_APP_LINES}


def _flags_of_paths(source):
    """Yields (definer, name) of an app's flags whose help speaks of files or folders."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            text = " ".join(
                str(one.value) for one in node.args if isinstance(one, ast.Constant) and one.value
            )
            definer = f"{getattr(node.func.value, 'id', '')}.{node.func.attr}"
            if definer in _TEXT_FLAGS and _PATHS.search(text.partition(" ")[2]):
                yield definer, node.args[0].value


def test_flags_of_files_and_folders_take_buckets_too():
    """That is, they are defined by roadmark.storage.path_flags."""
    apps = {path.name: path.read_text() for path in _PYTHON.glob("*.py") if path.name != _HANDS_ON}
    found = {
        f"{app}: --{name}"
        for app, source in apps.items()
        for _, name in _flags_of_paths(source)
        if name not in _NO_DATA
    }
    assert not found
    example = 'flags.DEFINE_string("out", None, "Folder to write.")'
    assert list(_flags_of_paths(example)) == [("flags.DEFINE_string", "out")]


def test_file_names_say_what_is_inside():
    assert not [path for path in _sources() if path.stem in _NAMES_THAT_SAY_NOTHING]
