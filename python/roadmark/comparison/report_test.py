"""The report and the tables of a comparison."""

import dataclasses
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
YOLO = "ms=9,bytes=6200000,parameters=7e6,flops=16e9,train_hours=3"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    small_runs.write_records(folder, 6)
    small_runs.write(folder, "<b>good", 0.9)
    small_runs.write(folder, "bad", 0.2, fog=0.5)
    (folder / "list.json").write_text(
        '[{"image_id": "0", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]'
    )
    pruned = runs.of_folder(folder / "bad")
    given = [
        runs.of_folder(folder / "<b>good"),
        dataclasses.replace(pruned, cost=dataclasses.replace(pruned.cost, gzipped_bytes=4_000_000)),
        runs.external(f"yolo={folder / 'list.json'},{YOLO}"),
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


@pytest.mark.parametrize(
    ("row", "good", "yolo"),
    [
        *((name, None, None) for name in ("mAP", "AP50", "AP75", "AR1", "AR10", "AR100")),
        # Of rows with 2 - step / 80: those of steps 38 and 40.
        ("training loss", "1.5125", "–"),
        ("validation loss", "1.5000", "–"),
        ("over-fitting gap", "-0.0125", "–"),
        ("parameters, million", "2.60", "7.00"),
        ("GFLOPs per picture", "1.70", "16.00"),
        ("size, MB", "10.40", "6.20"),
        ("ms per picture", "12.5", "9.0"),
        ("training, hours", "0.01", "3.00"),
        ("steps", "40", "–"),
    ],
)
def test_the_figures_and_what_is_known_from_elsewhere(written, row, good, yolo):
    (cells,) = re.findall(rf"<tr><td>{row}</td>(.*?)</tr>", written[0])
    shown = re.sub("<[^>]*>", " ", cells).split()
    if good is None:
        summaries = [one.metrics.summary["bbox"] for one in written[1].results]
        assert shown == [f"{summary[row]:.4f}" for summary in summaries]
    else:
        assert [shown[0], shown[2]] == [good, yolo]


def test_what_pruning_saves_is_a_row_where_a_run_is_pruned(written):
    text, comparison, _ = written
    assert "<td>size after gzip, MB</td><td>–</td><td>4.00</td><td>–</td>" in text
    unpruned = dataclasses.replace(comparison, results=comparison.results[:1])
    assert "size after gzip, MB" not in [one.name for one in table.figures(unpruned)]


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
