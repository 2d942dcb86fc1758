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


@pytest.mark.parametrize(
    ("largest", "shown"),
    [
        pytest.param((1500, 2.4), ["0", "500", "1000", "1500"], id="steps"),
        pytest.param((30_000, 2.4), ["0", "10k", "20k", "30k"], id="many"),
        pytest.param((0.003, 1), ["0", "0.001", "0.002", "0.003"], id="small numbers"),
        pytest.param((0, NAN), ["0", "0.2", "0.4", "0.6", "0.8", "1"], id="nothing to fit"),
    ],
)
def test_axes_that_fit(largest, shown):
    axes = charts.fitting([Series("a", [(0, 0), largest])])
    texts = [text.text for text in elements(charts.lines("t", "x", "y", [], axes=axes), "text")]
    assert texts[: len(shown)] == shown
    assert axes.y[1] >= (0 if math.isnan(largest[1]) else largest[1])


def test_a_dashed_line_has_its_fellow_s_colour_and_no_place_in_the_legend():
    lines = [
        Series("a", [(0, 0)], colour=1),
        Series("a, too", [(0, 0)], colour=1, is_dashed=True),
        Series("b", [(0, 0)], colour=2),
    ]
    svg = charts.lines("t", "x", "y", lines)
    drawn = elements(svg, "path")[-3:]
    assert [path.get("stroke") for path in drawn] == [charts.colour(n) for n in (1, 1, 2)]
    assert [path.get("stroke-dasharray") for path in drawn] == [None, "5 3", None]
    assert ["".join(span.itertext()) for span in elements(svg, "span")] == ["a", "b"]


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
