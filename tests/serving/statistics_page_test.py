"""Charts of the page of statistics, and their numbers."""

import sys

import pytest

from tests import served_apps, synthetic
from tfdicom.serving import descriptions, statistics_page


def _charts(folder):
    one = served_apps.app_of(folder).extensions["tfdicom"].data_set(None)
    for place in range(len(one.catalog)):
        one.learn(place)
    known = descriptions.statistics(one)
    found = statistics_page.charts(one, known)
    assert statistics_page.charts(one, known) == found
    return {chart.name: chart for chart in found}


def test_charts_and_tables(tmp_path):
    examples = served_apps.write(tmp_path / "d")
    found = _charts(tmp_path / "d")
    assert list(found) == ["splits", "classes", "areas", "grey", "classes-grey"]
    assert found["splits"].table[1:] == [["train", "7", "2"], ["test", "2", "1"]]
    outer = next(row for row in found["classes"].table if row[:2] == ["outer", "train"])
    assert outer[2:4] == ["4", "4"]
    counted = sum(int(row[1]) for row in found["areas"].table[1:])
    assert counted == sum(map(len, examples.values()))
    for chart in found.values():
        widths = {len(row) for row in chart.table}
        assert len(widths) == 1, chart.name


def test_grey_values_are_counted_once(tmp_path, monkeypatch):
    counted = []
    monkeypatch.setattr(statistics_page.distributions, "grey_values", counted.append)
    served_apps.write(tmp_path / "d")
    found = _charts(tmp_path / "d")
    assert "grey" not in found and len(counted) == 1


def test_no_classes(tmp_path):
    frames = {"p": synthetic.frames(2, annotated="")}
    synthetic.write_dataset(tmp_path / "d", {"train": frames}, classes=())
    assert list(_charts(tmp_path / "d")) == ["splits", "grey"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
