"""The page of a run, read as text and opened in a browser."""

import base64
import re

import cv2
import numpy as np
import pytest

from roadmark.testing import web_pages
from roadmark.testing.web_pages import Page
from roadmark.video import run_page
from roadmark.video.sights import Sights
from roadmark.video.speed import Speed, StageTimes

SPEED = Speed(90, 3.0, 0.5, (StageTimes("infer", 10.0, 12.0, 30.0, 0.9, 2.0),))


def sights(objects):
    found = Sights()
    for index in range(90):
        classes = ["car"] * (index // 30) + ["<b>tram"] if objects else []
        boxes = np.array([[40, 20, 80, 60]] * len(classes), np.float32).reshape(-1, 4)
        found.add(index / 30, (120, 160), classes, boxes)
    return found


def written(folder, objects=True):
    path = folder / "run.html"
    facts = run_page.Facts(
        "a&b.mp4",
        "runs/<i>x",
        90,
        {"car": 90, "<b>tram": 90} if objects else {},
        ["1 damaged packets skipped."],
        {"crossed the line": {"to the left": {"car": 3}, "to the right": {}}},
    )
    still = np.full((120, 160, 3), 99, np.uint8)
    run_page.write(path, facts, sights(objects), still, SPEED)
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("objects", [True, False], ids=["objects", "nothing found"])
def test_the_page_is_whole_and_loads_nothing(tmp_path, objects):
    text = written(tmp_path, objects)
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert all(reference.startswith("data:") for reference in page.references)
    assert "url(" not in text
    assert "@import" not in text
    assert "nan" not in page.text
    assert ("img" in page.tags) == objects
    assert ("Nothing was found" in page.text) == (not objects)
    assert len(text) < 200_000


def test_names_and_numbers_are_shown_as_they_are(tmp_path):
    page = Page(written(tmp_path))
    for shown in ("a&b.mp4", "runs/<i>x", "<b>tram", "1 damaged packets", "30.0", "p99 ms"):
        assert shown in page.text
    for number in ("180", "2.00", "crossed the line", "to the right", "infer, at work 90%"):
        assert number in page.text


def test_lines_rise_where_there_are_more_objects(tmp_path):
    chart = re.search(r"<svg.*?</svg>", written(tmp_path), re.DOTALL)[0]
    lines = re.findall(r'<path d="(M[^"]*)" stroke="#[^"]*" stroke-width="2"', chart)
    assert len(lines) == 2
    car = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", lines[0])]
    assert car[0] > car[5] > car[-1], "the y axis of a picture points down"
    tram = {float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", lines[1])}
    assert len(tram) == 1


def test_heat_is_where_objects_were_and_the_rest_stays_grey(tmp_path):
    encoded = re.search(r"data:image/jpeg;base64,([^\"]+)", written(tmp_path))[1]
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels.shape == (120, 160, 3)
    hot, cold = pixels[60, 40].astype(int), pixels[100, 120].astype(int)
    assert hot[0] - hot[2] > 60
    assert np.ptp(cold) < 12
    assert abs(cold.mean() - 99) < 6


def test_a_browser_has_nothing_to_complain_of(tmp_path):
    text = written(tmp_path)
    assert web_pages.complaints(text, tmp_path) == []
    bad = text + '<script>console.error("heard")</script>'
    assert len(web_pages.complaints(bad, tmp_path)) == 1, "complaints must be heard at all"
