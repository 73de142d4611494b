import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom import example_parser, example_schema, normalization, preprocess
from tfdicom.intensity_statistics import PERCENTILES
from tfdicom.manifest import load_manifest

NAMES = (
    *preprocess.FEATURES,
    "series_statistics",
    "suv_factor",
    "modality",
    "key",
    "pixels",
)


def _parsed(*frames: synthetic.Frame) -> dict[str, tf.Tensor]:
    examples = [synthetic.make_example(frame, i) for i, frame in enumerate(frames)]
    records = tf.constant([example_schema.encode(one) for one in examples])
    parsed = example_parser.parse(records, NAMES, sizes={})
    parsed["pixels"] = example_parser.decode_pixels(
        parsed["pixels"], dtype=examples[0].dtype, shape=examples[0].shape
    )
    return parsed


def _normalized(rules, *frames: synthetic.Frame) -> np.ndarray:
    parsed = _parsed(*frames)

    @tf.function(jit_compile=True)
    def pixel_part(numbers, pixels, record):
        values = preprocess.modality_values(pixels, record)
        return preprocess.normalize(values, numbers)

    numeric = {n: parsed[n] for n in preprocess.FEATURES}
    numbers = preprocess.coefficients(rules, parsed)
    return pixel_part(numbers, parsed["pixels"], numeric).numpy()


FRAMES = [
    synthetic.Frame(slope=2.0, intercept=-30.0),
    synthetic.Frame(slope=0.25, intercept=7.5),
]


def _values(frame: synthetic.Frame, number: int) -> np.ndarray:
    stored = synthetic.draw_pixels(frame, number).astype(np.float64)
    return stored * frame.slope + frame.intercept


def _z(v):
    return (v - v.mean()) / v.std()


def _series_z(v):  # the figures of synthetic.series_figures
    return (v - (v.mean() + 3)) / (2 * v.std())


def _span(low, high):
    def scaled(v):
        a, b = np.percentile(v, [low, high], method="inverted_cdf")
        return (np.clip(v, a, b) - a) / (b - a)

    return scaled


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [
        ("none", lambda v: v),
        ("zscore_image", _z),
        ("zscore_series", _series_z),
        ("auto", _series_z),
        ("min_max", lambda v: (v - v.min()) / (v.max() - v.min())),
        ("percentiles:1:99", _span(1, 99)),
        ("percentiles:0.5:75", _span(0.5, 75)),
        ("window:40:400", lambda v: np.clip((v - 39.5) / 399 + 0.5, 0, 1)),
    ],
)
def test_every_way_agrees_with_numpy(tmp_path, normalize, expected):
    synthetic.write_dataset(tmp_path, {"train": {"a": FRAMES}})
    rules = normalization.rules(normalize, load_manifest(tmp_path), ["MR"])
    found = _normalized(rules, *FRAMES)
    for number, frame in enumerate(FRAMES):
        wanted = expected(_values(frame, number))
        # Percentiles are stored with 12 bits of mantissa.
        tolerance = 2e-3 if "percent" in normalize else 2e-5
        scale = max(1.0, abs(wanted).max())
        np.testing.assert_allclose(found[number], wanted, atol=tolerance * scale)


@pytest.mark.parametrize("normalize", ["auto", "zscore_dataset"])
def test_ways_of_the_training_split_agree_with_numpy(tmp_path, normalize):
    frames = synthetic.frames(3, modality="CT", slope=0.5, intercept=-100.0)
    other = synthetic.frames(2, modality="CT")
    synthetic.write_dataset(tmp_path, {"train": {"a": frames}, "test": {"b": other}})
    rules = normalization.rules(normalize, load_manifest(tmp_path), ["CT"])
    pixels = [synthetic.draw_pixels(f, i) for i, f in enumerate(frames)]
    masks = [synthetic.draw_masks(f, i).any(axis=0) for i, f in enumerate(frames)]
    values = np.stack(pixels) * 0.5 - 100
    found = _normalized(rules, *frames)
    if normalize == "auto":
        inside = values[np.stack(masks)]
        low, high = np.percentile(inside, [0.5, 99.5], method="inverted_cdf")
        wanted = (np.clip(values, low, high) - inside.mean()) / inside.std()
    else:
        wanted = _z(values)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_pet_takes_the_suv_factor_where_there_is_one(tmp_path):
    frames = [
        synthetic.Frame(modality="PT", suv_factor=0.01, slope=3.0),
        synthetic.Frame(modality="PT", slope=3.0),
    ]
    synthetic.write_dataset(tmp_path, {"train": {"a": frames}})
    rules = normalization.rules("auto", load_manifest(tmp_path), ["PT"])
    found = _normalized(rules, *frames)
    np.testing.assert_allclose(found[0], _values(frames[0], 0) * 0.01, rtol=1e-5)
    np.testing.assert_allclose(found[1], _values(frames[1], 1), rtol=1e-5)


def test_mixed_modalities_choose_for_each_example(tmp_path):
    frames = [
        synthetic.Frame(modality=modality, suv_factor=0.5)
        for modality in ("US", "PT", "CT", "MR", "PT")
    ]
    synthetic.write_dataset(tmp_path, {"train": {"a": frames}})
    manifest = load_manifest(tmp_path)
    rules = normalization.rules("auto", manifest, [f.modality for f in frames])
    assert "modality" in preprocess.features(rules)
    found = _normalized(rules, *frames)
    values = [_values(frame, i) for i, frame in enumerate(frames)]
    np.testing.assert_allclose(found[0], _z(values[0]), atol=1e-4)
    np.testing.assert_allclose(found[1], values[1] * 0.5, rtol=1e-5)
    low, high, mean, scale = rules["CT"].constants
    np.testing.assert_allclose(
        found[2], (np.clip(values[2], low, high) - mean) * scale, atol=1e-4
    )
    np.testing.assert_allclose(found[3], _series_z(values[3]), atol=1e-4)
    np.testing.assert_allclose(found[4], values[4] * 0.5, rtol=1e-5)


def _rules(name: str) -> dict:
    return {"MR": normalization._FIXED[name]}


@pytest.mark.parametrize("name", ["zscore_image", "zscore_series", "min_max"])
def test_constant_images_and_images_of_padding_become_zero(name):
    constant = np.full((12, 16, 1), 7, np.int16)
    found = _normalized(
        _rules(name),
        synthetic.Frame(pixels=constant, slope=0.1),
        synthetic.Frame(pixels=constant, padding=(7.0, 7.0)),
    )
    np.testing.assert_array_equal(found, np.zeros_like(found))


def test_padding_becomes_the_smallest_real_value():
    pixels = synthetic.draw_pixels(synthetic.Frame(), 3)
    pixels[0], pixels[1, 3] = -2000, -1990
    frame = synthetic.Frame(pixels=pixels, padding=(-2000.0, -1990.0), slope=2.0)
    found = _normalized(_rules("none"), frame)[0]
    real = pixels[pixels > -1990] * 2.0
    assert found.min() == real.min()
    assert (found[0] == real.min()).all() and found[1, 3, 0] == real.min()
    np.testing.assert_array_equal(found[2:], pixels[2:] * 2.0)


def test_what_is_not_finite_counts_as_padding():
    pixels = synthetic.draw_pixels(synthetic.Frame(dtype="float32"), 3)
    pixels[0, :3, 0] = np.nan, np.inf, -np.inf
    found = _normalized(_rules("zscore_image"), synthetic.Frame(pixels=pixels))[0]
    real = pixels[np.isfinite(pixels)].astype(np.float64)
    lowest = (real.min() - real.mean()) / real.std()
    np.testing.assert_allclose(found[0, :3, 0], lowest, rtol=1e-5)
    np.testing.assert_allclose(found[1:], (pixels[1:] - real.mean()) / real.std(), 1e-4)


def test_absent_series_statistics_stop_the_reading():
    frame = synthetic.Frame(series_statistics=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match="lack series/statistics"):
        _normalized(_rules("zscore_series"), frame)
    _normalized(_rules("zscore_image"), frame)


def test_figures_of_the_normalized_image():
    parsed = _parsed(*FRAMES, synthetic.Frame(padding=(-4000.0, 4000.0)))
    numbers = preprocess.coefficients(_rules("zscore_series"), parsed)
    figures = preprocess.normalized_figures(parsed, numbers)
    minimum, mean, deviation = (
        figures[name] for name in ("minimum", "mean", "deviation")
    )
    for number, frame in enumerate(FRAMES):
        wanted = _series_z(_values(frame, number))
        figures = (minimum[number], mean[number], deviation[number])
        expected = (wanted.min(), wanted.mean(), wanted.std())
        np.testing.assert_allclose(figures, expected, atol=1e-4)
    assert (minimum[2], mean[2], deviation[2]) == (0, 0, 0)


def test_only_what_is_needed_is_parsed():
    assert preprocess.features(_rules("zscore_image")) == ("image_statistics",)
    assert "series_statistics" in preprocess.features(_rules("zscore_series"))
    assert 0.5 in PERCENTILES and math.isclose(PERCENTILES[-1], 99.5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
