import functools
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.augment import ways
from tfdicom.augment import filters
from tfdicom.augment.augment_options import FILTERS, AugmentOptions

pytestmark = pytest.mark.long

BATCH, ROWS, COLUMNS = len(ways.KEYS), 17, 24
IMAGE = np.random.default_rng(3).normal(4, 2, (BATCH, ROWS, COLUMNS, 2))
IMAGE = IMAGE.astype(np.float32)
SIGMAS = np.linspace(0.2, 2.0, BATCH).astype(np.float32)
AXES = pytest.mark.parametrize("axis", [1, 2], ids=["rows", "columns"])
EVERY_WAY = pytest.mark.parametrize("way", ways.WAYS)

EVERYTHING = AugmentOptions(
    blur=1.5,
    blur_probability=0.5,
    sharpen=1.0,
    sharpen_probability=0.5,
    low_resolution=2.0,
    low_resolution_probability=0.5,
    bias_field=0.5,
    bias_field_probability=0.5,
)


def _only(name, **changes):
    return AugmentOptions(**{name: getattr(EVERYTHING, name), **changes})


def _apply(options, *, way="eager", keys=ways.KEYS, image=IMAGE, epoch=0):
    draws = ways.draws(keys, epoch=epoch)

    def function(image):
        minimum = tf.fill([len(keys)], -3.0)
        return filters.apply(image, draws, options, minimum=minimum)

    return ways.run(function, way, tf.constant(image)).numpy()


def _gaussian(image, sigma, axis, radius):
    ndimage = pytest.importorskip("scipy.ndimage")
    return ndimage.gaussian_filter1d(
        image, sigma, axis=axis, mode="reflect", truncate=radius / sigma
    )


@AXES
@EVERY_WAY
def test_blur_agrees_with_scipy(axis, way):
    blur = functools.partial(
        filters.blur, sigma=tf.constant(SIGMAS), radius=6, axis=axis
    )
    found = ways.run(blur, way, tf.constant(IMAGE))
    for n in range(BATCH):
        expected = _gaussian(IMAGE[n].astype(float), SIGMAS[n], axis - 1, 6)
        np.testing.assert_allclose(found[n], expected, atol=1e-5)


@AXES
def test_blur_of_a_point_is_the_gaussian(axis):
    image = np.zeros((1, 31, 31, 1), np.float32)
    image[0, 15, 15] = 1
    found = filters.blur(image, sigma=tf.constant([2.0]), radius=8, axis=axis)
    distance = np.arange(-15, 16)
    expected = np.exp(-(distance**2) / 8) * (abs(distance) <= 8)
    line = np.moveaxis(found[0, ..., 0].numpy(), axis - 1, 0)[:, 15]
    np.testing.assert_allclose(line, expected / expected.sum(), atol=1e-6)


@AXES
def test_blur_by_nothing_and_of_a_constant(axis):
    zero, two = tf.zeros([BATCH]), tf.fill([BATCH], 2.0)
    same = filters.blur(IMAGE, sigma=zero, radius=3, axis=axis)
    np.testing.assert_array_equal(same, IMAGE)
    constant = np.full_like(IMAGE, 7.0)
    # A kernel longer than the image is cut off.
    found = filters.blur(constant, sigma=two, radius=50, axis=axis)
    np.testing.assert_allclose(found, constant, rtol=1e-6)


@EVERY_WAY
def test_sharpening_adds_what_the_blur_takes_away(way):
    def function(image):
        return filters.sharpen(image, amount=tf.constant(SIGMAS))

    found = ways.run(function, way, tf.constant(IMAGE))
    for n in range(BATCH):
        smooth = _gaussian(IMAGE[n].astype(float), 1.0, 0, 3)
        smooth = _gaussian(smooth, 1.0, 1, 3)
        expected = IMAGE[n] + SIGMAS[n] * (IMAGE[n] - smooth)
        np.testing.assert_allclose(found[n], expected, atol=2e-5)


@AXES
@EVERY_WAY
@pytest.mark.parametrize("count", [24, 12, 7, 5, 1])
def test_coarse_sampling_agrees_with_resize(axis, count, way):
    image = IMAGE[:, :ROWS, :COLUMNS] if axis == 2 else IMAGE.transpose(0, 2, 1, 3)
    factor = tf.fill([BATCH], COLUMNS / count)
    coarsen = functools.partial(filters.coarsen, factor=factor, axis=axis)
    found = ways.run(coarsen, way, tf.constant(image))
    coarse, size = list(image.shape[1:3]), image.shape[1:3]
    coarse[axis - 1] = count
    small = tf.image.resize(image, coarse, method="nearest")
    expected = tf.image.resize(small, size, method="bilinear")
    np.testing.assert_allclose(found, expected, atol=1e-4)


@EVERY_WAY
def test_bias_field_is_the_exponential_of_the_polynomial(way):
    coefficients = np.random.default_rng(1).uniform(-1, 1, (BATCH, 9))
    coefficients = coefficients.astype(np.float32)

    def function(image):
        return filters.multiply_bias_field(
            image,
            coefficients=tf.constant(coefficients),
            minimum=tf.fill([BATCH], -3.0),
        )

    found = ways.run(function, way, tf.constant(IMAGE))
    powers = [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0)]
    for n in range(BATCH):
        c = np.zeros((4, 4))
        for (i, j), value in zip(powers, coefficients[n], strict=True):
            c[i, j] = value
        field = np.polynomial.polynomial.polygrid2d(
            np.linspace(-1, 1, ROWS), np.linspace(-1, 1, COLUMNS), c
        )
        expected = (IMAGE[n] + 3) * np.exp(field)[..., None] - 3
        np.testing.assert_allclose(found[n], expected, rtol=2e-5, atol=2e-5)


def test_coefficients_keep_their_range():
    draws = ways.draws(np.arange(1000))
    found = filters.random_coefficients(draws, AugmentOptions(bias_field=0.5))
    assert found.shape == (1000, 9)
    assert -0.5 <= found.numpy().min() < -0.499
    assert 0.499 < found.numpy().max() <= 0.5


@pytest.mark.parametrize("name", FILTERS)
def test_alone_it_changes_all_or_with_probability_some(name):
    image = _apply(_only(name))
    # A very small number may change nothing.
    assert sum((image[n] != IMAGE[n]).any() for n in range(BATCH)) >= BATCH - 1
    some = _apply(_only(name, **{f"{name}_probability": 0.5}))
    changed = [(some[n] != IMAGE[n]).any() for n in range(BATCH)]
    assert 0 < sum(changed) < BATCH
    np.testing.assert_array_equal(some[changed], image[changed])


@pytest.mark.parametrize("way", ["eager", "map_xla"])
def test_an_example_looks_the_same_in_any_batch(way):
    whole = _apply(EVERYTHING, way=way)
    np.testing.assert_allclose(whole, _apply(EVERYTHING), atol=1e-4)
    for some in (slice(4, 9),):
        found = _apply(EVERYTHING, way=way, keys=ways.KEYS[some], image=IMAGE[some])
        np.testing.assert_allclose(found, whole[some], atol=1e-4)


def test_another_epoch_looks_different():
    first, second = _apply(EVERYTHING), _apply(EVERYTHING, epoch=1)
    assert sum((first[n] != second[n]).any() for n in range(BATCH)) > BATCH / 2


def test_what_is_off_gives_the_same_tensor():
    image = tf.constant(IMAGE)
    options = AugmentOptions(blur=1.0, blur_probability=0.0)
    minimum = tf.zeros([BATCH])
    assert filters.apply(image, ways.draws(), options, minimum=minimum) is image


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
