"""Charts of runs: training beside validation, over the same steps."""

import math
import re

from roadmark.evaluation import history
from roadmark.evaluation.history import History

_TRAINING = [(step, {"total_loss": 3 - step / 10}) for step in range(1, 11)]


def _dots(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="(.*?)" cy="(.*?)"', text)]


def test_losses_and_precision_lie_over_the_same_steps():
    validation = [(4, {"total_loss": 2.8, "mAP": 0.1}), (8, {"total_loss": 2.5, "mAP": 0.2})]
    text = history.section([History("first", _TRAINING, validation)])
    (loss, _), (precision, _) = _dots(text)
    assert loss == precision
    # Step 8 of the 10 that training has, though validation ends there.
    assert loss < max(float(x) for x in re.findall(r"L([\d.]+) ", text))


def test_one_evaluation_stands_in_where_the_run_made_none():
    run = History("first", _TRAINING)
    (loss, _), (precision, _) = _dots(history.section([run.with_evaluation(10, 2.5, 0.2)]))
    assert loss == precision
    assert run.with_evaluation(None, math.nan, 0.2).validation == [(0, {})]
    evaluated = History("first", _TRAINING, [(10, {"mAP": 0.1})])
    assert evaluated.with_evaluation(10, 2.5, 0.2) == evaluated


def test_without_rows_a_sentence_says_so():
    assert "No run has a metrics.csv" in history.section([History("first")])
