"""Every test of a suite of the OD API's own does what is written down for it."""

import os

import conformance
import pytest

_ROWS = conformance.rows(os.environ["CONFORMANCE_SUITE"])
_EXPECTED = conformance.expected_failures()


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row.module)
def test_module(row: conformance.Row) -> None:
    outcome = conformance.run(row.module)
    expected = {test for test in _EXPECTED if test.startswith(f"{row.module}.")}
    new = [text for test, text in outcome.failed.items() if test not in expected]
    assert not new, "\n".join(new)
    assert set(outcome.failed) == expected, "these passed: strike them from expected_failures.txt"
    assert (len(outcome.passed), len(outcome.skipped)) == (row.passed, row.skipped)
