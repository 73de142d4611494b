import collections
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom import manifest, report_facts, report_tables


def block(top, left, height, width, **fields):
    """A frame with a rectangle as its first mask, and no second."""
    masks = np.zeros((2, 12, 16), bool)
    masks[0, top : top + height, left : left + width] = True
    return synthetic.Frame(masks=masks, **fields)


def gathered(folder, splits):
    synthetic.write_dataset(folder, splits)
    whole = manifest.load_manifest(folder)
    return whole, report_facts.gather(folder, whole, num_workers=1)


def test_areas_and_centres(tmp_path):
    frames = [block(0, 0, 2, 2), block(2, 4, 4, 6)]
    whole, facts = gathered(tmp_path, {"train": {"p": frames}, "test": {}})
    table = report_tables.areas(whole, facts.examples, [0, 1])
    assert "mm²" in table.caption
    (row,) = table.rows
    assert row[:3] == ("inner", "train", "2")
    assert (row[3], row[-1]) == ("7.5", "45")  # 4 and 24 pixels of 1.5 x 1.25 mm
    centres = report_tables.positions(facts.examples, 0, "mm")
    # The middle of 12 x 16 pixels is (7.5, 5.5); columns are 1.25 mm apart.
    np.testing.assert_allclose(centres[0], [(0.5 - 7.5) * 1.25, (0.5 - 5.5) * 1.5])
    np.testing.assert_allclose(centres[1], [(6.5 - 7.5) * 1.25, (3.5 - 5.5) * 1.5])
    (row,) = report_tables.centres(whole, facts.examples, [0]).rows
    assert row[2] == f"{-5:+.1f} ± {3.75:.1f}"


def test_without_spacing_all_are_in_pixels(tmp_path):
    frames = [block(0, 0, 2, 2), block(2, 4, 4, 6, spacing=None)]
    whole, facts = gathered(tmp_path, {"train": {"p": frames}})
    table = report_tables.areas(whole, facts.examples, [0])
    assert "pixels" in table.caption and "mm" not in table.caption
    assert (table.rows[0][3], table.rows[0][-1]) == ("4", "24")


def test_overview_and_patients(tmp_path):
    splits = {
        "train": {"a": synthetic.frames(2), "b": synthetic.frames(1, annotated="10")},
        "test": {"c": synthetic.frames(1)},
    }
    whole, facts = gathered(tmp_path, splits)
    table = report_tables.overview(whole, facts)
    assert table.rows[0][:7] == ("train", "2", "2", "2", "3", "3 / 3", "2 / 2")
    assert report_tables.patients(whole, facts.examples).rows == [
        ("a", "train", "2"),
        ("b", "train", "1"),
        ("c", "test", "1"),
    ]


def test_long_tables_say_what_they_leave_out(monkeypatch, tmp_path):
    monkeypatch.setattr(report_tables, "_MOST_PATIENTS", 1)
    patients = {"a": synthetic.frames(1), "b": synthetic.frames(1)}
    whole, facts = gathered(tmp_path, {"train": patients})
    table = report_tables.patients(whole, facts.examples)
    assert len(table.rows) == 1 and "1 more" in table.note
    counts = collections.Counter({str(number): number for number in range(1, 40)})
    table = report_tables.counted("c", "w", counts)
    assert table.rows[0] == ("39", "39") and "9 more" in table.note


def test_greys_are_those_of_the_pixels(tmp_path):
    whole, facts = gathered(tmp_path, {"train": {"p": synthetic.frames(2)}})
    rows = {(row[1], row[2]): row for row in report_tables.greys(whole, facts).rows}
    assert list(rows) == [
        ("all pixels", "train"),
        ("inner", "train"),
        ("outer", "train"),
    ]
    wanted = whole.splits["train"].intensities["all"]
    row = rows["all pixels", "train"]
    assert row[3] == f"{wanted.count:,}"
    assert float(row[4].replace(",", "")) == pytest.approx(wanted.mean, rel=1e-2)


def test_reasons_and_files():
    ledger = {
        "image": {"converted": 3, "left_out": 2},
        "contour": {"converted": 1},
        "reasons": {"no_annotation": 2, "contour_empty": 1},
    }
    assert report_tables.files(ledger).rows == [
        ("image", "5", "3", "0", "2"),
        ("contour", "1", "1", "0", "0"),
    ]
    left, skipped = report_tables.reasons(ledger).rows
    assert left[:3] == ("no_annotation", "left out", "2")
    assert skipped[:3] == ("contour_empty", "skipped", "1")


def test_values_are_as_json_has_them():
    table = report_tables.key_values("c", ("a", "b"), {"y": [1, 2], "x": "text"})
    assert table.rows == [("x", "text"), ("y", "[1, 2]")]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
