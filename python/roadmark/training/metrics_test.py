"""metrics.csv goes on where a resumed run goes on."""

import pytest

from roadmark.errors import UserError
from roadmark.training import metrics
from roadmark.training.metrics import MetricsFile


def _write(path, steps, resumed_step, columns=("total_loss", "learning_rate")):
    file = MetricsFile(path, columns, resumed_step)
    for step in steps:
        file.write(step, dict.fromkeys(columns, step / 10))
    file.close()
    return [int(row["step"]) for row in metrics.read(path)]


def test_rows_beyond_the_resumed_step_are_done_again(tmp_path):
    path = tmp_path / "metrics.csv"
    assert _write(path, [2, 4, 6], resumed_step=0) == [2, 4, 6]
    assert _write(path, [6, 8], resumed_step=4) == [2, 4, 6, 8]
    assert metrics.read(path)[1] == {"step": "4", "total_loss": "0.4", "learning_rate": "0.4"}


def test_a_row_that_a_crash_cut_short_is_dropped(tmp_path):
    path = tmp_path / "metrics.csv"
    _write(path, [2, 4], resumed_step=0)
    path.write_text(path.read_text() + "6,0.")
    assert _write(path, [6], resumed_step=4) == [2, 4, 6]


def test_another_set_of_columns_keeps_what_it_can(tmp_path):
    path = tmp_path / "metrics.csv"
    _write(path, [2], resumed_step=0)
    _write(path, [4], resumed_step=2, columns=("total_loss", "gradient_norm"))
    assert metrics.read(path) == [
        {"step": "2", "total_loss": "0.2", "gradient_norm": ""},
        {"step": "4", "total_loss": "0.4", "gradient_norm": "0.4"},
    ]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"step,total_loss\nten,0.1\n", id="a step that is no number"),
        pytest.param(b"step,total_loss\n,0.1\n", id="no step"),
        pytest.param(b"loss\n0.1\n", id="no column of steps"),
        pytest.param(b"step,total_loss\n\xff,0.1\n", id="no text"),
    ],
)
def test_a_file_of_something_else_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"metrics\.csv: not the metrics of a run.*--restart"):
        MetricsFile(path, ["total_loss"], resumed_step=2)
    assert path.read_bytes() == content
