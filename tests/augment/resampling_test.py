import functools
import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.augment import ways
from tfdicom.augment import resampling, sampling, spatial
from tfdicom.augment.sampling import Places, Sampling

pytestmark = pytest.mark.long

EVERY_WAY = pytest.mark.parametrize("way", ways.WAYS)
ROWS, COLUMNS = 40, 37
IMAGE = np.random.default_rng(2).normal(10, 4, (3, ROWS, COLUMNS, 2))
IMAGE = IMAGE.astype(np.float32)
STEPS = tf.constant([[1.2, 3.0], [1.6, 1.5], [4.0, 0.5]])
LONGEST = 4.0


def _smoothed(image, steps=STEPS, *, longest=LONGEST, way="eager"):
    for axis in (1, 2):
        smooth = functools.partial(resampling.smooth, longest=longest, axis=axis)
        image = ways.run(smooth, way, tf.constant(image), steps)
    return image.numpy()


def _reference_sigma(step):
    """From the widths at half height: 2.3548 sigma."""
    return 0.0 if step <= 1.5 else math.sqrt(step**2 - 1) / 2.354820045


def test_step_and_middle():
    spacing = tf.constant([[1.5, 0.75], [0.5, 0.25]])
    found = resampling.step(spacing, (1.5, 1.5))
    np.testing.assert_array_equal(found, [[1, 2], [3, 6]])
    extent = tf.constant([[5, 8]])
    np.testing.assert_array_equal(resampling.middle(extent), [[2.0, 3.5]])


def test_deviation_makes_a_pixel_as_wide_as_the_step():
    steps = [0.3, 1.0, 1.5, 1.51, 2.0, 8.0]
    found = resampling.deviation(tf.constant(steps))
    np.testing.assert_allclose(found, [_reference_sigma(s) for s in steps], rtol=1e-6)


@EVERY_WAY
def test_smoothing_agrees_with_scipy(way):
    ndimage = pytest.importorskip("scipy.ndimage")
    found = _smoothed(IMAGE, way=way)
    radius = math.ceil(3 * _reference_sigma(LONGEST))
    for n, (down, across) in enumerate(STEPS.numpy()):
        expected = IMAGE[n].astype(float)
        for axis, step in enumerate((down, across)):
            if sigma := _reference_sigma(step):
                expected = ndimage.gaussian_filter1d(
                    expected, sigma, axis=axis, mode="reflect", truncate=radius / sigma
                )
        np.testing.assert_allclose(found[n], expected, atol=1e-5)


def test_short_steps_are_not_smoothed():
    found = _smoothed(IMAGE, tf.fill([3, 2], 1.5))
    np.testing.assert_array_equal(found, IMAGE)


@EVERY_WAY
def test_a_small_source_in_a_large_tensor_is_smoothed_as_if_alone(way):
    extent = tf.constant([[ROWS, COLUMNS], [9, 30], [3, 2]])
    padded = IMAGE.copy()
    for n, (rows, columns) in enumerate(extent.numpy()):
        padded[n, rows:], padded[n, :, columns:] = np.nan, np.nan
    whole = ways.run(resampling.mirrored, way, tf.constant(padded), extent)
    found = _smoothed(whole, tf.fill([3, 2], 3.0), longest=3.0)
    for n, (rows, columns) in enumerate(extent.numpy()[:2]):
        alone = _smoothed(
            IMAGE[n : n + 1, :rows, :columns], tf.fill([1, 2], 3.0), longest=3.0
        )
        np.testing.assert_allclose(found[n, :rows, :columns], alone[0], atol=1e-5)
    # Smaller than the kernel: mirrored again and again.
    expected = np.pad(IMAGE[2, :3, :2], [(0, 37), (0, 35), (0, 0)], "symmetric")
    np.testing.assert_array_equal(whole[2], expected)


def _resampled(image, mask, spacing, target, size, *, smooth=True, **how):
    """A batch of one, by the parts that ``pixel_work`` puts together."""
    image, mask = (one[np.newaxis, ..., np.newaxis] for one in (image, mask))
    spacing, extent = tf.constant([spacing]), tf.constant([image.shape[1:3]])
    step = resampling.step(spacing, target)
    matrix = spatial.source_matrix(
        spatial.motion(1, **how.pop("motion", {})),
        centre=resampling.middle(extent),
        size=size,
        spacing=spacing,
        step=step,
    )
    if smooth:
        image = _smoothed(image, step, longest=max(2.0, float(tf.reduce_max(step))))
    image, mask = sampling.warp(
        tf.constant(image),
        tf.constant(mask),
        Places(matrix=matrix, extent=extent),
        how=Sampling(size=size, **how),
        fill=tf.constant([0.0]),
    )
    return image[0, ..., 0].numpy(), mask[0, ..., 0].numpy()


@pytest.mark.parametrize("factor", [(0.5, 0.5), (2.0, 3.0), (1 / 3, 1.0)])
def test_plain_sampling_agrees_with_scipys_zoom(factor):
    ndimage = pytest.importorskip("scipy.ndimage")
    plane = IMAGE[0, :36, :36, 0]
    mask = (plane > 10).astype(np.uint8)
    size = tuple(round(36 * one) for one in factor)
    target = tuple(1.0 / one for one in factor)
    found, found_mask = _resampled(
        plane, mask, (1.0, 1.0), target, size, smooth=False, edge="nearest"
    )
    zoom = functools.partial(
        ndimage.zoom, zoom=factor, order=1, mode="nearest", grid_mode=True
    )
    np.testing.assert_allclose(found, zoom(plane.astype(float)), atol=1e-4)
    expected = zoom(mask.astype(float))
    sure = abs(expected - 0.5) > 1e-3
    np.testing.assert_array_equal(found_mask[sure], (expected >= 0.5)[sure])


# Between rows and columns of the source, and its size: 93.6 x 91 mm.
SPACING, SHAPE = (1.8, 0.7), (52, 130)
TARGETS = pytest.mark.parametrize(
    ("target", "size"),
    [((1.0, 1.0), (90, 90)), ((2.0, 1.25), (45, 71)), ((0.5, 0.6), (161, 150))],
)


def _distance(shape, spacing, row, column):
    """From each pixel's centre to a point, both from the image's middle, in mm."""
    rows, columns = (
        (np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)
    )
    return np.hypot(rows[:, None] - row, columns - column)


@TARGETS
@pytest.mark.parametrize("motion", [{}, {"rotation": 0.7}])
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_a_disc_stays_a_disc_of_its_size(target, size, interpolation, motion):
    radius, middle = 30.0, (0.0, 0.0) if motion else (4.0, -3.0)
    mask = (_distance(SHAPE, SPACING, *middle) <= radius).astype(np.uint8)
    found = _resampled(
        mask.astype(np.float32),
        mask,
        SPACING,
        target,
        size,
        mask_interpolation=interpolation,
        motion=motion,
    )
    expected = _distance(size, target, *middle) <= radius
    # Of its edge, where a source pixel is 1.8 mm high, some part is on either side.
    edge = 2 * math.pi * radius * 1.8 / math.prod(target)
    for one in (found[0] >= 0.5, found[1] == 1):
        assert (one != expected).sum() < 0.3 * edge
        area = one.sum() * math.prod(target)
        assert area == pytest.approx(math.pi * radius**2, rel=0.015)


@TARGETS
@pytest.mark.parametrize(
    ("motion", "middle"),
    [
        ({}, (10.0, -6.0)),
        # Counter-clockwise as displayed: what was right of the middle is above it.
        ({"rotation": math.pi / 2}, (6.0, 10.0)),
        ({"rotation": math.pi / 6, "sign_columns": -1.0}, None),
        ({"scale_rows": 1.3, "scale_columns": 1.3}, (13.0, -7.8)),
    ],
    ids=str,
)
def test_a_place_stays_the_same_in_millimetres(target, size, motion, middle):
    if middle is None:
        c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
        middle = (10.0 * c - 6.0 * s, 10.0 * s + 6.0 * c)
    wide, zoom = 12.0, motion.get("scale_rows", 1.0)
    blob = np.exp(-0.5 * (_distance(SHAPE, SPACING, 10.0, -6.0) / wide) ** 2)
    found, _ = _resampled(
        blob.astype(np.float32),
        np.zeros(SHAPE, np.uint8),
        SPACING,
        target,
        size,
        motion=motion,
    )
    distance = _distance(size, target, *middle)
    expected = np.exp(-0.5 * (distance / wide / zoom) ** 2)
    near = distance < 20
    np.testing.assert_allclose(found[near], expected[near], atol=0.006)


@pytest.mark.parametrize("period", [2, 3])
def test_what_is_too_fine_becomes_grey_and_not_a_pattern(period):
    row, column = np.mgrid[:96, :96]
    pattern = ((row + column) % period == 0).astype(np.float32)
    mask = np.zeros((96, 96), np.uint8)
    arguments = (pattern, mask, (1.0, 1.0), (3.1, 3.1), (30, 30))
    inner = (slice(2, -2), slice(2, -2))
    found = _resampled(*arguments)[0][inner]
    assert np.abs(found - pattern.mean()).max() < 0.03
    plain = _resampled(*arguments, smooth=False)[0][inner]
    assert np.ptp(plain) > 0.3  # the same pattern without smoothing


def test_of_a_chirp_what_the_output_can_show_stays_and_no_more():
    step, length = 4.0, 1024
    at = np.arange(length)
    frequency = at / length / 2  # cycles per pixel, up to the source's own limit
    chirp = np.cos(2 * np.pi * np.cumsum(frequency)).astype(np.float32)
    image = np.tile(chirp, (8, 1))
    mask = np.zeros((8, length), np.uint8)
    found, _ = _resampled(image, mask, (1.0, 1.0), (1.0, step), (8, 256))
    where = at.reshape(-1, 4).mean(axis=1) / length / 2
    slow, fast = where < 0.25 / step, where > 1.0 / step
    assert np.abs(found[4, slow]).max() > 0.8
    assert np.abs(found[4, fast][:-1]).max() < 0.05
    plain, _ = _resampled(image, mask, (1.0, 1.0), (1.0, step), (8, 256), smooth=False)
    assert np.abs(plain[4, fast]).max() > 0.5


def test_options_are_by_keyword():
    assert ways.positional(resampling) == {
        "step": ["spacing", "target"],
        "middle": ["extent"],
        "deviation": ["step"],
        "smooth": ["image", "step"],
        "mirrored": ["image", "extent"],
    }


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
