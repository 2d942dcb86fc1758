"""The stubs that editors read say what the extension has."""

import ast
from pathlib import Path

import pytest

from roadmark.ops import _native

STUBS = ast.parse((Path(__file__).parent / "_native.pyi").read_text()).body


def stub_parameters(function: ast.FunctionDef) -> list[str]:
    """Names in order, with a star before those that are given by keyword."""
    arguments = function.args
    keywords = ["*", *(one.arg for one in arguments.kwonlyargs)] if arguments.kwonlyargs else []
    return [one.arg for one in arguments.args] + keywords


def extension_parameters(function) -> list[str]:
    """The same, from the signature that pybind11 puts first in a docstring."""
    signature = function.__doc__.splitlines()[0]
    inside = signature[signature.index("(") + 1 : signature.rindex(") ->")]
    parts, depth = [""], 0
    for character in inside:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.split(":")[0].strip() for part in parts]


def members() -> dict[str, tuple[ast.FunctionDef, object]]:
    """The stub of each function and method, and what the extension has."""
    found = {}
    for node in STUBS:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node, getattr(_native, node.name, None)
        elif isinstance(node, ast.ClassDef):
            of_extension = getattr(_native, node.name, None)
            for method in filter(lambda one: isinstance(one, ast.FunctionDef), node.body):
                name = f"{node.name}.{method.name}"
                found[name] = method, getattr(of_extension, method.name, None)
    return found


@pytest.mark.parametrize(("stub", "function"), members().values(), ids=members())
def test_a_stub_has_the_parameters_of_its_function(stub, function):
    assert function is not None, "expected in the extension"
    assert stub_parameters(stub) == extension_parameters(function)


def test_everything_has_a_stub():
    named = {node.name for node in STUBS if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert {name for name in dir(_native) if not name.startswith("_")} == named
