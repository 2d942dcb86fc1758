"""metrics.csv goes on where a resumed run goes on."""

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
