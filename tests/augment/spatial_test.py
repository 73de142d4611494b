import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom.augment import random_stream, spatial
from tfdicom.augment.presets import AugmentOptions

BATCH, ROWS, COLUMNS = 2, 23, 18
RANDOM = np.random.default_rng(5)
IMAGE = RANDOM.normal(10, 4, (BATCH, ROWS, COLUMNS, 1)).astype(np.float32)
MASK = (RANDOM.random((BATCH, ROWS, COLUMNS, 2)) < 0.4).astype(np.uint8)
FILL = tf.constant([-3.0, 7.0])
SPACING = tf.constant([[1.0, 1.0], [2.0, 0.8]])

MOTIONS = {
    "rotation": {"rotation": 0.4},
    "scale": {"scale": 1.3},
    "shift": {"shift_rows": 2.25, "shift_columns": -1.5},
    "flips": {"sign_rows": -1.0, "sign_columns": -1.0},
    "all": {
        "rotation": [-0.7, 2.1],
        "scale": [0.8, 1.2],
        "shift_rows": 1.7,
        "sign_columns": [1.0, -1.0],
    },
}


def _extent(rows=ROWS, columns=COLUMNS):
    return tf.tile(tf.constant([[rows, columns]]), [BATCH, 1])


def _warp(
    image, mask, matrix, *, size=(ROWS, COLUMNS), extent=None, fill=FILL, **options
):
    extent = _extent(*image.shape[1:3]) if extent is None else extent
    return spatial.warp(
        tf.constant(image),
        tf.constant(mask),
        matrix,
        extent=extent,
        size=size,
        fill=fill,
        **options,
    )


def _matrix(motion, *, size=(ROWS, COLUMNS), extent=None, spacing=SPACING):
    extent = _extent() if extent is None else extent
    move = spatial.motion(BATCH, **motion)
    return spatial.source_matrix(move, extent=extent, size=size, spacing=spacing)


def _scipy(plane, matrix, size, fill):
    """The same by scipy, whose matrices map (row, column)."""
    ndimage = pytest.importorskip("scipy.ndimage")
    swapped = np.asarray(matrix, np.float64)[[1, 0, 2]][:, [1, 0, 2]]
    return ndimage.affine_transform(
        plane.astype(np.float64),
        swapped,
        output_shape=size,
        order=1,
        mode="grid-constant",
        cval=fill,
    )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("size", [(ROWS, COLUMNS), (16, 31)])
@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS)
def test_warp_agrees_with_scipy(motion, size, jit_compile):
    matrix = _matrix(motion, size=size)
    image, mask = _warp(IMAGE, MASK, matrix, size=size, jit_compile=jit_compile)
    assert image.shape == (BATCH, *size, 1) and mask.shape == (BATCH, *size, 2)
    for n in range(BATCH):
        expected = _scipy(IMAGE[n, ..., 0], matrix[n], size, float(FILL[n]))
        np.testing.assert_allclose(image[n, ..., 0], expected, atol=1e-4)
        for k in range(2):
            expected = _scipy(MASK[n, ..., k], matrix[n], size, 0.0)
            sure = abs(expected - 0.5) > 1e-4
            assert (mask[n, ..., k].numpy()[sure] == (expected >= 0.5)[sure]).all()


def test_neutral_motion_is_the_identity_bit_by_bit():
    matrix = _matrix({})
    np.testing.assert_array_equal(matrix, np.tile(np.eye(3), (BATCH, 1, 1)))
    image, mask = _warp(IMAGE, MASK, matrix)
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(mask, MASK)


def test_flips_mirror_bit_by_bit():
    image, mask = _warp(IMAGE, MASK, _matrix({"sign_columns": -1.0}))
    np.testing.assert_array_equal(image, IMAGE[:, :, ::-1])
    np.testing.assert_array_equal(mask, MASK[:, :, ::-1])
    image, mask = _warp(IMAGE, MASK, _matrix({"sign_rows": -1.0}))
    np.testing.assert_array_equal(image, IMAGE[:, ::-1])
    np.testing.assert_array_equal(mask, MASK[:, ::-1])


def test_shift_moves_the_content_down_and_right():
    image, _ = _warp(IMAGE, MASK, _matrix({"shift_rows": 3.0, "shift_columns": 2.0}))
    np.testing.assert_array_equal(image[:, 3:, 2:], IMAGE[:, :-3, :-2])
    np.testing.assert_array_equal(image[0, :3], np.full((3, COLUMNS, 1), -3.0))


def test_quarter_turn_is_counter_clockwise():
    square = IMAGE[:, :18]
    matrix = _matrix(
        {"rotation": math.pi / 2},
        size=(18, 18),
        extent=_extent(18, 18),
        spacing=tf.ones([BATCH, 2]),
    )
    image, _ = _warp(square, MASK[:, :18], matrix, size=(18, 18))
    inner = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(
        image[inner], np.rot90(square, axes=(1, 2))[inner], atol=1e-3
    )


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.8), (0.5, 1.7)])
@pytest.mark.parametrize("angle", [0.3, -1.2])
def test_rotation_and_scale_are_true_in_millimetres(angle, spacing):
    matrix = _matrix(
        {"rotation": angle, "scale": 1.25}, spacing=tf.constant([spacing] * BATCH)
    ).numpy()[0]
    to_mm = np.diag([spacing[1], spacing[0]])
    in_mm = to_mm @ matrix[:2, :2] @ np.linalg.inv(to_mm)
    c, s = math.cos(angle), math.sin(angle)
    np.testing.assert_allclose(in_mm, np.array([[c, -s], [s, c]]) / 1.25, atol=1e-6)
    middle = np.array([(COLUMNS - 1) / 2, (ROWS - 1) / 2, 1])
    np.testing.assert_allclose(matrix @ middle, middle, atol=1e-5)


@pytest.mark.parametrize("absent", [math.nan, 0.0])
def test_without_spacing_pixels_are_square(absent):
    unknown = _matrix({"rotation": 0.3}, spacing=tf.fill([BATCH, 2], absent))
    square = _matrix({"rotation": 0.3}, spacing=tf.ones([BATCH, 2]))
    np.testing.assert_array_equal(unknown, square)


def test_image_and_mask_stay_together():
    # A smooth blob, and the mask of where it is over a half.
    row, column = np.mgrid[:64, :64]
    blob = np.exp(-(((row - 30) / 13) ** 2) - ((column - 35) / 9) ** 2)
    image = np.tile(blob.astype(np.float32)[None, ..., None], (BATCH, 1, 1, 1))
    mask = (image >= 0.5).astype(np.uint8)
    extent = _extent(64, 64)
    for name, motion in MOTIONS.items():
        matrix = _matrix(motion, size=(64, 64), extent=extent)
        moved, moved_mask = _warp(
            image, mask, matrix, size=(64, 64), fill=tf.zeros([BATCH])
        )
        from_image = moved.numpy() >= 0.5
        differing = (from_image != (moved_mask.numpy() == 1)).sum(axis=(1, 2, 3))
        # Interpolation moves the edge by a fraction of a pixel at most.
        edge = 2 * math.pi * math.sqrt(13**2 + 9**2) / 2**0.5 * math.log(2) ** 0.5
        assert (differing < 0.35 * edge).all(), name
        assert from_image.sum() > 200, name


def test_each_source_ends_at_its_extent():
    extent = tf.constant([[ROWS, COLUMNS], [9, 7]])
    image, mask = IMAGE.copy(), MASK.copy()
    image[1, 9:], image[1, :, 7:] = np.nan, np.nan
    mask[1, 9:], mask[1, :, 7:] = 1, 1
    matrix = _matrix({"rotation": 0.3}, size=(12, 12), extent=extent)
    moved, moved_mask = _warp(image, mask, matrix, size=(12, 12), extent=extent)
    expected = _scipy(IMAGE[1, :9, :7, 0], matrix[1], (12, 12), 7.0)
    np.testing.assert_allclose(moved[1, ..., 0], expected, atol=1e-4)
    expected = _scipy(MASK[1, :9, :7, 0], matrix[1], (12, 12), 0.0) >= 0.5
    assert (moved_mask[1, ..., 0].numpy() == expected).all()


def test_colour_and_many_classes():
    image = RANDOM.normal(size=(BATCH, ROWS, COLUMNS, 3)).astype(np.float32)
    mask = (RANDOM.random((BATCH, ROWS, COLUMNS, 40)) < 0.5).astype(np.uint8)
    matrix = _matrix(MOTIONS["all"])
    moved, moved_mask = _warp(image, mask, matrix)
    for k in range(3):
        alone, _ = _warp(image[..., k : k + 1], mask[..., :1], matrix)
        np.testing.assert_array_equal(moved[..., k : k + 1], alone)
    for k in (0, 30, 31, 39):
        _, alone = _warp(image[..., :1], mask[..., k : k + 1], matrix)
        np.testing.assert_array_equal(moved_mask[..., k : k + 1], alone)


@pytest.mark.parametrize("size", [(16, 12), (30, 25), (15, 25), (23, 18), (22, 19)])
def test_crop_or_pad_agrees_with_tensorflow_and_with_the_matrix(size):
    image = spatial.crop_or_pad(tf.constant(IMAGE), FILL, _extent(), size=size)
    zeros = tf.zeros([BATCH], tf.uint8)
    mask = spatial.crop_or_pad(tf.constant(MASK), zeros, _extent(), size=size)
    # Shifted by the fill value, as TensorFlow pads with 0.
    shifted = IMAGE - FILL.numpy()[:, None, None, None]
    expected = tf.image.resize_with_crop_or_pad(shifted, *size)
    expected += FILL[:, None, None, None]
    np.testing.assert_allclose(image, expected, atol=1e-6)
    expected = tf.image.resize_with_crop_or_pad(MASK, *size)
    np.testing.assert_array_equal(mask, expected)
    warped, warped_mask = _warp(IMAGE, MASK, _matrix({}, size=size), size=size)
    np.testing.assert_array_equal(image, warped)
    np.testing.assert_array_equal(mask, warped_mask)


def test_random_motion_keeps_its_ranges():
    hashes = tf.range(2000, dtype=tf.int64)
    draws = random_stream.draw(seed=0, epoch=tf.constant(0, tf.int64), key_hash=hashes)
    options = AugmentOptions(
        rotation=30, scale=0.25, shift=0.1, flip_left_right=0.25, shift_probability=0.5
    )
    move = spatial.random_motion(draws, options, size=(50, 100))
    for value, low, high in (
        (move.rotation, -math.pi / 6, math.pi / 6),
        (move.scale, 0.8, 1.25),
        (move.shift_rows, -5, 5),
        (move.shift_columns, -10, 10),
    ):
        span = high - low
        assert low <= value.numpy().min() < low + 0.02 * span
        assert high - 0.02 * span < value.numpy().max() <= high
    assert np.mean(move.shift_rows == 0) == pytest.approx(0.5, abs=0.05)
    assert np.mean(move.sign_columns == -1) == pytest.approx(0.25, abs=0.04)
    assert np.all(move.sign_rows == 1)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
