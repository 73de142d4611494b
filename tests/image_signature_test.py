import hashlib
import sys

import numpy as np
import pytest

from tfdicom.image_signature import CELLS, LENGTH, pixel_hash, signature


def picture(shape=(96, 128)):
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[: shape[0], : shape[1]] / shape[0]
    waves = random.normal(size=(30, 3))
    image = sum(np.cos(9 * (a * rows + b * columns + c)) for a, b, c in waves)
    return np.rint(900 + 90 * image).astype(np.int16)


def values(pixels):
    return np.frombuffer(signature(pixels), np.int8).reshape(CELLS, CELLS)


def test_cells_hold_mean_ranks():
    """Against the definition, in floats and pixel by pixel."""
    pixels = picture((64, 48))
    ordered = np.sort(pixels, axis=None)
    below = np.searchsorted(ordered, pixels, "left")
    upto = np.searchsorted(ordered, pixels, "right")
    ranks = (below + upto) / 2
    cells = ranks.reshape(CELLS, 4, CELLS, 3).mean(axis=(1, 3))
    above = cells - cells.mean()
    wanted = above / np.abs(above).max() * 127
    np.testing.assert_allclose(values(pixels), wanted, atol=0.51)


@pytest.mark.parametrize(
    "changed",
    [
        lambda one: one.astype(np.float32) * 0.37 - 200,
        lambda one: one.astype(np.int32) << 12,
        lambda one: np.exp(one / 200),
        lambda one: one[..., np.newaxis],
        lambda one: np.repeat(one[..., np.newaxis], 3, axis=2),
        lambda one: np.asfortranarray(one),
    ],
)
def test_increasing_transforms_change_nothing(changed):
    assert signature(changed(picture())) == signature(picture())


def test_an_inverted_image_has_opposite_signs():
    np.testing.assert_allclose(values(-picture()), -values(picture()), atol=1)


def test_more_pixels_than_needed_change_little():
    large, small = picture((512, 512)), picture((128, 128))
    difference = np.abs(values(large).astype(int) - values(small))
    assert difference.max() <= 12


def test_bytes_are_the_same_everywhere():
    """They stand in files that are promised to be so."""
    digest = hashlib.sha256(signature(np.arange(96 * 70).reshape(96, 70) ** 2 % 997))
    assert digest.hexdigest().startswith("edd810a44fa5e4da")


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((40, 40), np.int16),
        np.full((5, 7, 3), 200, np.uint8),
        np.eye(300, dtype=np.float32)[:, ::-1] * (np.arange(300) < 2),
        np.full((20, 20), np.nan, np.float32),
        np.ones((1, 1), np.uint8),
    ],
)
def test_where_nothing_is_seen_there_is_none(pixels):
    assert signature(pixels) is None


@pytest.mark.parametrize("shape", [(3, 2), (1, 40), (15, 17), (16, 16), (31, 1000)])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64"])
def test_any_size_has_one(shape, dtype):
    pixels = np.random.default_rng(5).integers(0, 250, shape).astype(dtype)
    assert len(signature(pixels)) == LENGTH == 256


@pytest.mark.parametrize(
    ("values", "dtypes"),
    [
        ([0, 7, 255], ["uint8", "int16", "uint16", "int32", "uint32"]),
        ([0, 7, 4095], ["int16", "uint16", "int32", "uint32"]),
        ([-1024, 7, 3000], ["int16", "int32"]),
        ([-1, 7, 40000], ["int32", "int64"]),
    ],
)
def test_equal_values_have_one_hash_whatever_they_are_stored_in(values, dtypes):
    hashes = {pixel_hash(np.array([values], dtype=name)) for name in dtypes}
    assert len(hashes) == 1
    other = np.array([values], dtypes[-1])
    other[0, 0] += 1
    assert pixel_hash(other) not in hashes


def test_hash_tells_pixels_apart_but_not_constant_ones():
    pixels = np.arange(12, dtype=np.int16).reshape(3, 4)
    same = np.asfortranarray(pixels)
    others = [pixels.T, pixels + 1, pixels.reshape(4, 3)]
    hashes = [pixel_hash(one) for one in (pixels, same, *others)]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4
    assert pixel_hash(np.zeros((3, 4), np.int16)) is None
    assert pixel_hash(pixels[..., np.newaxis]) == hashes[0]
    assert pixel_hash(np.stack([pixels] * 3, axis=2)) not in hashes


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
