"""The lists of the conformance suite are complete, short and consistent."""

import importlib.util
from pathlib import Path

import conformance

_MOST_EXPECTED_FAILURES = 40


def test_every_test_module_of_the_od_api_is_found() -> None:
    root = Path(importlib.util.find_spec("object_detection").submodule_search_locations[0])
    files = [path for name in conformance.PACKAGES for path in (root / name).rglob("*_test.py")]
    modules = [".".join(path.relative_to(root).with_suffix("").parts) for path in files]
    assert conformance.discover() == sorted(modules)


def test_every_test_module_of_the_od_api_is_listed() -> None:
    assert sorted(row.module for row in conformance.rows()) == conformance.discover()


def test_both_suites_are_listed() -> None:
    assert {row.suite for row in conformance.rows()} == {"models", "rest"}


def test_expected_failures_are_few_and_belong_to_listed_modules() -> None:
    expected = conformance.expected_failures()
    assert len(expected) <= _MOST_EXPECTED_FAILURES
    for row in conformance.rows():
        named = [test for test in expected if test.startswith(f"{row.module}.")]
        assert len(named) == row.failed, row.module
    assert len(expected) == sum(row.failed for row in conformance.rows())
