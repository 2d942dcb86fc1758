"""The suite `evaluate`: what it times gives pycocotools' numbers."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from roadmark.benchmark import computer, evaluate, suite, timing
from roadmark.benchmark.contenders import coco_metrics


@pytest.mark.parametrize(("classes", "objects", "detections"), [(80, 7, 60), (3, 33, 100)])
def test_both_sides_agree_to_a_millionth(classes, objects, detections):
    arrays = evaluate.pictures(40, classes, objects, detections)
    options = {"pictures": 40, "classes": classes, "height": 480, "width": 640}
    ours, theirs = (
        read(call())["metrics"]
        for call, read in (
            coco_metrics.ours(arrays, options, 1),
            coco_metrics.pycocotools(arrays, options, 1),
        )
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    # The comparison must bear on something.
    assert 0.1 < ours[0] < 0.9


def test_a_run_gives_a_row_for_each_operation_wanted(monkeypatch):
    monkeypatch.setattr(evaluate, "_PICTURES", 8)
    monkeypatch.setattr(computer, "_COPIED_ALTOGETHER", 2**20)
    options = suite.Options(
        effort=timing.Effort(rounds=1, least_rounds=1, sample_s=0.001, limit_s=1),
        threads=(1, 2),
        only=(),
        peers_python=Path(sys.executable),
        configs=Path("configs"),
        model=None,
        say=print,
    )
    found = evaluate.run(options)
    assert [row.operation for row in found.rows] == ["COCO metrics"] * 2
    assert {row.threads for row in found.rows} == {1}
    assert found.failures == ()
    assert "pycocotools" in found.machine["versions"]
    nothing = evaluate.run(dataclasses.replace(options, only=("no such",)))
    assert nothing.rows == ()


def test_every_picture_has_what_the_size_says():
    arrays = evaluate.pictures(6, 3, 5, 9)
    assert arrays["truth"].shape == (30, 6)
    assert arrays["found"].shape == (54, 7)
    np.testing.assert_array_equal(np.bincount(arrays["found"][:, 0].astype(int)), [9] * 6)
    assert (arrays["found"][:, 4:6] > arrays["found"][:, 2:4]).all()


def test_operations_have_the_promised_target():
    assert {rival.target for one in evaluate.operations() for rival in one.rivals} == {2.5}
