import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom.augment import random_stream

ONES = 0xFFFFFFFF


def _pair(low: int, high: int) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.constant([low], tf.uint32), tf.constant([high], tf.uint32)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # kat_vectors of Random123, threefry 2x32, 20 rounds
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((ONES, ONES), (ONES, ONES), (0x1CB996FC, 0xBB002BE7)),
        (
            (0x243F6A88, 0x85A308D3),
            (0x13198A2E, 0x03707344),
            (0xC4923A9C, 0x483DF7A0),
        ),
    ],
)
def test_threefry_gives_the_published_vectors(counter, key, expected, jit_compile):
    function = tf.function(random_stream.threefry2x32, jit_compile=jit_compile)
    words = function(_pair(*key), _pair(*counter))
    assert tuple(int(word[0]) for word in words) == expected


@pytest.mark.parametrize("value", [0, 1, -1, 2**62, -(2**63), 0x123456789ABCDEF])
def test_words_are_the_two_halves(value):
    low, high = (int(word) for word in random_stream.words(value))
    assert low | high << 32 == value % 2**64


def _draw(count=4096, **fields) -> dict[str, np.ndarray]:
    hashes = np.random.default_rng(1).integers(-(2**63), 2**63, count, np.int64)
    given = {"seed": 3, "epoch": tf.constant(0, tf.int64), "key_hash": hashes}
    draws = random_stream.draw(**{**given, **fields})
    return {name: one.numpy() for name, one in draws.items()}


def test_numbers_are_uniform_and_independent():
    draws = np.concatenate(list(_draw().values()), axis=1)
    assert draws.min() >= 0 and draws.max() < 1 and draws.dtype == np.float32
    # Of n uniform numbers the mean lies within 5 / sqrt(12 n) of a half.
    assert abs(draws.mean(axis=0) - 0.5).max() < 5 / np.sqrt(12 * len(draws))
    assert abs(draws.var(axis=0) - 1 / 12).max() < 0.007
    correlations = np.corrcoef(draws.T) - np.eye(draws.shape[1])
    assert abs(correlations).max() < 5 / np.sqrt(len(draws))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"seed": 3 + 2**32},
        {"epoch": tf.constant(1, tf.int64)},
        {"occurrence": 1},
    ],
)
def test_every_part_of_the_name_counts(change):
    before, after = _draw()["scale"], _draw(**change)["scale"]
    assert (before == after).mean() < 0.01
    assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.05


def test_both_halves_of_the_key_count():
    hashes = np.array([5, 6, 5 + 2**32, 5 + 2**63 - 2**64], np.int64)
    values = _draw(key_hash=hashes)["rotation"]
    assert len(np.unique(values)) == values.size


def test_an_example_draws_the_same_in_any_batch():
    hashes = np.arange(7, dtype=np.int64)
    whole = _draw(key_hash=hashes)
    alone = [_draw(key_hash=hashes[i : i + 1]) for i in range(7)]
    for name, value in whole.items():
        np.testing.assert_array_equal(value, np.concatenate([a[name] for a in alone]))


def test_xla_and_graph_give_equal_bits():
    hashes = tf.constant(np.arange(9), tf.int64)
    epochs = tf.constant([0] * 4 + [1] * 5, tf.int64)
    plain, compiled = (
        tf.function(
            lambda: random_stream.draw(seed=1, epoch=epochs, key_hash=hashes),
            jit_compile=jit_compile,
        )()
        for jit_compile in (False, True)
    )
    for name, value in plain.items():
        np.testing.assert_array_equal(value, compiled[name])


def test_chosen_and_symmetric_keep_their_promise():
    draws = tf.constant(_draw()["scale"])
    assert np.mean(random_stream.chosen(draws, 0.3)) == pytest.approx(0.3, abs=0.03)
    assert not np.any(random_stream.chosen(draws, 0.0))
    assert np.all(random_stream.chosen(draws, 1.0))
    values = random_stream.symmetric(draws, 2.0, 0.5).numpy()
    assert np.mean(values == 0) == pytest.approx(0.5, abs=0.03)
    assert values.min() == pytest.approx(-2, abs=0.02)
    assert values.max() == pytest.approx(2, abs=0.02)


def _noise(count=65536, examples=32, **fields) -> np.ndarray:
    hashes = tf.range(examples, dtype=tf.int64)
    draws = _draw(key_hash=hashes, **fields)["noise_pixels"]
    return random_stream.normal(tf.constant(draws), count).numpy().astype(float)


def test_normal_numbers_have_the_moments_and_the_tails():
    values = _noise().ravel()
    n = len(values)
    assert abs(values.mean()) < 5 / n**0.5
    assert abs(values.var() - 1) < 5 * (2 / n) ** 0.5 + 0.001
    assert abs((values**3).mean()) < 5 * (15 / n) ** 0.5
    assert (values**4).mean() == pytest.approx(3, abs=0.03)
    for limit in (0.25, 0.5, 1, 1.5, 2, 2.5, 3, 3.5):
        expected = math.erfc(limit / 2**0.5)
        assert (abs(values) > limit).mean() == pytest.approx(expected, rel=0.15)
        assert abs((abs(values) > limit).mean() - expected) < 0.006
    assert 4.5 < abs(values).max() < 6
    assert len(np.unique(values[:65536].astype(np.float32))) > 60000


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (0, 2), (0, 128), (128, 0)])
def test_noise_of_neighbours_is_independent(shift):
    noise = _noise().reshape(32, 256, 256)
    product = noise * np.roll(noise, shift, axis=(1, 2))
    assert abs(product.mean()) < 5 / product.size**0.5


def test_noise_has_no_period():
    noise = _noise().reshape(32, 256, 256)
    power = abs(np.fft.fft2(noise)) ** 2 / 65536
    # Of n exponential numbers the largest is about log n.
    assert power.max() < math.log(power.size) + 7


@pytest.mark.parametrize(
    "other",
    [{"seed": 4}, {"epoch": tf.constant(1, tf.int64)}, {"occurrence": 1}],
    ids=["seed", "epoch", "occurrence"],
)
def test_noise_differs_from_example_to_example(other):
    noise = np.concatenate([_noise(), _noise(**other)])
    correlations = np.corrcoef(noise) - np.eye(len(noise))
    assert abs(correlations).max() < 5.5 / 256


def test_parts_of_the_noise_are_independent():
    draws = tf.constant(_draw()["rician_pixels"][:4])
    first, second = (random_stream.normal(draws, 65536, part=i) for i in (0, 1))
    both = np.corrcoef(np.concatenate([first, second])) - np.eye(8)
    assert abs(both).max() < 5 / 256


def test_more_numbers_are_uniform_and_independent():
    values = random_stream.more(tf.constant(_draw()["elastic_field"]), 12).numpy()
    assert values.min() >= 0 and values.max() < 1 and values.shape == (4096, 12)
    assert abs(values.mean(axis=0) - 0.5).max() < 5 / np.sqrt(12 * 4096)
    correlations = np.corrcoef(values.T) - np.eye(12)
    assert abs(correlations).max() < 5 / np.sqrt(4096)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_graph_and_xla_give_the_eager_numbers(jit_compile):
    draws = tf.constant(_draw(count=3)["noise_pixels"])
    expected = random_stream.more(draws, 50), random_stream.normal(draws, 50)

    @tf.function(jit_compile=jit_compile)
    def found():
        return random_stream.more(draws, 50), random_stream.normal(draws, 50)

    np.testing.assert_array_equal(found()[0], expected[0])
    np.testing.assert_allclose(found()[1], expected[1], atol=2e-6)


def test_operations_have_numbers_of_their_own():
    numbers = list(random_stream.OPERATIONS.values())
    assert len(set(numbers)) == len(numbers)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
