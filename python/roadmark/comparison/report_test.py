"""The report and the tables of a comparison."""

import io
import json
import re

import pytest
from rich.console import Console

from roadmark.comparison import comparing, report, runs, table
from roadmark.evaluation import records
from roadmark.odapi.label_map import LabelMap
from roadmark.testing import small_records, small_runs, web_pages
from roadmark.testing.web_pages import Page

LABELS = LabelMap.of(small_records.NAMES)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    small_runs.write_records(folder, 6)
    small_runs.write(folder, "<b>good", 0.9)
    small_runs.write(folder, "bad", 0.2, fog=0.5)
    (folder / "list.json").write_text(
        '[{"image_id": "0", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]'
    )
    given = [
        runs.of_folder(folder / "<b>good"),
        runs.of_folder(folder / "bad"),
        runs.external(f"yolo={folder / 'list.json'},ms=9"),
    ]
    selection = records.select(str(folder / small_runs.RECORDS))
    comparison, selection = comparing.compare(given, LABELS, selection, resamples=50)
    report.write(comparison, selection, folder / "comparison.html")
    report.write_json(comparison, folder / "comparison.json")
    return (folder / "comparison.html").read_text(encoding="utf-8"), comparison, folder


def test_the_page_is_whole_and_loads_nothing(written):
    page = Page(written[0])
    assert page.open == []
    assert "script" not in page.tags
    assert all(reference.startswith("data:") for reference in page.references)
    assert "url(" not in written[0]
    assert "nan" not in page.text


def test_a_browser_has_nothing_to_complain_of(written, tmp_path):
    assert web_pages.complaints(written[0], tmp_path) == []


@pytest.mark.parametrize(
    "shown",
    [
        "<b>good",
        "over-fitting gap",
        "ms per picture of yolo: as given on the command line",
        "recipe.weather.fog",
        "yolo less <b>good",
        "Where they disagree",
        "yolo: taken as empty: 5 pictures",
    ],
)
def test_what_is_shown(written, shown):
    assert shown in Page(written[0]).text


def test_each_run_has_its_picture_of_each_disagreement(written):
    text, comparison, _ = written
    pictures = re.findall(r"data:image/jpeg;base64,", text)
    assert len(pictures) == 3 * len(comparison.disagreements) > 3


def test_the_best_is_bold(written):
    text, comparison, _ = written
    best = comparison.results[0].metrics.summary["bbox"]["mAP"]
    assert f"<td><b>{best:.4f}</b></td>" in text
    assert "<td><b>9.0</b></td>" in text


def test_json_has_the_figures(written):
    found = json.loads((written[2] / "comparison.json").read_text())
    assert [run["name"] for run in found["runs"]] == ["<b>good", "bad", "yolo"]
    assert found["runs"][2]["cost"]["ms_per_image"] == 9
    assert found["runs"][2]["training_loss"] is None
    assert found["settings"] == {
        "recipe.weather.fog": {"<b>good": "0.0", "bad": "0.5", "yolo": "–"}
    }
    assert len(found["differences"]) == 6


def test_the_terminal_s_table(written):
    console = Console(file=io.StringIO(), width=140)
    table.print_tables(written[1], console)
    said = console.file.getvalue()
    assert "6 pictures with" in said
    assert re.search(r"│ AP vehicle \(\d+\) +│", said)
    assert re.search(r"│ ms per picture +│ +12.5 │ +12.5 │ +9.0 │", said)
    assert "bad less <b>good" in said
