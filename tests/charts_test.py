import re
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tfdicom import charts
from tfdicom.charts import Axis, Dots, Line

SVG = "{http://www.w3.org/2000/svg}"


def luminance(color):
    """Relative luminance of WCAG 2.1."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("color", charts.COLORS)
def test_lines_stand_out_from_white(color):
    assert 1.05 / (luminance(color) + 0.05) >= 3


def test_series_are_told_without_colour():
    count = len(charts.COLORS)
    assert charts._dash(0) != charts._dash(count)
    assert len({charts._dash(number) for number in range(count)}) == count
    assert len({charts._mark(number, 50, 50) for number in range(count)}) == count


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-37, 41, [-20, 0, 20, 40]),
        (3, 3, [3]),
        (0.001, 0.0049, [0.001, 0.002, 0.003, 0.004]),
    ],
)
def test_round_numbers(low, high, expected):
    np.testing.assert_allclose(charts.round_numbers(low, high, 5), expected)


def parsed(chart):
    root = ElementTree.fromstring(chart.svg)
    assert root.find(f"{SVG}title").text == chart.title
    assert root.find(f"{SVG}desc").text == chart.description
    assert chart.title in root.get("aria-label")
    return root


def test_histogram_steps_at_its_edges():
    edges = np.array([0.0, 10.0, 20.0])
    line = Line("train", [0.25, 0.75])
    root = parsed(charts.histogram("t", "d", edges, [line], "HU"))
    points = root.find(f"{SVG}polyline").get("points").split()
    x, y = np.array([point.split(",") for point in points], float).T
    assert len(points) == 4
    assert x[1] == x[2] == pytest.approx((x[0] + x[3]) / 2, abs=0.1)
    # Three times as high above the axis.
    bottom = charts._HEIGHT - charts._BOTTOM
    assert (bottom - y[2]) / (bottom - y[0]) == pytest.approx(3, rel=0.01)


def test_air_does_not_flatten_the_rest():
    lines = [Line("a", [0.9] + [0.01] * 10)]
    root = parsed(charts.histogram("t", "d", np.arange(12.0), lines, "x"))
    points = root.find(f"{SVG}polyline").get("points").split()
    bottom = charts._HEIGHT - charts._BOTTOM
    y = bottom - np.array([float(point.split(",")[1]) for point in points])
    assert y[0] == pytest.approx(bottom - charts._TOP, abs=0.1)
    assert y[2] > 0.7 * y[0]
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert "the highest bin goes on to 90%" in words


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_legend_hides_nothing(count):
    """It lies above the plot, and within the picture."""
    edges = np.arange(3.0)
    lines = [Line(f"name {number}", [1, 0]) for number in range(count)]
    root = parsed(charts.histogram("t", "d", edges, lines, "x"))
    _, top, width, _ = map(float, root.get("viewBox").split())
    words = [one for one in root.findall(f"{SVG}text") if "name" in (one.text or "")]
    assert len(words) == count
    for one in words:
        assert top + 8 < float(one.get("y")) < charts._TOP
        assert float(one.get("x")) < width - 60
    assert len({(one.get("x"), one.get("y")) for one in words}) == count


def test_scatter_grows_downwards():
    dots = [Dots("a", np.array([[0.0, 0.0], [0.0, 5.0]])), Dots("b", np.empty((0, 2)))]
    axis = Axis("mm", -10, 10)
    root = parsed(charts.scatter("t", "d", dots, axis, axis))
    path = next(
        p.get("d") for p in root.findall(f"{SVG}path") if p.get("stroke-opacity")
    )
    first, second = re.findall(r"M([\d.]+) ([\d.]+)", path)
    assert float(second[1]) > float(first[1]) and first[0] == second[0]


def test_bars_are_as_long_as_their_parts():
    rows = [("<b>", 5, "five"), ("b" * 40, 10, "ten"), ("c", 0, "0")]
    root = parsed(charts.bars("t", "d", rows))
    found = root.findall(f"{SVG}rect")
    one, two, none = (float(rect.get("width")) for rect in found)
    assert two == pytest.approx(2 * one, abs=0.2) and none == 0
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert words == ["<b>", "five", "b" * 21 + "…", "ten", "c", "0"]
    (half,) = parsed(charts.bars("t", "d", rows[:1], whole=10)).findall(f"{SVG}rect")
    assert float(half.get("width")) == one
    width = float(root.get("viewBox").split()[2])
    assert float(found[1].get("x")) + two < width - 30  # room for the words


def test_a_name_that_is_cut_keeps_its_split():
    rows = [("a class with a long name, validation", 1, "1")]
    words = [one.text for one in parsed(charts.bars("t", "d", rows)).iter(f"{SVG}text")]
    assert words[0] == "a class w…, validation"


def test_names_cannot_become_markup():
    name = '<script>"&'
    chart = charts.histogram(name, name, np.arange(3.0), [Line(name, [1, 0])], name)
    assert "<script>" not in chart.svg
    assert parsed(chart).find(f"{SVG}title").text == name


def test_nothing_to_show_is_no_error():
    parsed(charts.histogram("t", "d", np.arange(3.0), [Line("a", [0, 0])], "x"))
    parsed(charts.bars("t", "d", []))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
