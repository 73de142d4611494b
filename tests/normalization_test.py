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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
