import dataclasses
import io
import json
import math

import pytest
from rich.console import Console

from roadmark.benchmark import report
from roadmark.benchmark.report import Report, Row

ROW = Row(
    suite="ops",
    operation="NMS",
    size="1,000 boxes",
    threads=2,
    device="cpu",
    peer="OpenCV batched",
    unit="ms",
    ours=0.5,
    theirs=4.0,
    target=5.0,
    floor=0.1,
    floor_basis="a copy of the boxes",
    counted="both sides: suppression",
    agreement="the same 58 boxes kept",
)
MACHINE = {"cpu": "Some CPU", "cores": 2, "versions": {"numpy": "2"}, "gpus": ["One"]}
FIXED_KEYS = (
    "suite operation size threads device peer unit ours theirs ratio floor target"  # docs/design.md
)


def of(*rows):
    return Report(MACHINE, rows)


def test_json_has_the_keys_that_the_design_fixes():
    read = json.loads(report.to_json(of(ROW)))
    assert read.keys() == {"machine", "rows"}
    assert read["machine"] == MACHINE
    assert set(FIXED_KEYS.split()) <= read["rows"][0].keys()
    assert read["rows"][0]["counted"] == "both sides: suppression"


def test_what_is_no_number_is_no_json():
    with pytest.raises(ValueError, match="JSON compliant"):
        report.to_json(of(dataclasses.replace(ROW, ours=math.nan)))


@pytest.mark.parametrize(
    ("ours", "theirs", "target", "ratio", "meets"),
    [
        (0.5, 4.0, 5.0, 8.0, True),
        (0.5, 2.5, 5.0, 5.0, True),
        (4.0, 0.5, 5.0, 0.125, False),
        (4.0, 0.5, None, 0.125, True),
    ],
    ids=["better", "just enough", "worse", "nothing promised"],
)
def test_a_ratio_above_one_means_that_we_are_better(ours, theirs, target, ratio, meets):
    row = dataclasses.replace(ROW, ours=ours, theirs=theirs, target=target)
    assert row.ratio == ratio
    assert row.meets_target == meets


def test_the_table_says_what_was_missed():
    missed = dataclasses.replace(ROW, peer="torchvision", theirs=0.25)
    unpromised = dataclasses.replace(ROW, peer="NumPy", target=None, floor=None)
    found = of(ROW, missed, unpromised)
    printed = io.StringIO()
    Console(file=printed, width=140).print(report.to_table(found))
    lines = printed.getvalue().splitlines()
    (good,), (bad,), (neither,) = (
        [line.split() for line in lines if name in line]
        for name in ("OpenCV", "torchvision", "NumPy")
    )
    assert good[-5:] == ["8.00x", "5x", "met", "0.100", "ms"]
    assert bad[-5:] == ["0.500x", "5x", "missed", "0.100", "ms"]
    assert neither[-3:] == ["4.00", "ms", "8.00x"]
    assert report.verdict(found) == "1 of 2 targets reached"


def test_rows_that_failed_are_told_everywhere():
    found = dataclasses.replace(of(ROW), failures=("NMS, 9 boxes, OpenCV: no such module",))
    assert report.verdict(found) == "1 of 1 targets reached; 1 rows FAILED"
    assert json.loads(report.to_json(found))["failures"] == list(found.failures)
    page = report.to_markdown(found, "bazel run it")
    assert "- FAILED: NMS, 9 boxes, OpenCV: no such module\n" in page


def test_markdown_holds_machine_command_figures_and_what_was_counted():
    page = report.to_markdown(of(ROW, dataclasses.replace(ROW, threads=1)), "bazel run it")
    assert page.startswith("# Benchmark: ops\n")
    assert "- cpu: Some CPU\n" in page
    assert "    bazel run it\n" in page
    assert "| NMS | 1,000 boxes | OpenCV batched | 2 | 0.500 ms | 4.00 ms | 8.00x |" in page
    assert page.count("Counted on both sides: suppression.") == 1
    assert page.count("the same 58 boxes kept") == 1
    assert page.count("a copy of the boxes") == 1
