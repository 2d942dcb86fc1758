"""The report: what it shows of few and of many classes, and that it is a sound page."""

import numpy as np
import pytest

from roadmark.classification import class_set, report, scoring
from roadmark.classification.pictures import Pictures
from roadmark.classification.report import Looked
from roadmark.classification.runs import Epoch
from roadmark.testing import small_class_sets, web_pages
from roadmark.testing.web_pages import Page

_EPOCHS = [Epoch(1, 1, 0.5, 0.6, 0.9, 0.8, 3.0), Epoch(2, 2, 0.9, 0.7, 0.2, 0.5, 3.0)]


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return class_set.load(small_class_sets.write(tmp_path_factory.mktemp("set") / "cars"))


def _page(path, classes, probabilities, epochs=()) -> str:
    entries = classes.of("test")
    labels = np.array([entry.class_id for entry in entries])
    images = Pictures([classes.folder / entry.path for entry in entries], 32, 48)
    looked = Looked(
        classes.folder, entries, images, probabilities, {0: np.eye(4, dtype=np.float32)}
    )
    scores = scoring.score(probabilities, labels, classes.classes)
    report.write("<i>run", classes, "test", scores, looked, epochs, 1, path)
    return path.read_text(encoding="utf-8")


def test_the_page_shows_pairs_gap_and_where_it_looks(classes, tmp_path):
    # All eight pictures are taken for make 1: four of them rightly.
    probabilities = np.tile(np.float32([0.2, 0.8]), (8, 1))
    text = _page(tmp_path / "r.html", classes, probabilities, _EPOCHS)
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert all(reference.startswith("data:") for reference in page.references)
    for shown in (
        "<i>run on test", "1, the best", "Judged here are the weights of epoch 1", "-0.100",
        "+0.200", "make 0 taken for make 1: 4 of 4", "0.80 0.png",
        "for comparison: a true make 1", "Grad-CAM", "make 1: is make 0",
    ):  # fmt: skip
        assert shown in page.text, shown
    # Three mistakes, one for comparison, one with its map, in the shape of the pictures.
    assert page.tags.count("figure") == 5
    assert text.count('<img class="whole"') == 5
    assert web_pages.complaints(text, tmp_path) == []


def test_without_a_mistake_or_a_run_the_page_says_so(classes, tmp_path):
    probabilities = np.eye(2, dtype=np.float32)[[e.class_id for e in classes.of("test")]]
    page = Page(_page(tmp_path / "r.html", classes, probabilities))
    assert "every picture is right" in page.text
    assert "over-fits" not in page.text


def test_of_many_classes_the_matrix_is_a_picture_and_the_worst_come_first():
    count = 50
    labels = np.arange(count)
    guesses = np.where(labels == 3, 4, labels)
    probabilities = np.eye(count, dtype=np.float32)[guesses]
    scores = scoring.score(probabilities, labels, [f"make {n:02}" for n in labels])
    shown = report._confusion(scores)
    assert 'src="data:image/png' in shown
    assert "<td>make 03</td><td>make 04</td><td>1 of 1</td>" in shown
    by_class = report._classes(scores)
    assert "<summary>the other 30</summary>" in by_class
    assert by_class.count("<td>make ") == count
    picture = report.matrix_picture(scores.confusion)
    cell = picture.shape[0] // count
    middles = picture[cell // 2 :: cell, cell // 2 :: cell]
    assert middles[0, 0].tolist() == [0, 114, 178], "right"
    assert middles[3, 4].tolist() == [213, 94, 0], "a mistake"
    assert middles[0, 1].tolist() == middles[3, 3].tolist() == [255, 255, 255], "nothing"
