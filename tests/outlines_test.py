import sys

import numpy as np
import pytest
from scipy import ndimage

from tests.source_folders import disc
from tfdicom.outlines import interpolate, outline


@pytest.mark.parametrize("turn", [1, -1])
def test_a_circle_has_even_points_and_outward_normals(turn):
    centre = np.array([20.0, 30.0])
    points, normals = outline(disc(*centre, 9.0, corners=720)[::turn], 48)
    outward = (points - centre) / 9
    np.testing.assert_allclose(np.hypot(*outward.T), 1, atol=1e-4)
    np.testing.assert_allclose(normals, outward, atol=1e-3)
    steps = np.hypot(*(points - np.roll(points, 1, axis=0)).T)
    np.testing.assert_allclose(steps, 2 * 9 * np.sin(np.pi / 48), rtol=1e-3)


def test_points_are_even_where_vertices_are_not():
    square = np.array([[0, 0], [0.5, 0], [1, 0], [8, 0], [8, 8], [0, 8.0]])
    points, _ = outline(square, 32)
    np.testing.assert_allclose(points[:9], [[x, 0] for x in range(9)], atol=1e-12)


@pytest.mark.parametrize(
    "vertices", [np.zeros((2, 2)), np.ones((5, 2)), [[0, 0], [1, np.nan], [2, 0]]]
)
def test_contours_without_an_outline(vertices):
    assert outline(np.array(vertices), 8) is None


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_interpolation_equals_scipy(dtype):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (11, 17)).astype(dtype)
    places = random.uniform(-3, 20, (5, 40, 2))
    expected = ndimage.map_coordinates(
        pixels.astype(float),
        places[..., ::-1].reshape(-1, 2).T,
        order=1,
        mode="nearest",
    )
    found = interpolate(pixels, places)
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-9)
    turned = interpolate(pixels.T, places[..., ::-1])  # not contiguous
    np.testing.assert_array_equal(
        turned, interpolate(pixels.T.copy(), places[..., ::-1])
    )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
