"""What differs from the lists is found, on made-up tests."""

import unittest
from collections.abc import Callable

import conformance
import pytest

_ROW = conformance.Row("core.box_test", "models", passed=1, failed=1, skipped=1, seconds=0)
_EXPECTED = {
    "core.box_test.BoxTest.test_area": "a reason",
    "core.box_list_test.BoxTest.test_area": "of another module",
}


def _passes(test: unittest.TestCase) -> None:
    pass


def _fails(test: unittest.TestCase) -> None:
    test.fail("made up")


def _breaks(test: unittest.TestCase) -> None:
    raise ZeroDivisionError("made up")


def _fails_in_part(test: unittest.TestCase) -> None:
    for number in range(2):
        with test.subTest(number=number):
            assert number == 0, "made up"


def _skips(test: unittest.TestCase) -> None:
    test.skipTest("made up")


def _differences(methods: dict[str, Callable]) -> list[str]:
    """First lines of what is found after running a class of these methods."""
    module = {"__module__": f"object_detection.{_ROW.module}"}
    kind = type("BoxTest", (unittest.TestCase,), methods | module)
    outcome = conformance.collect(unittest.defaultTestLoader.loadTestsFromTestCase(kind))
    found = conformance.differences(_ROW, outcome, _EXPECTED)
    return [text.splitlines()[0] for text in found]


_KNOWN = {"test_area": _fails, "test_center": _passes, "test_flip": _skips}

_NEW_FAILURE = ["core.box_test.BoxTest.test_scale fails:"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param({}, [], id="all as known"),
        pytest.param({"test_scale": _fails}, _NEW_FAILURE, id="a new failure"),
        pytest.param({"test_scale": _breaks}, _NEW_FAILURE, id="a new error"),
        pytest.param({"test_scale": _fails_in_part}, _NEW_FAILURE, id="one part of a test fails"),
        pytest.param(
            {"test_area": _passes},
            [
                "core.box_test.BoxTest.test_area passes: strike it from expected_failures.txt",
                "core.box_test: 2 passed, not 1",
            ],
            id="an unexpected pass",
        ),
        pytest.param(
            {"test_area": _skips},
            [
                "core.box_test.BoxTest.test_area is an expected failure and was not run",
                "core.box_test: 2 skipped, not 1",
            ],
            id="an expected failure is skipped",
        ),
        pytest.param(
            {"test_area": None},
            ["core.box_test.BoxTest.test_area is an expected failure and was not run"],
            id="an expected failure is gone",
        ),
        pytest.param(
            {"test_scale": _skips}, ["core.box_test: 2 skipped, not 1"], id="one skip more"
        ),
        pytest.param({"test_flip": None}, ["core.box_test: 0 skipped, not 1"], id="one skip less"),
        pytest.param(
            {"test_flip": _passes},
            ["core.box_test: 0 skipped, not 1", "core.box_test: 2 passed, not 1"],
            id="a skip became a pass",
        ),
        pytest.param({"test_center": None}, ["core.box_test: 0 passed, not 1"], id="one pass less"),
    ],
)
def test_differences(change: dict[str, Callable | None], found: list[str]) -> None:
    methods = {name: method for name, method in (_KNOWN | change).items() if method}
    assert _differences(methods) == found


def test_a_class_whose_set_up_fails_is_a_failure() -> None:
    found = _differences(_KNOWN | {"setUpClass": classmethod(_breaks)})
    assert any(text.startswith("unittest.suite._ErrorHolder.setUpClass") for text in found)


def test_a_new_failure_shows_its_traceback() -> None:
    failed = {"core.box_test.BoxTest.test_area": "Traceback"}
    outcome = conformance.Outcome(["test_center"], failed, {"test_flip": "made up"})
    found = conformance.differences(_ROW, outcome, {})
    assert found == ["core.box_test.BoxTest.test_area fails:\nTraceback"]
