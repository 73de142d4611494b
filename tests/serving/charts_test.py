"""Charts: well-formed SVG whose lengths are the numbers."""

import sys
import xml.etree.ElementTree as ElementTree

import pytest

from tfdicom.serving import charts
from tfdicom.serving.charts import Line


def _parse(text):
    """The elements of a chart, without its legend."""
    return ElementTree.fromstring(f"<div>{text}</div>")


def _bars(text):
    return [float(one.get("width")) for one in _parse(text).iter("rect")]


def test_bars_are_as_long_as_their_numbers():
    text = charts.bars([("a", 10, "ten"), ("<b>", 5, "five"), ("c", 0, "0")], words="w")
    widths = _bars(text)
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    assert widths[2] == 1  # so that it is seen
    svg = _parse(text).find("svg")
    assert (svg.get("role"), svg.get("aria-label")) == ("img", "w")
    words = [one.text for one in _parse(text).iter("text")]
    assert words == ["a", "ten", "<b>", "five", "c", "0"]


def test_no_bar_leaves_the_picture():
    name = "a name that is much longer than there is room for"
    text = charts.bars([(name, 3, "3")], words="w")
    svg = _parse(text).find("svg")
    width = float(svg.get("viewBox").split()[2])
    (bar,) = svg.iter("rect")
    assert float(bar.get("x")) + float(bar.get("width")) < width - 30
    assert next(svg.iter("text")).text.endswith("…")


def _path(text, kind):
    (found,) = [
        one
        for one in _parse(text).iter("path")
        if kind in one.get("class") and one.get("d") != "M0 5H30"
    ]
    return found.get("d")


def _heights(path):
    """How high each bin is, from the path of its line."""
    foot = float(path.split("V")[0].split("H")[0].split()[1])
    steps = [float(part.split("H")[0]) for part in path.split("V")[1:-1]]
    return [foot - step for step in steps]


def test_outlines_are_as_high_as_their_shares():
    lines = [Line("one", [0.5, 0.3, 0.2]), Line("two", [0.1, 0.1, 0.4])]
    text = charts.outlines([0, 1, 2, 3], lines, axis="HU", words="w")
    high = _heights(_path(text, "series-0"))
    assert [one / high[0] for one in high] == pytest.approx([1, 0.6, 0.4], abs=0.01)
    other = _heights(_path(text, "series-1"))
    assert other[2] / high[0] == pytest.approx(0.8, abs=0.01)
    names = [one.find("svg").tail.strip() for one in _parse(text).iter("li")]
    assert names == ["one", "two"]
    assert "50%" in text and "HU" in text and "goes on" not in text


def test_air_does_not_flatten_the_rest():
    shares = [0.9] + [0.01] * 10
    text = charts.outlines(list(range(12)), [Line("a", shares)], axis="x", words="w")
    heights = _heights(_path(text, "series-0"))
    assert heights[1] > 0.7 * heights[0]
    assert "the highest bin goes on to 90%" in text


def test_nothing_to_draw():
    assert "0" in charts.outlines([0, 1], [Line("a", [0])], axis="x", words="w")
    assert _bars(charts.bars([], words="w")) == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
