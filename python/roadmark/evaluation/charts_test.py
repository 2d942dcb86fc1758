import math
from xml.etree import ElementTree

import pytest

from roadmark.evaluation import charts
from roadmark.evaluation.charts import Bar, Series

NAN = math.nan


def elements(svg, tag):
    return [part for part in ElementTree.fromstring(f"<p>{svg}</p>").iter() if part.tag == tag]


@pytest.mark.parametrize(
    ("points", "path"),
    [
        pytest.param([(0, 0), (1, 1)], "M40 222L348 10", id="from corner to corner"),
        pytest.param([(0, 0), (NAN, 1), (1, 1)], "M40 222M348 10", id="broken"),
        pytest.param([(0, 2), (-1, 0)], "M40 10L40 222", id="cut off at the frame"),
        pytest.param([], "", id="empty"),
    ],
)
def test_a_line(points, path):
    svg = charts.lines("title", "x", "y", [Series("a", points)])
    assert elements(svg, "path")[-1].get("d") == path


def test_marks_and_dots():
    one = Series("a", [(0, 0), (0.5, 0.5)], (1, 1))
    other = Series("b", [(0, 0)], (NAN, 1))
    assert len(elements(charts.lines("t", "x", "y", [one, other]), "circle")) == 1
    assert len(elements(charts.lines("t", "x", "y", [one, other], dots=True), "circle")) == 4


def test_a_legend_for_several_lines_alone():
    one, other = Series("<a>", []), Series("b", [])
    assert elements(charts.lines("t", "x", "y", [one]), "span") == []
    spans = elements(charts.lines("t", "x", "y", [one, other]), "span")
    assert ["".join(span.itertext()) for span in spans] == ["<a>", "b"]


@pytest.mark.parametrize(
    ("values", "whole", "widths"),
    [
        pytest.param([2, 1], 0, ["150.0", "75.0"], id="the largest fills the width"),
        pytest.param([0.5, 0.1], 1, ["75.0", "15.0"], id="of a given whole"),
        pytest.param([NAN, -1, 0], 0, ["1.0"] * 3, id="nothing to show is a line"),
    ],
)
def test_bars(values, whole, widths):
    svg = charts.bars("t", [Bar("a & b", value, "<note>") for value in values], whole=whole)
    assert [bar.get("width") for bar in elements(svg, "rect")] == widths
    assert [text.text for text in elements(svg, "text")][:2] == ["a & b", "<note>"]


def test_the_title_and_a_long_label():
    svg = charts.bars("a < b", [Bar("segment-10017090168044687777", 1, "")])
    assert elements(svg, "title")[0].text == "a < b"
    assert elements(svg, "text")[0].text == "…7090168044687777"
