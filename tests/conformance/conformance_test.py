"""Every test of a suite of the OD API's own does what is written down for it."""

import os

import conformance
import pytest

_ROWS = conformance.rows(os.environ["CONFORMANCE_SUITE"])
_EXPECTED = conformance.expected_failures()


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row.module)
def test_module(row: conformance.Row) -> None:
    differences = conformance.differences(row, conformance.run(row.module), _EXPECTED)
    assert not differences, "\n".join(differences)
