import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom.augment import sampling, spatial
from tfdicom.augment.sampling import Places, Sampling

pytestmark = pytest.mark.long

BATCH, ROWS, COLUMNS = 2, 23, 18
RANDOM = np.random.default_rng(5)
IMAGE = RANDOM.normal(10, 4, (BATCH, ROWS, COLUMNS, 1)).astype(np.float32)
MASK = (RANDOM.random((BATCH, ROWS, COLUMNS, 2)) < 0.4).astype(np.uint8)
FILL = tf.constant([-3.0, 7.0])
SPACING = tf.constant([[1.0, 1.0], [2.0, 0.8]])

MOTIONS = {
    "rotation": {"rotation": 0.4},
    "scale": {"scale_rows": 1.3, "scale_columns": 1.3},
    "shift": {"shift_rows": 2.25, "shift_columns": -1.5},
    "flips": {"sign_rows": -1.0, "sign_columns": -1.0},
    "all": {
        "rotation": [-0.7, 2.1],
        "scale_rows": [0.8, 1.2],
        "scale_columns": 1.1,
        "shear": 0.3,
        "shift_rows": 1.7,
        "sign_columns": [1.0, -1.0],
    },
}


def _extent(rows=ROWS, columns=COLUMNS):
    return tf.tile(tf.constant([[rows, columns]]), [BATCH, 1])


def _warp(
    image,
    mask,
    matrix,
    *,
    size=(ROWS, COLUMNS),
    extent=None,
    fill=FILL,
    field=None,
    jit_compile=False,
    **how,
):
    extent = _extent(*image.shape[1:3]) if extent is None else extent
    return sampling.warp(
        tf.constant(image),
        tf.constant(mask),
        Places(matrix=matrix, extent=extent, field=field),
        how=Sampling(size=size, **how),
        fill=fill,
        jit_compile=jit_compile,
    )


def _warp_packed(pixels, mask, matrix, *, fill=FILL, field=None, signed=True, **how):
    """The packed way, with a span and clip that change nothing."""
    how = Sampling(size=(ROWS, COLUMNS), **how)
    planes = mask.shape[-1]
    words = sampling.pack(
        tf.constant(pixels[..., 0]),
        tf.transpose(mask, [0, 3, 1, 2]),
        tf.fill([BATCH, 2], math.nan),
        tf.zeros([BATCH], tf.int32),
    )
    low = min(pixels.min(), FILL.numpy().min())
    span = tf.constant([[low, pixels.max()]] * BATCH, tf.float32)
    packed = sampling.warp_packed(
        words,
        span,
        tf.constant([[-1e9, 1e9]] * BATCH),
        fill,
        *Places(matrix=matrix, extent=_extent(), field=field),
        how=how,
        planes=planes,
        signed=signed,
    )
    image = sampling.unpack_image(packed, span[:, 0], span[:, 1])
    return image, sampling.unpack_mask(packed, planes=planes)


def _matrix(motion, *, size=(ROWS, COLUMNS), extent=None, spacing=SPACING):
    extent = _extent() if extent is None else extent
    move = spatial.motion(BATCH, **motion)
    centre = spatial.window_centre(extent, size)
    return spatial.source_matrix(move, centre=centre, size=size, spacing=spacing)


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
    window = (_extent(), spatial.centred_start(_extent(), size))
    image = sampling.crop_or_pad(tf.constant(IMAGE), FILL, *window, size=size)
    zeros = tf.zeros([BATCH], tf.uint8)
    mask = sampling.crop_or_pad(tf.constant(MASK), zeros, *window, size=size)
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


def _reference_edge(plane, matrix, mode, fill=0.0):
    ndimage = pytest.importorskip("scipy.ndimage")
    swapped = np.asarray(matrix, np.float64)[[1, 0, 2]][:, [1, 0, 2]]
    return ndimage.affine_transform(
        plane.astype(np.float64), swapped, order=1, mode=mode, cval=fill
    )


@pytest.mark.parametrize(
    ("edge", "mode"), [("nearest", "nearest"), ("reflect", "mirror")]
)
def test_edges_agree_with_scipy(edge, mode):
    matrix = _matrix({"rotation": 0.5, "shift_rows": 9.0, "scale_columns": 0.7})
    image, _ = _warp(IMAGE, MASK, matrix, edge=edge)
    for n in range(BATCH):
        expected = _reference_edge(IMAGE[n, ..., 0], matrix[n], mode)
        np.testing.assert_allclose(image[n, ..., 0], expected, atol=1e-3)


def test_nearest_mask_is_that_of_the_nearest_pixel():
    matrix = _matrix(MOTIONS["all"])
    _, mask = _warp(IMAGE, MASK, matrix, mask_interpolation="nearest")
    row, column = np.mgrid[:ROWS, :COLUMNS]
    points = np.stack([column, row, np.ones_like(row)], -1).reshape(-1, 3)
    for n in range(BATCH):
        x, y, _ = (matrix[n].numpy().astype(np.float64) @ points.T).round(6)
        sure = (abs(x % 1 - 0.5) > 1e-3) & (abs(y % 1 - 0.5) > 1e-3)
        at_row, at_column = np.rint(y).astype(int), np.rint(x).astype(int)
        sure &= (
            (at_row >= 0) & (at_row < ROWS) & (at_column >= 0) & (at_column < COLUMNS)
        )
        expected = MASK[n][at_row[sure], at_column[sure]]
        np.testing.assert_array_equal(mask[n].numpy().reshape(-1, 2)[sure], expected)


def test_cubic_is_exact_for_a_quadratic():
    # Catmull-Rom reproduces quadratics; checked away from the border.
    row, column = np.mgrid[:ROWS, :COLUMNS]
    plane = (0.3 * row**2 - 0.2 * row * column + column).astype(np.float32)
    image = np.tile(plane[None, ..., None], (BATCH, 1, 1, 1))
    motion = {"shift_rows": 0.37, "shift_columns": -0.61}
    moved, _ = _warp(image, MASK, _matrix(motion), image_interpolation="cubic")
    y, x = row - 0.37, column + 0.61
    expected = 0.3 * y**2 - 0.2 * y * x + x
    inner = (slice(3, -3), slice(3, -3))
    for n in range(BATCH):
        np.testing.assert_allclose(
            moved[n, ..., 0].numpy()[inner], expected[inner], atol=2e-3
        )


def test_a_field_moves_before_the_matrix():
    field = np.zeros((BATCH, 2, ROWS, COLUMNS), np.float32)
    field[:, 0] += 2.0
    field[:, 1] -= 1.0
    image, mask = _warp(IMAGE, MASK, _matrix({}), field=tf.constant(field))
    np.testing.assert_array_equal(image[:, :-2, 1:], IMAGE[:, 2:, :-1])
    np.testing.assert_array_equal(mask[:, :-2, 1:], MASK[:, 2:, :-1])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"mask_interpolation": "nearest"},
        {"edge": "nearest"},
        {"edge": "reflect"},
    ],
    ids=str,
)
def test_packed_agrees_with_unpacked(dtype, how):
    limits = np.iinfo(dtype)
    shape = (BATCH, ROWS, COLUMNS, 1)
    pixels = RANDOM.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    mask = (RANDOM.random((BATCH, ROWS, COLUMNS, 8)) < 0.4).astype(np.uint8)
    matrix = _matrix(MOTIONS["all"])
    field = tf.constant(RANDOM.normal(size=(BATCH, 2, ROWS, COLUMNS)), tf.float32)
    signed = not dtype.startswith("u")
    image, planes = _warp_packed(
        pixels, mask, matrix, field=field, signed=signed, **how
    )
    expected, expected_planes = _warp(
        pixels.astype(np.float32), mask, matrix, field=field, **how
    )
    span = float(limits.max) - limits.min
    np.testing.assert_allclose(image, expected, atol=2e-7 * span + 1e-4)
    differing = (planes.numpy() != expected_planes.numpy()).mean()
    assert differing < 1e-3  # ties of the threshold


def test_packed_padding_is_replaced():
    pixels = np.full((BATCH, ROWS, COLUMNS, 1), 50, np.int16)
    pixels[:, :5] = -2000
    words = sampling.pack(
        tf.constant(pixels[..., 0]),
        tf.zeros([BATCH, 1, ROWS, COLUMNS], tf.uint8),
        tf.constant([[-2000.0, -1500.0], [math.nan, math.nan]]),
        tf.constant([7, 7]),
    )
    values = tf.bitwise.right_shift(words, 16).numpy()
    assert (values[0, :5] == 7).all() and (values[0, 5:] == 50).all()
    assert (values[1, :5] == -2000).all()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("edge", ["constant", "reflect"])
def test_a_soft_mask_is_a_linear_image(edge, jit_compile):
    matrix = spatial.source_matrix(
        spatial.motion(BATCH, rotation=0.4, shift_rows=2.25),
        centre=spatial.window_centre(_extent(), (ROWS, COLUMNS)),
        size=(ROWS, COLUMNS),
        spacing=SPACING,
    )
    fields = {"edge": edge, "jit_compile": jit_compile}
    soft = np.concatenate([IMAGE, 1 - IMAGE], axis=3)
    _, found = _warp(IMAGE, soft, matrix, image_interpolation="cubic", **fields)
    wanted, _ = _warp(soft, MASK, matrix, fill=tf.zeros([BATCH]), **fields)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
