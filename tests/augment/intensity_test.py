import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom.augment import intensity
from tfdicom.augment.presets import AugmentOptions

IMAGE = np.random.default_rng(0).normal(3, 2, (4, 5, 6, 2)).astype(np.float32)
NUMBERS = np.array([0.5, -1.0, 0.0, 2.0], np.float32)


def test_brightness_adds():
    found = intensity.adjust_brightness(IMAGE, addition=NUMBERS)
    np.testing.assert_allclose(found, IMAGE + NUMBERS[:, None, None, None])


def test_contrast_multiplies_about_the_pivot():
    pivot = np.array([3, 0, -2, 1], np.float32)[:, None, None, None]
    factor = np.array([2, 0.5, 1, 1.5], np.float32)[:, None, None, None]
    found = intensity.adjust_contrast(IMAGE, factor=factor, pivot=pivot)
    np.testing.assert_allclose(found, pivot + (IMAGE - pivot) * factor, atol=1e-5)


def test_neutral_numbers_give_the_image_back_bit_by_bit():
    pivot = tf.constant(NUMBERS * 1000 / 7)
    same = intensity.adjust_contrast(IMAGE, factor=tf.ones([4]), pivot=pivot)
    np.testing.assert_array_equal(same, IMAGE)
    same = intensity.adjust_brightness(IMAGE, addition=tf.zeros([4]))
    np.testing.assert_array_equal(same, IMAGE)


def _draws(gate: float, value: float) -> dict[str, tf.Tensor]:
    pair = tf.constant([[gate, value]])
    return {"brightness": pair, "contrast": pair}


@pytest.mark.parametrize(
    ("value", "addition", "factor"), [(0.0, -0.3, 0.5), (0.5, 0.0, 1.0)]
)
def test_random_numbers_span_the_range(value, addition, factor):
    options = AugmentOptions(brightness=0.3, contrast=1.0)
    draws = _draws(0.2, value)
    found = intensity.random_addition(draws, options).numpy()
    np.testing.assert_allclose(found, [addition], atol=1e-6)
    found = intensity.random_factor(draws, options).numpy()
    np.testing.assert_allclose(found, [factor], atol=1e-6)


def test_probability_leaves_the_others_alone():
    options = AugmentOptions(
        brightness=0.3,
        contrast=1.0,
        brightness_probability=0.5,
        contrast_probability=0.5,
    )
    assert intensity.random_addition(_draws(0.6, 0.0), options)[0] == 0
    assert intensity.random_factor(_draws(0.6, 0.0), options)[0] == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
