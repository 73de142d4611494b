import base64
import dataclasses
import io
import sys

import numpy as np
import pytest
from PIL import Image

from tests import synthetic
from tfdicom import (
    contact_sheet,
    dataset_reading,
    manifest,
    report_facts,
    report_pictures,
)
from tfdicom.label_kinds import LabelInfo
from tfdicom.report_pictures import Row


def square(size):
    """A frame whose two masks are squares of so many pixels a side."""
    masks = np.zeros((2, 12, 16), bool)
    masks[:, :size, :size] = True
    return synthetic.Frame(masks=masks)


@pytest.fixture
def sized(tmp_path):
    """Nine masks of 1 to 9 pixels a side, not in this order."""
    order = (5, 3, 9, 1, 7, 2, 8, 4, 6)
    frames = [square(size) for size in order]
    synthetic.write_dataset(tmp_path, {"train": {"p": frames}}, shards=1)
    whole = manifest.load_manifest(tmp_path)
    return tmp_path, whole, report_facts.gather(tmp_path, whole, num_workers=1).examples


def sides(row):
    return [round(one.pixels[0] ** 0.5) for one in row.examples]


def test_extremes_come_first(sized):
    _, whole, examples = sized
    found = report_pictures.sheets(whole, examples, {}, 2)
    assert [one.title for one in found] == [
        "Split train, class inner",
        "Split train, class outer",
    ]
    smallest, middle, largest = found[0].rows
    assert sides(smallest) == [1, 2]
    assert sides(middle) == [4, 5]
    assert sides(largest) == [9, 8]


def test_few_are_shown_once_each(sized):
    _, whole, examples = sized
    (row,) = report_pictures.sheets(whole, examples, {}, 3)[0].rows
    assert sides(row) == list(range(1, 10))


def test_most_findings_have_a_row(sized):
    _, whole, examples = sized
    findings = {examples[0].key: ("a",), examples[3].key: ("a", "b")}
    row = report_pictures.sheets(whole, examples, findings, 2)[0].rows[-1]
    assert row.title == "Most findings"
    assert row.examples == (examples[3], examples[0])


def test_cases_by_how_often_they_occur(sized):
    _, _, examples = sized
    findings = {one.key: ("often",) for one in examples}
    findings[examples[4].key] = ("often", "rare")
    found = report_pictures.cases(examples, findings, 2)
    assert list(found) == ["often", "rare"]
    assert found["often"].examples == tuple(examples[:6])
    assert found["rare"].examples == (examples[4],)


def test_data_sets_without_masks_show_their_labels(tmp_path):
    label = LabelInfo("kind", "class", ("benign", "malignant"))
    words = ("benign", "malignant", "benign", "", "benign")
    frames = [synthetic.Frame(annotated="", labels=(word,)) for word in words]
    synthetic.write_dataset(
        tmp_path, {"train": {"p": frames}}, classes=(), labels=[label]
    )
    whole = manifest.load_manifest(tmp_path)
    examples = report_facts.gather(tmp_path, whole, num_workers=1).examples
    (sheet,) = report_pictures.sheets(whole, examples, {}, 2)
    benign, malignant, spread = sheet.rows
    assert [one.words for one in benign.examples] == [("benign",)] * 2
    assert [one.words for one in malignant.examples] == [("malignant",)]
    assert len(spread.examples) == 4


def test_the_most_frequent_classes_are_shown(tmp_path):
    count = report_pictures.MOST_CLASSES + 3
    masks = np.ones((count, 4, 4), bool)
    masks[[0, 5, 9]] = False
    frame = synthetic.Frame(shape=(4, 4, 1), masks=masks, annotated="1" * count)
    names = [f"c{place}" for place in range(count)]
    synthetic.write_dataset(tmp_path, {"train": {"p": [frame]}}, classes=names)
    shown = report_pictures.shown_classes(manifest.load_manifest(tmp_path))
    assert shown == [place for place in range(count) if place not in (0, 5, 9)]


def test_the_first_of_each_row_come_before_the_second(sized):
    _, _, examples = sized
    rows = [Row("a", tuple(examples[:3])), Row("b", tuple(examples[3:5]))]
    pictures = {one.key: "x" * 10 for one in examples}
    each = 10 + report_pictures._WORDS
    fit = report_pictures.within_budget(rows, pictures, 4 * each - 1)
    assert fit == {(0, examples[0].key), (1, examples[3].key), (0, examples[1].key)}
    order = [0, 3, 1, 4, 2]
    assert report_pictures.to_draw(rows) == [examples[at] for at in order]
    assert report_pictures.to_draw([rows[0], rows[0]]) == examples[:3]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_pictures_are_of_their_examples(tmp_path, compression):
    frames = [square(4), square(8), square(6)]
    patients = {"p": frames[:2], "q": frames[2:]}
    synthetic.write_dataset(tmp_path, {"train": patients}, compression=compression)
    whole = manifest.load_manifest(tmp_path)
    examples = report_facts.gather(tmp_path, whole, num_workers=1).examples
    chosen = examples[1:]
    found = report_pictures.draw(tmp_path, compression, chosen, num_workers=1)
    assert set(found) == {one.key for one in chosen}
    records = {one.key: one for one in dataset_reading.read_examples(tmp_path)}
    for key, uri in found.items():
        kind, _, data = uri.partition(",")
        assert kind == "data:image/webp;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
        example = records[key]
        wanted = contact_sheet.overlay(
            example,
            crop=contact_sheet.crop_around_masks(example),
            size=report_pictures.TILE,
        )
        difference = np.abs(np.asarray(picture, int) - np.asarray(wanted, int))
        assert difference.mean() < 8  # lossy, and noise is hard on it


def test_empty_contours_are_no_error():
    example = synthetic.make_example(synthetic.Frame(), 1)
    example = dataclasses.replace(
        example, contour_points=(), contour_lengths=(0,), contour_structures=("inner",)
    )
    assert report_pictures.data_uri(example).startswith("data:image/webp")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
