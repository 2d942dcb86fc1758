"""Judging any classifier: what is written, and what is refused before it is asked anything."""

import json

import numpy as np
import pytest

from roadmark.classification import class_set, evaluation, predictions
from roadmark.classification.evaluation import Model
from roadmark.errors import UserError
from roadmark.testing import small_class_sets
from roadmark.testing.web_pages import Page


def _by_colour(batch: np.ndarray) -> np.ndarray:
    """Red is make 0 and blue make 1, as the sets are made, with a probability of 0.9."""
    is_red = batch[..., 0].mean(axis=(1, 2)) > batch[..., 2].mean(axis=(1, 2))
    return np.where(is_red[:, None], (0.9, 0.1), (0.1, 0.9)).astype(np.float32)


_MODEL = Model("colours", ("make 0", "make 1"), (32, 32), _by_colour)


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    return small_class_sets.write(tmp_path_factory.mktemp("set") / "cars")


def test_what_is_written(cars, tmp_path):
    judged = evaluation.evaluate(_MODEL, cars, "test", tmp_path / "out")
    assert (judged.scores.accuracy.right, judged.scores.accuracy.total) == (8, 8)
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert content["data_version"] == class_set.load(cars).data_version
    assert content["loss"] == pytest.approx(-np.log(0.9))
    assert content["cost"]["ms_per_image"] >= 0
    said = predictions.read(tmp_path / "out" / predictions.FILE)
    assert [one.true_probability for one in said] == pytest.approx([0.9] * 8)
    page = Page((tmp_path / "out" / "report.html").read_text(encoding="utf-8"))
    assert "colours on test" in page.text
    assert "Grad-CAM" not in page.text, "a model without maps"


@pytest.mark.parametrize(
    ("classes", "data", "out", "says"),
    [
        (3, "own", "out", "has 3 classes other than those of colours (2)"),
        (2, None, "out", "--data: missing, expected a class set"),
        (2, "own", None, "--out: missing, expected a folder"),
    ],
    ids=["other classes", "no class set", "no folder"],
)
def test_what_does_not_fit_is_refused(tmp_path, classes, data, out, says):
    folder = small_class_sets.write(tmp_path / "cars", classes=classes)
    with pytest.raises(UserError) as error:
        evaluation.evaluate(_MODEL, data and folder, "test", out and tmp_path / out)
    assert says in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such picture"),
        (b"<html>404</html>", "cannot be decoded"),
        (b"", "cannot be decoded"),
    ],
    ids=["missing", "no picture", "empty"],
)
def test_a_picture_that_cannot_be_read_is_named(tmp_path, content, says):
    path = tmp_path / "x.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as error:
        evaluation.predict(_MODEL, [path])
    assert str(error.value).startswith(str(path))
    assert says in str(error.value)
