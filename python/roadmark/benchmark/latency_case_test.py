"""What is said about samples."""

import numpy as np
import pytest

from roadmark.benchmark import latency_case
from roadmark.benchmark.latency_case import Case, Measured


def _measured(rounds, enqueue_ms=0.1, **parts):
    def samples(totals):
        row = {"pre": 1.0, "to_device": 0.0, "network": 8.0, "to_host": 0.0, "post": 1.0} | parts
        return np.array([[*row.values(), total] for total in totals])

    return Measured(
        Case("m", "openvino", "fp32", 2),
        [samples(totals) for totals in rounds],
        {"load_s": 1.0, "enqueue_ms": enqueue_ms},
        2.5,
        input_size=(320, 640),
    )


def test_what_a_run_of_samples_comes_to():
    found = _measured([[10, 10, 13], [9, 10, 11], [10, 12, 12]]).to_dict()
    assert found["round_medians_ms"] == [10, 10, 12]
    assert found["median_ms"] == 10
    assert found["min_ms"] == 9
    assert found["pictures_per_s"] == 200
    assert (found["samples"], found["samples_beyond"]) == (9, {"p90": 0, "p99": 0})
    assert found["outside_network"] == pytest.approx(0.25)
    assert found["parts_ms"]["total"] == found["median_ms"]
    total = found["split_ms"]["total"]
    assert (total["min"], total["median"], total["p90"]) == (9, 10, pytest.approx(12.2))
    assert found["split_ms"]["pre"] == {"min": 1, "median": 1, "p90": 1, "p99": 1}
    assert found["input_size"] == "320x640"


@pytest.mark.parametrize(
    ("measured", "says"),
    [
        (_measured([[10] * 60, [10.2] * 60]), ()),
        (_measured([[10] * 60, [12] * 60]), ("unsteady: the rounds' medians are 20% apart",)),
        (_measured([[10] * 60, [10] * 55 + [40] * 5]), ("uneven: p99 is 4.0 medians",)),
        (_measured([[10] * 100], to_host=9.0), ("bound by transfers",)),
        (_measured([[10] * 100], enqueue_ms=8.5), ("bound by enqueueing",)),
        (_measured([[10] * 100], post=9.0), ("bound by pre- and post-processing",)),
    ],
    ids=["quiet", "drifting", "with outliers", "copies", "enqueueing", "post-processing"],
)
def test_warnings(measured, says):
    found = latency_case.warnings(measured)
    assert len(found) == len(says)
    assert all(line.startswith(start) for line, start in zip(found, says, strict=True))


def test_the_pareto_line_leaves_out_who_is_slower_and_no_better():
    points = [(30, 0.4), (10, 0.2), (20, 0.2), (15, 0.3), (40, 0.35), (10, 0.1)]
    assert latency_case.pareto(points) == [(10, 0.2), (15, 0.3), (30, 0.4)]
