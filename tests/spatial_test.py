import math
import sys

import numpy as np
import pytest

from tfdicom import spatial
from tfdicom.spatial import ImagePlane, slice_indices, slice_spacing

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
NAN = math.nan


def plane(position=(10.0, -20.0, 30.0), orientation=OBLIQUE, spacing=(1.5, 1.25)):
    return ImagePlane(position, orientation, spacing)


@pytest.mark.parametrize(
    ("wrong", "element"),
    [
        ({"orientation": (1, 0, 0, 1, 0, 0)}, "0020,0037"),
        ({"orientation": (1, 0, 0, 0, 1.01, 0)}, "0020,0037"),
        ({"orientation": (0, 0, 0, 0, 1, 0)}, "0020,0037"),
        ({"orientation": (NAN, 0, 0, 0, 1, 0)}, "0020,0037"),
        ({"spacing": (0, 1)}, "0028,0030"),
        ({"spacing": (1, -1)}, "0028,0030"),
        ({"spacing": (1, NAN)}, "0028,0030"),
        ({"spacing": (math.inf, 1)}, "0028,0030"),
        ({"position": (0, NAN, 0)}, "0020,0032"),
        ({"position": (0, 0, math.inf)}, "0020,0032"),
    ],
)
def test_refuses_a_plane_that_is_none(wrong, element):
    with pytest.raises(ValueError, match=rf"\({element}\).*got"):
        plane(**wrong)


def test_directions_rounded_by_an_export_are_accepted():
    plane(orientation=(0.8, 0.6, 0.0001, 0, 0, -0.9999))


def test_pixel_coordinates_become_those_of_the_patient():
    # PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1: i is the column, j the row.
    matrix = np.zeros((4, 4))
    matrix[:3, 0] = np.array(OBLIQUE[:3]) * 1.25
    matrix[:3, 1] = np.array(OBLIQUE[3:]) * 1.5
    matrix[:3, 3] = (10, -20, 30)
    points = np.array([[0, 0], [1, 0], [0, 1], [7.5, -3.25]])
    homogeneous = np.concatenate([points, np.zeros((4, 1)), np.ones((4, 1))], axis=1)
    expected = (matrix @ homogeneous.T).T[:, :3]
    np.testing.assert_allclose(plane().to_patient(points), expected, atol=1e-12)


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE, (0.8005, 0.6, 5e-4, 0, 0, -1)])
def test_patient_coordinates_become_those_of_pixels(orientation):
    here = plane(orientation=orientation)
    points = np.array([[0, 0], [1, 0], [0, 1], [7.5, -3.25], [511, 300]])
    unit = here.normal / np.linalg.norm(here.normal)
    off = np.array([0.0, 1.0, -2.5, 40.0, 0.25])
    pixels, distance = here.to_pixels(here.to_patient(points) + np.outer(off, unit))
    np.testing.assert_allclose(pixels, points, atol=1e-9)
    np.testing.assert_allclose(distance, off, atol=1e-9)


def test_pixels_of_points_do_not_depend_on_what_came_before():
    # -0.0 equals 0.0, so that what is remembered of one plane serves the other.
    points = np.array([[0.0, 0.0, 0.0], [3.0, -4.0, 5.0]])
    orientations = [(1.0, 0.0, zero, zero, 1.0, 0.0) for zero in (0.0, -0.0)]
    found = []
    for order in (orientations, orientations[::-1]):
        spatial._from_patient.cache_clear()
        for orientation in order:
            pixels, _ = plane(orientation=orientation).to_pixels(points)
            found.append(pixels.tobytes())
    assert len(set(found)) == 1


def test_pixel_coordinates_agree_with_highdicom():
    spatial = pytest.importorskip("highdicom.spatial")
    here = plane()
    transformer = spatial.ReferenceToImageTransformer(
        here.position, here.orientation, here.pixel_spacing
    )
    points = np.random.default_rng(0).uniform(-300, 300, (50, 3))
    pixels, distance = here.to_pixels(points)
    # highdicom counts from the corner of the first pixel, and down the normal.
    expected = transformer(points) - [0.5, 0.5, 0]
    spacing = np.array([1.25, 1.5])
    np.testing.assert_allclose(pixels * spacing, expected[:, :2] * spacing, atol=1e-3)
    np.testing.assert_allclose(np.abs(distance), np.abs(expected[:, 2]), atol=1e-3)


def test_pixel_coordinates_agree_with_simpleitk():
    sitk = pytest.importorskip("SimpleITK")
    here = plane()
    image = sitk.Image(64, 64, 2, sitk.sitkUInt8)
    image.SetOrigin(here.position)
    image.SetSpacing((1.25, 1.5, 1.0))
    columns = np.stack([here.orientation[:3], here.orientation[3:], here.normal])
    image.SetDirection(columns.T.ravel().tolist())
    points = np.random.default_rng(0).uniform(-300, 300, (50, 3))
    expected = np.array(
        [image.TransformPhysicalPointToContinuousIndex(point) for point in points]
    )
    pixels, distance = here.to_pixels(points)
    np.testing.assert_allclose(pixels, expected[:, :2], atol=1e-3 / 1.5)
    np.testing.assert_allclose(distance, expected[:, 2], atol=1e-3)


def test_normal_is_across_the_plane():
    here = plane()
    np.testing.assert_allclose(here.normal, (-0.6, 0.8, 0), atol=1e-12)
    (beside,) = here.to_patient(np.array([[30.0, 70.0]]))
    assert here.normal @ (beside - here.position) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("other", "parallel"),
    [
        ({}, True),
        ({"position": (0.0, 0.0, 0.0)}, True),
        ({"orientation": (0.80001, 0.59999, 0, 0, 0, -1)}, True),
        ({"spacing": (1.50001, 1.25)}, True),
        ({"orientation": (0.79, math.sqrt(1 - 0.79**2), 0, 0, 0, -1)}, False),
        ({"orientation": AXIAL}, False),
        ({"orientation": (0.8, 0.6, 0, 0, 0, 1)}, False),
        ({"spacing": (1.25, 1.5)}, False),
        ({"spacing": (1.52, 1.25)}, False),
    ],
)
def test_parallel(other, parallel):
    assert plane().is_parallel_to(plane(**other)) == parallel
    assert plane(**other).is_parallel_to(plane()) == parallel


@pytest.mark.parametrize(
    ("distances", "indices", "spacing"),
    [
        ([5.0], [0], None),
        ([5.0, 5.0], [0, 0], None),
        ([0.0, 8.0, 16.0], [0, 1, 2], 8.0),
        ([16.0, -8.0, 0.0], [2, 0, 1], 12.0),
        ([8.0, 0.0, 8.004, 0.0], [1, 0, 1, 0], 8.0),
        ([0.0, 8.0, 24.0, 32.0], [0, 1, 2, 3], 8.0),
    ],
)
def test_slices_by_distance(distances, indices, spacing):
    assert slice_indices(distances) == indices
    found = slice_spacing(distances)
    assert found is None if spacing is None else found == pytest.approx(spacing, 1e-3)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
