import io
import json
import math

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from roadmark.evaluation import analysis, evaluation
from roadmark.evaluation.coco import CocoMetrics
from roadmark.evaluation.corruption import Corruption, Robustness
from roadmark.evaluation.evaluation import Evaluation
from roadmark.testing.marked_and_found import BOX, FAR, NAMES, picture

SUMMARY = dict.fromkeys(evaluation._TAGS, 0.5) | {"mAP": 0.25, "AP_small": math.nan}
PER_CLASS = {"vehicle": {"AP": 0.125, "AP50": 0.75, "AR100": math.nan, "objects": 7}}
EXAMPLE = Evaluation(
    model="runs/demo/checkpoints/ckpt-400",
    records="val-*",
    step=400,
    metrics=CocoMetrics(3, 7, {"bbox": SUMMARY, "segm": SUMMARY}, {"bbox": PER_CLASS}),
    losses={"total_loss": 1.5},
    robustness=[Robustness(Corruption("fog", 3), 0.125, 0.25)],
)


def test_json_holds_everything_and_null_for_undefined_metrics(tmp_path):
    path = tmp_path / "evaluation.json"
    evaluation.write_json(EXAMPLE, path)
    found = json.loads(path.read_text())
    assert found["step"] == 400
    assert found["losses"] == {"total_loss": 1.5}
    assert found["robustness"] == [
        {"corruption": {"kind": "fog", "severity": 3}, "mAP": 0.125, "AP50": 0.25}
    ]
    assert found["metrics"]["summary"]["segm"]["mAP"] == 0.25
    assert found["metrics"]["summary"]["bbox"]["AP_small"] is None
    assert found["metrics"]["per_class"]["bbox"]["vehicle"]["objects"] == 7


@pytest.fixture(scope="module")
def account():
    given = picture([(1, BOX), (1, FAR)], [(1, 0.75, BOX)])
    return analysis.analyse([given, given], NAMES, resamples=20)


def test_json_has_the_analysis_under_a_key_of_its_own(tmp_path, account):
    evaluation.write_json(EXAMPLE, tmp_path / "with.json", account)
    evaluation.write_json(EXAMPLE, tmp_path / "without.json")
    found = json.loads((tmp_path / "with.json").read_text())
    without = json.loads((tmp_path / "without.json").read_text())
    assert found["analysis"]["errors"]["counts"]["missed"] == 2
    assert found["analysis"]["curves"]["vehicle"]["best"]["threshold"] == 0.75
    assert found["analysis"]["curves"]["vehicle"]["precision"][100] is None
    assert {key: value for key, value in found.items() if key != "analysis"} == without


@pytest.mark.parametrize(
    "shown",
    [
        "mAP between 0.5050 and 0.5050 in 95% of 20 samples of 2 pictures",
        "│ vehicle    │    0.7500 │    1.0000 │ 0.5000 │ 0.6667 │",
        "│ cyclist    │         – │         – │      – │ 0.0000 │",
        "│ missed         │      2 │    0.4950 │",
    ],
)
def test_tables_of_the_analysis(account, shown):
    text = io.StringIO()
    evaluation.print_analysis(account, Console(file=text, width=120))
    assert shown in text.getvalue()


def test_tensorboard_reads_the_scalars_under_the_od_apis_names(tmp_path):
    evaluation.write_scalars(EXAMPLE, tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    expected = {
        "DetectionBoxes_Precision/mAP": 0.25,
        "DetectionMasks_Precision/mAP@.50IOU": 0.5,
        "DetectionBoxes_PerformanceByCategory/mAP/vehicle": 0.125,
        "total_loss": 1.5,
    }
    tags = events.Tags()["scalars"]
    assert "DetectionBoxes_Precision/mAP (small)" not in tags
    for tag, value in expected.items():
        (scalar,) = events.Scalars(tag)
        assert (scalar.step, scalar.value) == (400, value)


@pytest.mark.parametrize(
    "shown",
    [
        "runs/demo/checkpoints/ckpt-400, step 400: 3 pictures with 7 objects of val-*",
        "│ mAP       │ 0.2500 │ 0.2500 │",
        "│ AP_small  │      – │      – │",
        "│ vehicle │       7 │ 0.1250 │ 0.7500 │     – │",
        "│ total_loss │ 1.5000 │",
    ],
)
def test_tables(shown):
    text = io.StringIO()
    evaluation.print_tables(EXAMPLE, Console(file=text, width=120))
    assert shown in text.getvalue()
