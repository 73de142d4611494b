import math
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdicom.augment import random_stream, spatial
from tfdicom.augment.augment_options import AugmentOptions

BATCH, ROWS, COLUMNS = 2, 23, 18
SPACING = tf.constant([[1.0, 1.0], [2.0, 0.8]])
EXTENT = tf.constant([[ROWS, COLUMNS]] * BATCH)


def _matrix(motion, *, size=(ROWS, COLUMNS), spacing=SPACING, step=None):
    move = spatial.motion(BATCH, **motion)
    centre = spatial.window_centre(EXTENT, size)
    return spatial.source_matrix(
        move, centre=centre, size=size, spacing=spacing, step=step
    )


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 0.8), (0.5, 1.7)])
@pytest.mark.parametrize("angle", [0.3, -1.2])
def test_rotation_and_scale_are_true_in_millimetres(angle, spacing):
    matrix = _matrix(
        {"rotation": angle, "scale_rows": 1.25, "scale_columns": 1.25},
        spacing=tf.constant([spacing] * BATCH),
    ).numpy()[0]
    to_mm = np.diag([spacing[1], spacing[0]])
    in_mm = to_mm @ matrix[:2, :2] @ np.linalg.inv(to_mm)
    c, s = math.cos(angle), math.sin(angle)
    np.testing.assert_allclose(in_mm, np.array([[c, -s], [s, c]]) / 1.25, atol=1e-6)
    middle = np.array([(COLUMNS - 1) / 2, (ROWS - 1) / 2, 1])
    np.testing.assert_allclose(matrix @ middle, middle, atol=1e-5)


@pytest.mark.parametrize("target", [(1.0, 1.0), (3.0, 0.7)])
def test_with_a_step_the_motion_is_in_millimetres_too(target):
    motion = {
        "rotation": 0.4,
        "shear": 0.3,
        "scale_rows": 1.25,
        "scale_columns": 0.8,
        "sign_columns": -1.0,
        "shift_columns": 2.0,
    }
    size = (11, 13)
    step = tf.constant(target) / SPACING
    matrix = _matrix(motion, size=size, step=step).numpy().astype(float)
    # The same motion of pixels of 1 x 1 mm.
    plain = _matrix(motion, size=size, spacing=tf.ones([BATCH, 2])).numpy()[0]
    for n in range(BATCH):
        to_mm = np.diag([target[1], target[0]])
        from_mm = np.diag(1 / SPACING[n].numpy()[::-1])
        expected = from_mm @ plain[:2, :2] @ to_mm
        np.testing.assert_allclose(matrix[n, :2, :2], expected, atol=1e-5)
        # Shifts are in pixels of the output.
        shifted_middle = np.array([(size[1] - 1) / 2 + 2, (size[0] - 1) / 2, 1])
        centre = spatial.window_centre(EXTENT, size).numpy()[n, ::-1]
        np.testing.assert_allclose((matrix[n] @ shifted_middle)[:2], centre, atol=1e-5)


def test_a_step_of_one_changes_nothing():
    motion = {"rotation": [0.4, -2.0], "shear": 0.3, "scale_rows": 1.25}
    np.testing.assert_array_equal(
        _matrix(motion, step=tf.ones([BATCH, 2])), _matrix(motion)
    )


@pytest.mark.parametrize("absent", [math.nan, 0.0])
def test_without_spacing_pixels_are_square(absent):
    unknown = _matrix({"rotation": 0.3}, spacing=tf.fill([BATCH, 2], absent))
    square = _matrix({"rotation": 0.3}, spacing=tf.ones([BATCH, 2]))
    np.testing.assert_array_equal(unknown, square)


def test_random_motion_keeps_its_ranges():
    hashes = tf.range(2000, dtype=tf.int64)
    draws = random_stream.draw(seed=0, epoch=tf.constant(0, tf.int64), key_hash=hashes)
    options = AugmentOptions(
        rotation=30, scale=0.25, shift=0.1, flip_left_right=0.25, shift_probability=0.5
    )
    move = spatial.random_motion(draws, options, size=(50, 100))
    for value, low, high in (
        (move.rotation, -math.pi / 6, math.pi / 6),
        (move.scale_rows, 0.8, 1.25),
        (move.shift_rows, -5, 5),
        (move.shift_columns, -10, 10),
    ):
        span = high - low
        assert low <= value.numpy().min() < low + 0.02 * span
        assert high - 0.02 * span < value.numpy().max() <= high
    assert np.mean(move.shift_rows == 0) == pytest.approx(0.5, abs=0.05)
    # An example is shifted or not, both ways together, but not by the same share.
    still = move.shift_rows.numpy() == 0
    np.testing.assert_array_equal(move.shift_columns.numpy() == 0, still)
    both = np.corrcoef(move.shift_rows.numpy()[~still], move.shift_columns[~still])
    assert abs(both[0, 1]) < 0.1
    assert np.mean(move.sign_columns == -1) == pytest.approx(0.25, abs=0.04)
    assert np.all(move.sign_rows == 1)


def _draws(count=4000):
    return random_stream.draw(
        seed=0,
        epoch=tf.constant(0, tf.int64),
        key_hash=tf.range(count, dtype=tf.int64),
    )


def test_neutral_motion_is_the_identity():
    np.testing.assert_array_equal(_matrix({}), np.tile(np.eye(3), (BATCH, 1, 1)))


def test_shear_leans_columns_in_millimetres():
    matrix = _matrix({"shear": 0.5}).numpy()
    to_mm = np.diag([0.8, 2.0])
    in_mm = to_mm @ matrix[1, :2, :2] @ np.linalg.inv(to_mm)
    np.testing.assert_allclose(in_mm, [[1, 0.5], [0, 1]], atol=1e-6)


def test_quarter_turns_are_all_drawn():
    options = AugmentOptions(rotate_90=0.8)
    move = spatial.random_motion(_draws(), options, size=(50, 50))
    turns, counts = np.unique(
        np.rint(move.rotation / (math.pi / 2)), return_counts=True
    )
    assert turns.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(counts / 4000, [0.4, 0.2, 0.2, 0.2], atol=0.03)


def _centres(options, points, *, extent, size, step=None, weights=None):
    draws = _draws()
    count = 4000
    extent = tf.constant([extent] * count)
    centre = spatial.window_centre(extent, size)
    points = tf.constant(np.tile(points, (count, 1, 1, 1)), tf.int64)
    window = {"extent": extent, "size": size, "points": points}
    window["class_weights"] = weights
    if step is not None:
        window["step"] = tf.constant([step] * count)
    moved = spatial.random_centre(draws, options, centre, **window)
    return centre.numpy(), moved.numpy()


def test_random_crop_is_anywhere_inside():
    options = AugmentOptions(random_crop=1.0)
    points = np.full((1, 1, 2), -1)
    _, moved = _centres(options, points, extent=(40, 30), size=(20, 20))
    start = moved - 9.5
    assert (start == np.rint(start)).all()
    assert start[:, 0].min() == 0 and start[:, 0].max() == 20
    assert start[:, 1].min() == 0 and start[:, 1].max() == 10


@pytest.mark.parametrize("options", ["random_crop", "foreground_crop"])
@pytest.mark.parametrize("step", [(1.6, 2.3), (0.4, 0.7), (1.0, 1.0)])
def test_a_window_with_a_step_covers_more_or_less_of_the_source(step, options):
    options = AugmentOptions(**{options: 1.0})
    points = np.array([[[0, 0], [39, 29], [20, 15]]])
    extent, size = (40, 30), (12, 10)
    _, moved = _centres(options, points, extent=extent, size=size, step=step)
    for axis in (0, 1):
        half = (size[axis] * step[axis] - min(step[axis], 1)) / 2
        highest = extent[axis] - 1 - half
        places = np.unique(moved[:, axis])
        assert places[0] == pytest.approx(half, abs=1e-4)
        assert highest - 1 < places[-1] <= highest + 1e-4
        at = places - half
        np.testing.assert_allclose(at, np.rint(at), atol=1e-4)
    if step == (1.0, 1.0):
        _, expected = _centres(options, points, extent=extent, size=size)
        np.testing.assert_array_equal(moved, expected)


def test_foreground_crop_is_about_a_point_of_a_random_class():
    # Two points of the first class, none of the second, one of the third.
    points = np.array([[[20, 15], [22, 15]], [[-1, -1]] * 2, [[18, 12], [-1, -1]]])
    options = AugmentOptions(foreground_crop=1.0)
    _, moved = _centres(options, points, extent=(40, 30), size=(11, 11))
    found, counts = np.unique(moved, axis=0, return_counts=True)
    assert found.tolist() == [[18, 12], [20, 15], [22, 15]]
    np.testing.assert_allclose(counts / 4000, [0.5, 0.25, 0.25], atol=0.03)


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ((3.0, 9.0, 1.0), (0.75, 0.25)),
        ((0.0, 1.0, 2.0), (0.0, 1.0)),
        ((1, 0, 0), (1, 0)),
    ],
)
def test_foreground_crop_chooses_classes_by_weight(weights, shares):
    points = np.array([[[20, 15]], [[-1, -1]], [[18, 12]]])
    options = AugmentOptions(foreground_crop=1.0)
    window = {"extent": (40, 30), "size": (11, 11), "weights": weights}
    _, moved = _centres(options, points, **window)
    found = [(moved == place).all(axis=1).mean() for place in ((20, 15), (18, 12))]
    np.testing.assert_allclose(found, shares, atol=0.03)
    # Only a class that is not wanted is there.
    centre, moved = _centres(options, points[1:2], **{**window, "weights": (0.0,)})
    np.testing.assert_array_equal(moved, centre)


@pytest.mark.parametrize("number", [0.0, 1 - 2**-24])
def test_the_outermost_draws_choose_a_class_that_is_there(number):
    points = np.array([[[-1, -1]], [[20, 15]], [[18, 12]], [[-1, -1]]])
    draws = {"foreground_crop_place": tf.fill([1, 2], np.float32(number))}
    points = tf.constant(points[np.newaxis], tf.int64)
    found, point = spatial._foreground_point(draws, points, None)
    assert found and point.numpy().tolist() == [[20, 15] if number < 0.5 else [18, 12]]


def test_windows_stay_inside_and_the_rest_stays_centred():
    points = np.array([[[0, 29]]])
    options = AugmentOptions(foreground_crop=0.5)
    centre, moved = _centres(options, points, extent=(40, 30), size=(11, 11))
    assert set(map(tuple, moved)) == {(5.0, 24.0), tuple(centre[0])}
    centre, moved = _centres(options, points, extent=(40, 30), size=(60, 60))
    np.testing.assert_array_equal(moved, centre)


def test_without_foreground_the_window_stays():
    options = AugmentOptions(foreground_crop=1.0)
    centre, moved = _centres(
        options, np.full((2, 4, 2), -1), extent=(40, 30), size=(8, 8)
    )
    np.testing.assert_array_equal(moved, centre)


def test_displacement_of_equal_nodes_is_a_shift():
    nodes = tf.ones([BATCH, 6, 6, 2]) * tf.constant([0.5, -0.25])
    field = spatial.displacement(
        nodes, amplitude=tf.fill([BATCH], 0.1), size=(ROWS, COLUMNS)
    )
    assert field.shape == (BATCH, 2, ROWS, COLUMNS)
    np.testing.assert_allclose(field[:, 0], 0.5 * 0.1 * ROWS, rtol=1e-5)
    np.testing.assert_allclose(field[:, 1], -0.25 * 0.1 * COLUMNS, rtol=1e-5)


def test_displacement_is_smooth_and_bounded():
    options = AugmentOptions(elastic=0.05, elastic_probability=0.5)
    field = spatial.random_displacement(_draws(200), options, size=(64, 64)).numpy()
    assert np.abs(field).max() <= 0.05 * 64
    assert np.abs(np.diff(field, n=2, axis=2)).max() < 0.1
    still = (field == 0).all(axis=(1, 2, 3)).mean()
    assert still == pytest.approx(0.5, abs=0.12)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
