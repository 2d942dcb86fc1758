"""Classifiers side by side: who is better on the same pictures, and whether chance could do it."""

import io
import json

import pytest
from rich.console import Console

from roadmark.classification import comparing, comparison_report, predictions, runs
from roadmark.errors import UserError
from roadmark.evaluation import set_ups
from roadmark.testing import small_class_sets, web_pages
from roadmark.testing.web_pages import Page


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    small_class_sets.write(folder / "cars", classes=3)
    small_class_sets.write_run(folder / "<b>whole", folder / "cars", 0.25)
    small_class_sets.write_run(
        folder / "cropped", folder / "cars", 1.0, cropped=True, more=", label_smoothing: 0.1"
    )
    small_class_sets.write(folder / "two", classes=2)
    small_class_sets.write_run(folder / "other", folder / "two", 1.0)
    return folder


@pytest.fixture(scope="module")
def compared(root):
    return comparing.compare(*comparing.load([str(root / "<b>whole"), str(root / "cropped")]))


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        # Sums of binomial coefficients by hand: 2 (1 + 10) / 2^10, 2 / 2^6, and nothing to tell by.
        pytest.param([0] * 9 + [1] * 11, [1] * 9 + [0] + [1] * 10, 22 / 1024, id="nine to one"),
        pytest.param([0] * 6 + [1] * 4, [1] * 10, 2 / 64, id="six to none"),
        pytest.param([1, 0], [1, 0], 1.0, id="alike"),
    ],
)
def test_mcnemars_exact_test(first, second, p):
    found = comparing.paired(first, second, 0)
    assert found[3] == pytest.approx(p)
    value = (sum(second) - sum(first)) / len(first)
    assert found[0].low <= value <= found[0].high


def test_the_interval_is_that_of_the_binomial_difference():
    first, second = [0] * 300 + [1] * 700, [0] * 200 + [1] * 800
    interval, only_first, only_second, _ = comparing.paired(first, second, 0)
    assert (only_first, only_second) == (0, 100)
    # 0.1 and 1.96 times the root of 0.1 x 0.9 / 1000.
    assert interval.low == pytest.approx(0.1 - 0.0186, abs=0.002)
    assert interval.high == pytest.approx(0.1 + 0.0186, abs=0.002)


def test_figures_and_differences(compared):
    whole, cropped = compared.results
    assert (whole.accuracy.right, cropped.accuracy.right, compared.pictures) == (3, 12, 12)
    assert whole.run.train_seconds == 60
    assert whole.run.best.gap == pytest.approx(0.1)
    assert [(at, pytest.approx(value)) for at, value in whole.coverage][-1] == (1.0, 0.25)
    first = compared.differences[0]
    assert (first.metric, first.value, first.is_real) == ("top-1", 0.75, True)
    assert [one.path for one in compared.settings] == ["compile.label_smoothing"]
    assert compared.disagreeing == 9
    assert len(compared.disagreements) == 9
    assert "12 of the pictures are not the same file for all" in compared.notes[0]


def test_lists_of_mappings_are_told_apart_field_by_field():
    tree = {"phases": [{"epochs": 3}, {"epochs": 4}], "size": [224, 224]}
    assert set_ups.of_tree(tree, "") == {
        "phases.0.epochs": "3",
        "phases.1.epochs": "4",
        "size": "[224, 224]",
    }


def test_the_page(compared, tmp_path):
    comparison_report.write(compared, tmp_path / "c.html")
    text = (tmp_path / "c.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert all(reference.startswith("data:") for reference in page.references)
    assert "nan" not in page.text
    for shown in (
        "<b>whole", "top-5", "ms per picture", "McNemar", "compile.label_smoothing", "9 against 0",
        "real", "Where they disagree", "cropped: make 0 0.80, right", ".jpg is gone",
    ):  # fmt: skip
        assert shown in page.text
    assert web_pages.complaints(text, tmp_path) == []


def test_the_tables_and_the_json(compared, tmp_path):
    console = Console(file=io.StringIO(), width=200)
    comparison_report.print_tables(compared, console)
    said = console.file.getvalue()
    assert "cropped less <b>whole" in said
    assert "12 pictures of 3 classes, split test" in said
    comparison_report.write_json(compared, tmp_path / "c.json")
    content = json.loads((tmp_path / "c.json").read_text())
    assert content["runs"][1]["accuracy"]["right"] == 12
    assert content["differences"][0]["is_real"] is True
    assert content["disagreements"][0]["cropped"].endswith("0.80, right")


@pytest.mark.parametrize(
    ("names", "split", "says"),
    [
        (["cropped"], None, "cropped alone to compare"),
        (["cropped", "cropped"], None, "cropped is given twice"),
        (["cropped", "<b>whole"], "val", "predictions.csv: not found; make it with"),
        (["cropped", "none"], None, "none/experiment.json: not found"),
        (["cropped", "bad"], None, "predictions.csv:3: cannot be read"),
        (["cropped", "other"], None, "tells 2 classes apart, other than the 3"),
    ],
)
def test_a_mistake_is_named(root, names, split, says):
    if "bad" in names and not (root / "bad").exists():
        small_class_sets.write_run(root / "bad", root / "cars", 1.0)
        path = root / "bad" / runs.EVALUATIONS / "test" / predictions.FILE
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines[:2], "x,y,make 0,first,0.5", *lines[3:]]))
    with pytest.raises(UserError, match=says):
        given = [str(root / name) for name in names]
        comparing.compare(*comparing.load(given, split))
