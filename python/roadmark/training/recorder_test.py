"""What is recorded of the steps between two rows."""

import math

import pytest

from roadmark.training import metrics
from roadmark.training.recorder import NotFiniteError, Recorder
from roadmark.training.run_folder import RunFolder


def _values(loss: float, rate: float = 0.1) -> dict[str, float]:
    return {"class_loss": loss / 2, "total_loss": loss, "learning_rate": rate}


def test_rows_average_the_steps_since_the_last_one(tmp_path):
    summaries = []
    with Recorder(RunFolder(tmp_path), lambda *row: summaries.append(row), step=10) as recorder:
        recorder.add(_values(1.0, rate=0.1), waited=0.2)
        recorder.add(_values(3.0, rate=0.2), waited=0.4)
        recorder.write(12)
        assert recorder.waiting() is None, "the input started in the first row"
        recorder.add(_values(5.0, rate=0.3), waited=0.0)
        recorder.write(13)
        assert recorder.last["total_loss"] == 5
        assert recorder.waiting() == 0
        recorder.add(_values(5.0), waited=1e6)
        recorder.write(14)
        assert recorder.waiting() > 1e6
    first, second, _ = metrics.read(tmp_path / "metrics.csv")
    assert (first["step"], first["total_loss"], first["class_loss"]) == ("12", "2", "1")
    assert (first["learning_rate"], first["data_wait_seconds"]) == ("0.2", "0.3")
    assert (second["step"], second["total_loss"]) == ("13", "5")
    assert [step for step, _ in summaries] == [12, 13, 14]


@pytest.mark.parametrize("bad", [math.nan, math.inf], ids=["nan", "infinite"])
def test_a_value_that_is_not_finite_is_named_with_its_step(tmp_path, bad):
    with Recorder(RunFolder(tmp_path), lambda *row: None, step=10) as recorder:
        for loss in (1.0, bad, 2.0):
            recorder.add(_values(loss), waited=0.0)
        with pytest.raises(NotFiniteError) as error:
            recorder.write(13)
    assert error.value.step == 12
    assert error.value.problem == (
        f"class_loss is {bad}, total_loss is {bad} (learning rate 0.1; the step before: "
        "class_loss 0.5, total_loss 1)"
    )
    assert metrics.read(tmp_path / "metrics.csv") == []
