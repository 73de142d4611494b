import math
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom import normalization
from tfdicom.manifest import load_manifest


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ct")
    frames = synthetic.frames(3, modality="CT", slope=2.0, intercept=-10.0)
    synthetic.write_dataset(folder, {"train": {"a": frames}, "test": {"b": frames}})
    return load_manifest(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zscore", "normalize='zscore': choose auto, zscore_series"),
        ("none:1", "normalize='none:1': choose"),
        ("window:40", "normalize='window:40': choose"),
        ("window:a:b", "normalize='window:a:b': choose"),
        ("window:40:0.5", "WIDTH of 1 or more"),
        ("window:nan:5", "finite CENTER"),
        ("percentiles:1", "normalize='percentiles:1': choose"),
        ("percentiles:3:99", "percentile 3 is not stored in the records; stored are"),
        ("percentiles:99:1", "LOW is to be below HIGH"),
    ],
)
def test_refuses(text, message):
    with pytest.raises(ValueError, match=message):
        normalization.parse(text)


def test_automatic_goes_by_modality(dataset):
    rules = normalization.rules("auto", dataset, ["PT", "MR", "US", "CT", "MR"])
    assert list(rules) == ["CT", "MR", "PT", "US"]
    assert rules["MR"] == normalization.Rule(
        sentence="z-score of the series", source=normalization.SERIES
    )
    assert rules["US"].source == normalization.IMAGE
    assert rules["PT"].suv and rules["PT"].constants[3] == 1


def test_ct_takes_the_training_foreground(dataset):
    foreground = dataset.splits["train"].intensities["foreground"]
    low, high, offset, scale = normalization.rules("auto", dataset, ["CT"])[
        "CT"
    ].constants
    assert (low, high) == (foreground.percentiles[0], foreground.percentiles[-1])
    assert (offset, 1 / scale) == pytest.approx((foreground.mean, foreground.deviation))


def test_ct_without_masks_takes_all_training_pixels(dataset, tmp_path):
    frames = synthetic.frames(3, modality="CT", annotated="")
    synthetic.write_dataset(tmp_path, {"train": {"c": frames}}, classes=())
    bare = load_manifest(tmp_path)
    rule = normalization.rules("auto", bare, ["CT"])["CT"]
    every = bare.splits["train"].intensities["all"]
    assert rule.constants[:3] == (
        every.percentiles[0],
        every.percentiles[-1],
        every.mean,
    )
    assert rule.sentence.endswith("(of all pixels, as it has no masks)")
    # Beside a data set with masks it does not blur that one's foreground.
    both = normalization.rules("auto", [dataset, bare], ["CT"])["CT"]
    assert both == normalization.rules("auto", dataset, ["CT"])["CT"]


def test_zscore_dataset_takes_all_training_pixels(dataset):
    statistics = dataset.splits["train"].intensities["all"]
    rule = normalization.rules("zscore_dataset", dataset, ["MR"])["MR"]
    assert rule.constants == pytest.approx(
        (-math.inf, math.inf, statistics.mean, 1 / statistics.deviation)
    )


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"fold0": "11"}, "has no train split .it has fold0.*window:40:400"),
        ({"train": "00"}, "train split has no foreground pixels.*'zscore_image'"),
    ],
)
def test_says_what_else_to_choose(tmp_path, splits, message):
    synthetic.write_dataset(
        tmp_path,
        {
            name: {"a": synthetic.frames(2, annotated=annotated)}
            for name, annotated in splits.items()
        },
    )
    with pytest.raises(ValueError, match=message):
        normalization.rules("auto", load_manifest(tmp_path), ["CT"])


def _linear(value, center, width):
    """The three cases of PS3.3 C.11.2.1.2.1, as written there."""
    if value <= center - 0.5 - (width - 1) / 2:
        return 0.0
    if value > center - 0.5 + (width - 1) / 2:
        return 1.0
    return (value - (center - 0.5)) / (width - 1) + 0.5


@pytest.mark.parametrize(
    ("center", "width"),
    [(40, 400), (50, 350), (2048, 4096), (0, 1), (300.5, 1), (5, 2)],
)
def test_window_is_the_standards(dataset, center, width):
    rule = normalization.rules(f"window:{center}:{width}", dataset, ["CT"])["CT"]
    low, high, offset, scale = np.float32(rule.constants)
    values = np.float32(center) + np.arange(-600, 600, 0.5, np.float32)
    found = (np.clip(values, low, high) - offset) * scale
    expected = [_linear(value, center, width) for value in values]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def _write(folder, *, slope=2.0, count=3, split="train", modality="CT"):
    """A data set, and the modality values of its foreground and of all its pixels."""
    frames = synthetic.frames(count, modality=modality, slope=slope, intercept=-10.0)
    written = synthetic.write_dataset(folder, {split: {"a": frames}})[split]
    values = [one.image * slope - 10.0 for one in written]
    inside = [v[one.masks.any(axis=0)] for v, one in zip(values, written, strict=True)]
    return load_manifest(folder), np.concatenate(inside), np.stack(values)


def test_several_data_sets_give_their_figures_together(tmp_path):
    first, one, _ = _write(tmp_path / "a")
    second, two, _ = _write(tmp_path / "b", slope=0.5, count=9)
    rule = normalization.rules("auto", [first, second], ["CT"])["CT"]
    low, high, offset, scale = rule.constants
    values = np.concatenate([one, two])
    assert (offset, 1 / scale) == pytest.approx((values.mean(), values.std()))
    ends = [
        part.splits["train"].intensities["foreground"].percentiles
        for part in (first, second)
    ]
    for found, place in ((low, 0), (high, -1)):
        few, many = (part[place] for part in ends)
        share = one.size / values.size
        assert found == pytest.approx(share * few + (1 - share) * many)
    assert f"deviation {values.std():g}" in rule.sentence


def test_zscore_dataset_takes_all_pixels_of_several(tmp_path):
    first, _, one = _write(tmp_path / "a", modality="MR")
    second, _, two = _write(tmp_path / "b", slope=0.5, count=5, modality="MR")
    rule = normalization.rules("zscore_dataset", [first, second], ["MR"])["MR"]
    values = np.concatenate([one.ravel(), two.ravel()])
    expected = (-math.inf, math.inf, values.mean(), 1 / values.std())
    assert rule.constants == pytest.approx(expected)


def test_each_of_several_needs_its_training_split(tmp_path):
    first, _, _ = _write(tmp_path / "a")
    second, _, _ = _write(tmp_path / "b", split="fold0")
    with pytest.raises(ValueError, match=r"has no train split .it has fold0"):
        normalization.rules("auto", [first, second], ["CT"])
    # What is of an image or a series needs none.
    rules = normalization.rules("auto", [first, second], ["MR", "PT"])
    assert list(rules) == ["MR", "PT"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
