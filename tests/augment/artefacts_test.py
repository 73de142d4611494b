import functools
import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.augment import ways
from tfdicom.augment import artefacts
from tfdicom.augment.augment_options import ARTEFACTS, AugmentOptions

BATCH = len(ways.KEYS)
SHARES = np.linspace(0, 0.9, BATCH).astype(np.float32)
SIZES = pytest.mark.parametrize("size", [(16, 24), (17, 20), (12, 15), (9, 7)])
# XLA's Fourier transform is slow on a CPU, and yet right.
EVERY_WAY = pytest.mark.parametrize("way", ways.WAYS)

EVERYTHING = AugmentOptions(
    gibbs=0.6,
    gibbs_probability=0.5,
    ghosting=0.8,
    ghosting_probability=0.5,
    spike=1.0,
    spike_probability=0.5,
)


@functools.cache
def _image(size=(16, 24)):
    random = np.random.default_rng(sum(size))
    return random.normal(2, 1, (BATCH, *size, 2)).astype(np.float32)


def _waves(length):
    return np.rint(np.fft.fftfreq(length) * length)


def _through_numpy(image, gain):
    """One image through k-space; gain ``[rows, columns]``."""
    spectrum = np.fft.fft2(image.astype(float), axes=(0, 1)) * gain[..., None]
    found = np.fft.ifft2(spectrum, axes=(0, 1))
    assert abs(found.imag).max() < 1e-9
    return found.real


@SIZES
@EVERY_WAY
def test_high_frequencies_go(size, way):
    cut = functools.partial(artefacts.cut_high_frequencies, share=tf.constant(SHARES))
    found = ways.run(cut, way, tf.constant(_image(size)))
    for n in range(BATCH):
        kept = [abs(np.fft.fftfreq(one)) <= 0.5 * (1 - SHARES[n]) for one in size]
        expected = _through_numpy(_image(size)[n], np.outer(*kept))
        np.testing.assert_allclose(found[n], expected, atol=5e-5)
    np.testing.assert_allclose(found[0], _image(size)[0], atol=5e-5)


@SIZES
@EVERY_WAY
def test_lines_of_ghosts_lose_signal(size, way):
    spacing = np.arange(BATCH) % 7 + 2.0
    vertical = np.arange(BATCH) % 2 == 0
    add = functools.partial(
        artefacts.add_ghosts,
        share=tf.constant(SHARES),
        spacing=tf.constant(spacing, tf.float32),
        vertical=tf.constant(vertical),
    )
    found = ways.run(add, way, tf.constant(_image(size)))
    for n in range(BATCH):
        waves = abs(_waves(size[0] if vertical[n] else size[1]))
        loses = (waves % spacing[n] == 0) & (waves > 0.01 * len(waves))
        gain = 1 - SHARES[n] * loses
        gain = gain[:, None] * np.ones(size) if vertical[n] else np.ones(size) * gain
        expected = _through_numpy(_image(size)[n], gain)
        np.testing.assert_allclose(found[n], expected, atol=5e-5)


def test_ghosts_of_a_point_stand_in_equal_distances():
    image = np.zeros((1, 64, 32, 1), np.float32)
    image[0, 10, 5] = 1
    found = artefacts.add_ghosts(
        image,
        share=tf.constant([0.8]),
        spacing=tf.constant([4.0]),
        vertical=tf.constant([True]),
    )[0, ..., 0].numpy()
    assert abs(np.delete(found, 5, axis=1)).max() < 1e-6
    ghosts = np.flatnonzero(abs(found[:, 5]) > 0.1)
    np.testing.assert_array_equal(ghosts, [10, 26, 42, 58])


@SIZES
@EVERY_WAY
def test_stripes_are_the_transform_of_a_spike(size, way):
    random = np.random.default_rng(4)
    rows = random.integers(-(size[0] // 4), size[0] // 4 + 1, BATCH)
    columns = random.integers(0, size[1] // 4 + 1, BATCH)
    phase = random.uniform(0, 2 * math.pi, BATCH)
    amplitude = random.uniform(0, 2, BATCH)
    add = functools.partial(
        artefacts.add_stripes,
        amplitude=tf.constant(amplitude, tf.float32),
        row_waves=tf.constant(rows, tf.float32),
        column_waves=tf.constant(columns, tf.float32),
        phase=tf.constant(phase, tf.float32),
    )
    found = ways.run(add, way, tf.constant(_image(size)))
    for n in range(BATCH):
        spike = np.zeros(size, complex)
        spike[rows[n], columns[n]] = amplitude[n] * np.exp(1j * phase[n])
        stripes = np.fft.ifft2(spike).real * np.prod(size)
        expected = _image(size)[n] + stripes[..., None]
        np.testing.assert_allclose(found[n], expected, atol=5e-5)


def test_random_numbers_keep_their_ranges():
    draws = ways.draws(np.arange(3000))
    options = AugmentOptions(ghosting=0.5, spike=2.0)
    ghosts = artefacts.random_ghosts(draws, options)
    assert set(ghosts["spacing"].numpy()) == {2, 3, 4, 5, 6, 7, 8}
    assert np.mean(ghosts["vertical"]) == pytest.approx(0.5, abs=0.05)
    assert np.max(ghosts["share"]) == pytest.approx(0.5, abs=0.01)
    spike = artefacts.random_spike(draws, options, size=(64, 40))
    assert set(spike["row_waves"].numpy()) == set(range(-16, 17))
    assert set(spike["column_waves"].numpy()) == set(range(11))
    assert np.max(spike["amplitude"]) == pytest.approx(2, abs=0.01)
    assert np.max(spike["phase"]) == pytest.approx(2 * math.pi, abs=0.01)


def _apply(options, *, way="eager", keys=ways.KEYS, some=slice(None), epoch=0):
    draws = ways.draws(keys, epoch=epoch)

    def function(image):
        deviation = tf.fill([len(keys)], 1.5)
        return artefacts.apply(image, draws, options, deviation=deviation)

    return ways.run(function, way, tf.constant(_image()[some])).numpy()


@pytest.mark.parametrize("name", ARTEFACTS)
def test_alone_it_changes_all_or_with_probability_some(name):
    only = {name: getattr(EVERYTHING, name)}
    image = _apply(AugmentOptions(**only))
    assert all((image[n] != _image()[n]).any() for n in range(BATCH))
    some = _apply(AugmentOptions(**only, **{f"{name}_probability": 0.5}))
    changed = [(some[n] != _image()[n]).any() for n in range(BATCH)]
    assert 0 < sum(changed) < BATCH
    np.testing.assert_array_equal(some[changed], image[changed])


@pytest.mark.parametrize("way", ["eager", "map_xla"])
def test_an_example_looks_the_same_in_any_batch(way):
    whole = _apply(EVERYTHING, way=way)
    np.testing.assert_allclose(whole, _apply(EVERYTHING), atol=1e-4)
    for some in (slice(4, 9),):
        found = _apply(EVERYTHING, way=way, keys=ways.KEYS[some], some=some)
        np.testing.assert_allclose(found, whole[some], atol=1e-4)


def test_another_epoch_looks_different():
    first, second = _apply(EVERYTHING), _apply(EVERYTHING, epoch=1)
    assert sum((first[n] != second[n]).any() for n in range(BATCH)) > BATCH / 2


def test_what_is_off_gives_the_same_tensor():
    image = tf.constant(_image())
    deviation = tf.ones([BATCH])
    options = AugmentOptions(spike=1.0, spike_probability=0.0)
    assert artefacts.apply(image, ways.draws(), options, deviation=deviation) is image


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
