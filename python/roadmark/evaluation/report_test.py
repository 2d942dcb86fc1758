"""The report and its pictures, on records of coloured rectangles."""

import base64
import dataclasses
import re

import cv2
import numpy as np
import pytest

from roadmark.data import example
from roadmark.detections import Detections
from roadmark.evaluation import analysis, mistake_pictures, records, report
from roadmark.evaluation.corruption import Corruption, Robustness
from roadmark.evaluation.evaluation import Evaluation
from roadmark.evaluation.history import History
from roadmark.evaluation.recording import Recording
from roadmark.evaluation.results import Results
from roadmark.odapi.label_map import LabelMap
from roadmark.testing import small_records, web_pages
from roadmark.testing.web_pages import Page

NAMES = {1: "vehicle", 2: "<b>pedestrian", 3: "cyclist"}


def evaluated(folder, change=lambda image: image):
    """Four pictures: the objects found in every other one, and a false positive in each."""
    small_records.write(folder, 4, shards=1, change=change)
    selection, recorded = records.select(str(folder / "train-*")), Recording()

    def detections():
        for number, (where, data) in enumerate(selection.records()):
            image = example.parse(data, where)
            boxes = image.boxes_in_pixels[: len(image) * (number % 2)]
            wrong = np.float32([[0, 0, 9, 9]])
            yield Detections(
                np.concatenate([boxes, wrong]),
                np.append(np.full(len(boxes), 0.75), 0.5).astype(np.float32),
                np.append(image.class_ids[: len(boxes)], 3).astype(np.int32),
            )

    metrics = records.evaluate(
        selection, detections(), LabelMap.of(small_records.NAMES), on_picture=recorded.add
    )
    return Evaluation("runs/a&b", selection.source, 7, metrics, {"total": 1.5}), recorded, selection


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    result, recorded, selection = evaluated(
        folder / "records", lambda image: dataclasses.replace(image, filename="<i>x.png")
    )
    per_class = dict(zip(NAMES.values(), result.metrics.per_class["bbox"].values(), strict=True))
    metrics = dataclasses.replace(result.metrics, per_class={"bbox": per_class})
    worse = Robustness(Corruption("jpeg", 5), 0.123, 0.25)
    result = dataclasses.replace(result, metrics=metrics, robustness=[worse])
    found = analysis.analyse(recorded.pictures, NAMES, resamples=5)
    report.write(result, found, recorded.pictures, selection, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8"), found


def test_the_page_is_whole_and_loads_nothing(written):
    text, _ = written
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert page.references
    assert all(reference.startswith("data:") for reference in page.references)
    assert "url(" not in text
    assert "@import" not in text


def test_a_browser_has_nothing_to_complain_of(written, tmp_path):
    assert web_pages.complaints(written[0], tmp_path) == []
    bad = written[0] + '<script>console.error("heard")</script>'
    bad += '<div style="width: 400px">too wide</div>'
    first, second = web_pages.complaints(bad, tmp_path)
    assert "heard" in first, "complaints must be heard at all"
    assert "on a phone it is 4" in second


def test_names_are_shown_as_they_are(written):
    page = Page(written[0])
    assert "runs/a&b, step 7" in page.text
    assert "<b>pedestrian" in page.text
    assert "<i>x.png" in page.text


@pytest.mark.parametrize(
    "heading",
    [
        "COCO metrics",
        "Classes and score thresholds",
        "What goes wrong",
        "Which class is taken for which",
        "Where it goes wrong",
        "Can scores be believed?",
        "False positives",
        "Misses",
    ],
)
def test_sections(written, heading):
    assert f"<h2>{heading}</h2>" in written[0]


def test_training_is_drawn_where_a_run_was_evaluated(written, tmp_path):
    assert "<h2>Training</h2>" not in written[0]
    result, recorded, selection = evaluated(tmp_path / "records")
    found = analysis.analyse(recorded.pictures, small_records.NAMES, resamples=5)
    run = History("first", [(1, {"total_loss": 3.0}), (9, {"total_loss": 2.0})])
    report.write(result, found, recorded.pictures, selection, tmp_path / "report.html", run)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "total loss over steps" in text
    assert "mAP over steps" in text
    assert Page(text).open == []


def test_robustness_is_shown_where_it_was_measured(written):
    assert "What bad pictures cost" in written[0]
    page = Page(written[0])
    assert "AP50 over severity" in page.text
    assert "jpeg50.1230.250" in page.text


def test_numbers_are_the_analysis(written):
    text, found = written
    page = Page(text).text
    assert f"{found.confidence.intervals['mAP'].low:.3f} to" in page
    assert f"{found.errors.costs['missed']:.4f}" in page
    assert f"{found.calibration.expected_error:.3f}" in page
    assert "nan" not in page


def test_every_mistake_has_its_picture(written):
    text, found = written
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", text)
    assert len(pictures) == len(found.false_positives) + len(found.misses) > 5
    for encoded in pictures:
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
        assert pixels.shape == (240, 320, 3)


def test_a_cut_shows_the_mistake_and_what_is_marked(tmp_path):
    _, recorded, selection = evaluated(tmp_path)
    found = analysis.analyse(recorded.pictures, small_records.NAMES, resamples=5)
    mistake = dataclasses.replace(found.false_positives[0], number=2, box=[20, 22, 44, 42])
    (jpeg,) = mistake_pictures.jpegs([mistake], recorded.pictures, selection)
    pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB).astype(int)
    # The picture of 64 px stands in the middle of 160 x 120 px, twice as large.
    top, left = 120 + 2 * (20 - 32), 160 + 2 * (22 - 32)
    edge = pixels[top, left + 10 : left + 30].mean(axis=0)
    assert np.abs(edge - mistake_pictures.MISTAKE_COLOUR).max() < 60
    assert pixels[:40].max() < 40, "black where the picture ends"


def test_results_are_files_and_tables(tmp_path, capsys):
    result, recorded, selection = evaluated(tmp_path / "records")
    results = Results(
        dataclasses.replace(result, step=None), recorded, small_records.NAMES, selection
    )
    written = results.write(tmp_path / "out", "_detections", seed=0)
    assert sorted((tmp_path / "out").iterdir()) == sorted(written)
    assert [path.name for path in written] == [
        "evaluation_detections.json",
        "report_detections.html",
    ]
    assert "AP50 lost" in capsys.readouterr().out
