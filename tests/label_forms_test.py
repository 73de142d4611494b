import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from tfdicom import label_forms

pytestmark = pytest.mark.long

RANDOM = np.random.default_rng(6)
UNKNOWN = 255
PLANES = RANDOM.choice(
    np.array([0, 1, UNKNOWN], np.uint8), (3, 11, 7, 3), p=[0.5, 0.3, 0.2]
)
WAYS = ["eager", "map", "compiled"]


def _run(function, way, *tensors, **fixed):
    """The function eagerly, inside ``Dataset.map``, or compiled by XLA."""
    tensors = tuple(map(tf.constant, tensors))
    if way == "eager":
        return function(*tensors, **fixed).numpy()
    if way == "compiled":
        compiled = tf.function(lambda *args: function(*args, **fixed), jit_compile=True)
        return compiled(*tensors).numpy()
    data = tf.data.Dataset.from_tensors(tensors)
    (found,) = data.map(lambda *args: function(*args, **fixed)).as_numpy_iterator()
    return found


def _winner(pixel, order, unknown=UNKNOWN):
    """The label of one pixel, by the rule's words."""
    for place in order:
        if pixel[place] == UNKNOWN:
            return unknown
        if pixel[place] == 1:
            return place + 1
    return 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_label_map_is_the_first_class_of_the_order(way, order):
    labels = _run(label_forms.label_map, way, PLANES, order=order)
    assert labels.dtype == np.uint8
    wanted = np.apply_along_axis(_winner, -1, PLANES, order)
    np.testing.assert_array_equal(labels, wanted)
    assert set(np.unique(labels)) == {0, 1, 2, 3, UNKNOWN}


@pytest.mark.parametrize(
    ("classes", "dtype", "unknown"), [(254, np.uint8, 255), (255, np.int32, -1)]
)
def test_many_classes_have_a_label_each(classes, dtype, unknown):
    way = "compiled"
    planes = np.zeros((1, 1, classes + 2, classes), np.uint8)
    planes[0, 0, range(classes), range(classes)] = 1
    planes[0, 0, classes] = UNKNOWN
    order = range(classes)
    labels = _run(label_forms.label_map, way, planes, order=order)
    assert labels.dtype == dtype
    np.testing.assert_array_equal(labels[0, 0], [*range(1, classes + 1), unknown, 0])
    weights = _run(
        label_forms.label_weights, way, labels, classes=classes, weights=None
    )
    np.testing.assert_array_equal(weights[0, 0], [1.0] * classes + [0.0, 1.0])
    known = _run(label_forms.without_unknown, way, labels, classes=classes)
    np.testing.assert_array_equal(known[0, 0], [*range(1, classes + 1), 0, 0])
    hot = _run(label_forms.one_hot, way, labels, classes=classes)
    assert hot.dtype == np.uint8 and hot.shape == (1, 1, classes + 2, classes + 1)
    assert (hot[0, 0, classes] == UNKNOWN).all()
    known = np.delete(hot[0, 0], classes, axis=0)
    assert (known.sum(axis=-1) == 1).all()
    np.testing.assert_array_equal(known.argmax(-1), [*range(1, classes + 1), 0])


def _discs(rows, columns, count):
    """Discs, one of them cut by the border, and pixels at random."""
    y, x = np.mgrid[:rows, :columns]
    planes = np.zeros((count, rows, columns, 3), np.uint8)
    for n in range(count):
        row, column, radius = RANDOM.uniform([0, 0, 3], [rows, columns, rows / 3])
        planes[n, ..., 0] = (y - row) ** 2 + (x - column) ** 2 < radius**2
        planes[n, ..., 1] = (y - 2) ** 2 + (x - 1) ** 2 < radius**2
    planes[..., 2] = RANDOM.random(planes.shape[:3]) < 0.03
    return planes


def _scipy_distance(planes, limit):
    """Outside the distance to the class, inside minus the distance to its outside."""
    found = np.zeros(planes.shape)
    for n, k in np.ndindex(planes.shape[0], planes.shape[3]):
        plane = planes[n, ..., k] == 1
        if not plane.any() or plane.all():
            found[n, ..., k] = -limit if plane.all() else limit
            continue
        edt = ndimage.distance_transform_edt
        found[n, ..., k] = edt(~plane) - edt(plane)
    return np.clip(found, -limit, limit)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limit", [1, 5, 30])
def test_distances_agree_with_scipy(way, limit):
    planes = _discs(37, 52, 3)
    found = _run(label_forms.signed_distance, way, planes, limit=limit)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _scipy_distance(planes, limit), rtol=1e-6)
    assert (np.abs(found) >= 1).all()


@pytest.mark.parametrize(
    ("limit", "shape"), [(127, (132, 131)), (128, (132, 131)), (254, (3, 270))]
)
def test_far_distances_are_exact(limit, shape):
    """Where the smaller integer would overflow, if it were taken."""
    planes = np.zeros((2, *shape, 1), np.uint8)
    planes[0, 1:3, 2, 0] = 1
    found = label_forms.signed_distance(tf.constant(planes), limit=limit)
    np.testing.assert_allclose(found, _scipy_distance(planes, limit), rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_distances_in_small_images(shape, jit_compile):
    planes = np.zeros((2, *shape, 2), np.uint8)
    planes[1, 0, 0] = 1
    planes[0, ..., 1] = 1
    found = label_forms.signed_distance(
        tf.constant(planes), limit=4, jit_compile=jit_compile
    )
    np.testing.assert_allclose(found, _scipy_distance(planes, 4), rtol=1e-6)


def test_distances_of_a_batch_of_unknown_size():
    planes = _discs(12, 9, 4)
    spec = tf.TensorSpec([None, 12, 9, 3], tf.uint8)
    function = tf.function(
        lambda one: label_forms.signed_distance(one, limit=6), input_signature=[spec]
    )
    np.testing.assert_allclose(function(planes), _scipy_distance(planes, 6), rtol=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_labels_are_weighted_and_unknown_ones_are_not(way):
    labels = np.array([[[0, 1, 2, 255]]], np.uint8)
    weights = (0.25, 3.0, 0.5)
    found = _run(label_forms.label_weights, way, labels, classes=2, weights=weights)
    np.testing.assert_array_equal(found, [[[0.25, 3.0, 0.5, 0.0]]])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("plane", "wanted"),
    [
        (np.array([[[0, 1, 255]]], np.uint8), [0.5, 4.0, 0.0]),
        (np.array([[[0.0, 0.49, 0.5, 1.0, 255.0]]], "f4"), [0.5, 0.5, 4.0, 4.0, 0.0]),
    ],
)
def test_planes_are_weighted_by_side(way, plane, wanted):
    found = _run(label_forms.plane_weights, way, plane, weights=(0.5, 4.0))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0, 0], np.float32(wanted))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_unknown_is_marked(way, dtype):
    planes = RANDOM.integers(0, 2, (2, 3, 4, 2)).astype(dtype)
    unknown = RANDOM.random((2, 3, 4, 1)) < 0.5
    found = _run(label_forms.mark_unknown, way, planes, unknown)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.where(unknown, 255, planes))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
