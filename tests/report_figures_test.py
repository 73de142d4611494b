import re
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom import manifest, report_facts, report_figures
from tfdicom.value_counts import ValueCounts


@pytest.fixture
def gathered(tmp_path):
    splits = {
        "train": {"a": synthetic.frames(3), "b": synthetic.frames(2, annotated="10")},
        "test": {"c": synthetic.frames(2)},
        "empty": {},
    }
    synthetic.write_dataset(tmp_path, splits)
    whole = manifest.load_manifest(tmp_path)
    return whole, report_facts.gather(tmp_path, whole, num_workers=1)


def counts(values):
    return ValueCounts.of(np.array(values), slope=1, intercept=0)


def test_a_chart_for_each_class(gathered):
    whole, facts = gathered
    areas = list(report_figures.areas(whole, facts.examples, [0, 1]))
    assert [one.title for one in areas] == ["Area of inner", "Area of outer"]
    for one in areas:
        assert "train: median" in one.description and "empty" not in one.description
        assert "mm²" in one.svg
    positions = list(report_figures.positions(whole, facts.examples, [0]))
    assert positions[0].title == "Centroids of inner from the middle of the image"


def test_grey_values_of_all_come_first(gathered):
    whole, facts = gathered
    titles = [one.title for one in report_figures.greys(facts, whole)]
    assert titles == [
        f"Grey values of {what}, MR (no units)"
        for what in ("all pixels", "inner", "outer")
    ]


def test_presence_is_of_those_annotated(gathered):
    whole, _ = gathered
    train, test = report_figures.presence(whole, [0, 1])
    assert train.description == "inner 100.0%, outer 100.0%"
    assert test.title.startswith("Split test")


@pytest.mark.parametrize(
    ("values", "edges", "step"),
    [
        ([0, 1, 2, 3], 5, 1),
        (range(0, 4800), None, 100),
        ([0.25, 0.5, 0.75], 49, None),
        ([7], 2, 1),
        ([7.5], 49, None),
    ],
)
def test_edges_hold_the_values(values, edges, step):
    found = report_figures.grey_edges([counts(list(values))])
    assert (np.diff(found) > 0).all()
    if edges:
        assert len(found) == edges
    if step:
        np.testing.assert_allclose(np.diff(found), step)
    one = counts(list(values)).statistics()
    assert found[0] <= one.percentiles[0] and found[-1] >= one.percentiles[-1]


def test_many_dots_are_thinned(monkeypatch, gathered):
    monkeypatch.setattr(report_figures, "_MOST_DOTS", 4)
    whole, facts = gathered
    (chart,) = report_figures.positions(whole, facts.examples, [0])
    paths = re.findall(r'<path d="([^"]*)"[^>]*stroke-opacity', chart.svg)
    # Of 7 points 4: of 5 in the one split 2, of 2 in the other 1.
    assert paths[0].count("a2.6") == 2 * 2
    assert len(paths) == 2


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
