"""A suite of one operation, from inputs to rows: our box decoding against NumPy's."""

import dataclasses
import sys
from pathlib import Path

import pytest

from roadmark.benchmark import agreement, computer, inputs, suite, timing
from roadmark.benchmark.contender import contenders

CONTENDERS = "roadmark.benchmark.contenders"
OPERATION = suite.Operation(
    name="box decode",
    size="76,725",
    inputs=inputs.coding,
    ours=f"{CONTENDERS}.native:decoding",
    options={"scale_factors": [10.0, 10.0, 5.0, 5.0]},
    moved=1_000_000,
    moved_what="something",
    rivals=(
        suite.Rival(
            peer="NumPy",
            function=f"{CONTENDERS}.numpy_code:decoding",
            is_foreign=False,
            target=2.0,
            counted="both sides: everything",
            agree=agreement.close("boxes"),
        ),
    ),
)


def options_that_say(said):
    return suite.Options(
        effort=timing.Effort(rounds=2, least_rounds=1, sample_s=0.001, limit_s=1),
        threads=(1,),
        only=(),
        peers_python=Path(sys.executable),
        configs=Path("configs"),
        model=None,
        say=said.append,
    )


def test_rows_of_a_suite():
    said = []
    options = options_that_say(said)
    bandwidth = computer.Bandwidth({1: {2**10: 4e9, 2**30: 2e9}})
    with contenders(options.peers_python) as running:
        (row,), failures = suite.run("ops", [OPERATION], options, running, bandwidth)
    assert failures == []
    assert said == ["box decode, 76,725, against NumPy"]
    assert (row.suite, row.operation, row.threads, row.peer) == ("ops", "box decode", 1, "NumPy")
    assert row.ours > 0
    assert row.theirs > 0
    assert row.floor == 0.5, "a megabyte at 2 GB/s"
    assert float(row.agreement.split()[2]) < 1e-5


def test_a_row_that_fails_does_not_end_the_run():
    said = []
    options = options_that_say(said)
    unknown = dataclasses.replace(OPERATION.rivals[0], function=f"{CONTENDERS}.numpy_code:none")
    broken = dataclasses.replace(OPERATION, rivals=(unknown, *OPERATION.rivals))
    bandwidth = computer.Bandwidth({1: {2**30: 2e9}})
    with contenders(options.peers_python) as running:
        rows, failures = suite.run("ops", [broken], options, running, bandwidth)
    assert len(rows) == 1
    (failure,) = failures
    assert failure.startswith(f"box decode, 76,725, NumPy: {CONTENDERS}.numpy_code:none: Attribute")
    assert said[1] == f"FAILED: {failure}"


@pytest.mark.parametrize(
    ("only", "wants"), [((), True), (("nms", "decode"), True), (("nms",), False)], ids=str
)
def test_operations_are_chosen_by_a_part_of_their_name(only, wants):
    options = dataclasses.replace(options_that_say([]), only=only)
    assert options.wants("box decode") == wants


def test_a_copy_that_fits_a_cache_has_another_bandwidth():
    bandwidth = computer.Bandwidth({1: {1000: 8e9, 10**9: 2e9}})
    assert bandwidth.milliseconds(2000, 1) == 2000 / 8e9 * 1e3
    assert bandwidth.milliseconds(2001, 1) == 2001 / 2e9 * 1e3
    assert bandwidth.milliseconds(4 * 10**9, 1) == 2000.0
    assert bandwidth.of_memory() == {1: 2e9}
