import dataclasses
import sys

import numpy as np
import pytest

from tests.seg_files import AXIAL, OBLIQUE, make_plane
from tfdicom.sources import plane_grids
from tfdicom.sources.plane_grids import PlaneStack

SHAPE = (7, 9)
TILTED = (0.96, 0.0, -0.28, 0.0, 1.0, 0.0)


def stack_of(*planes, shape=SHAPE, thickness=0.0):
    return PlaneStack(tuple(planes), shape, thickness)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"position": (3.00001, -4.0, 5.00001)}, True),
        ({"position": (3.0, -4.0, 5.5)}, False),
        ({"position": (3.4, -4.0, 5.0)}, False),
        ({"spacing": (1.5001, 1.25)}, True),
        ({"spacing": (1.52, 1.25)}, False),
        ({"orientation": (0.800001, 0.599999, 0, 0, 0, -1)}, True),
        ({"orientation": (0.8, 0.6, 0, 0, 0, 1)}, False),
        ({"orientation": AXIAL}, False),
    ],
)
def test_grids_are_the_same_if_their_corners_are(change, same):
    one, other = make_plane(), make_plane(**change)
    assert plane_grids.is_same(one, other, SHAPE) == same
    assert plane_grids.is_same(other, one, SHAPE) == same


def test_a_small_turn_counts_by_what_it_does_to_the_corners():
    turned = make_plane(orientation=(0.8001, 0.59987, 0, 0, 0, -1))
    assert plane_grids.is_same(make_plane(), turned, (16, 16))
    assert not plane_grids.is_same(make_plane(), turned, (16, 1024))


def test_a_stack_on_the_same_grid_gives_each_pixel_itself():
    planes = [make_plane(index) for index in range(3)]
    place, row, column = stack_of(*planes, thickness=3.0).nearest(planes[1], SHAPE)
    rows, columns = np.indices(SHAPE)
    np.testing.assert_array_equal(place, 1)
    np.testing.assert_array_equal(row, rows)
    np.testing.assert_array_equal(column, columns)


def test_outside_there_is_nothing():
    there = make_plane(position=(1000.0, 0.0, 0.0))
    stack = stack_of(make_plane(), thickness=1.0)
    assert (stack.nearest(there, SHAPE)[0] == -1).all()
    assert stack.touched(there, SHAPE) == []


@pytest.mark.parametrize(("thickness", "found"), [(0.0, -1), (0.9, -1), (1.1, 0)])
def test_a_slice_fills_half_its_thickness_to_each_side(thickness, found):
    stack = stack_of(make_plane(), thickness=thickness)
    beside = make_plane(1, step=0.5)
    assert (stack.nearest(beside, SHAPE)[0] == found).all()
    assert stack.touched(beside, SHAPE) == ([0] if found == 0 else [])


def test_midway_the_second_sample_counts_whatever_the_last_digits_say():
    # A centre of the image midway between two of the stack, moved by an export.
    fine = make_plane(spacing=(0.5, 0.5))
    for noise in (-1e-5, 0.0, 1e-5):
        coarse = dataclasses.replace(
            make_plane(spacing=(1.0, 1.0)),
            position=tuple(np.array(fine.position) + noise),
        )
        _, row, column = stack_of(coarse, thickness=1.0).nearest(fine, (4, 4))
        np.testing.assert_array_equal(column[0], [0, 1, 1, 2])
        np.testing.assert_array_equal(row[:, 0], [0, 1, 1, 2])


@pytest.mark.parametrize("orientation", [AXIAL, TILTED, OBLIQUE])
def test_nearest_is_what_simpleitk_resamples(orientation):
    sitk = pytest.importorskip("SimpleITK")
    random = np.random.default_rng(7)
    volume = random.integers(1, 1000, (6, 20, 30)).astype(np.int32)
    planes = [
        make_plane(index, orientation=TILTED, spacing=(1.1, 0.9), step=1.7)
        for index in range(6)
    ]
    image = make_plane(
        2.2, orientation=orientation, spacing=(0.77, 1.31), position=(8.1, 2.3, 1.9)
    )
    shape = (17, 13)
    stack = stack_of(*planes, shape=volume.shape[1:], thickness=1.7)
    place, row, column = stack.nearest(image, shape)
    found = np.where(place >= 0, volume[place, row, column], 0)

    reference = sitk.Image(shape[1], shape[0], 1, sitk.sitkInt32)
    moving = sitk.GetImageFromArray(volume)
    for item, plane, gap in ((moving, planes[0], 1.7), (reference, image, 1.0)):
        directions = np.stack(
            [plane.orientation[:3], plane.orientation[3:], plane.normal], axis=1
        )
        item.SetDirection(directions.ravel().tolist())
        item.SetOrigin(plane.position)
        item.SetSpacing((plane.pixel_spacing[1], plane.pixel_spacing[0], gap))
    expected = sitk.GetArrayFromImage(
        sitk.Resample(moving, reference, sitk.Transform(), sitk.sitkNearestNeighbor)
    )[0]
    assert (expected > 0).any()
    np.testing.assert_array_equal(found, expected)
    touched = stack.touched(image, shape)
    assert set(np.unique(place[place >= 0])) <= set(touched)


def test_frames_of_one_place_or_another_orientation_are_stacks_of_their_own():
    planes = [
        make_plane(0),
        make_plane(1),
        make_plane(0),
        make_plane(orientation=AXIAL),
    ]
    found = plane_grids.stacks(planes, SHAPE, 1.0)
    assert [places for _, places in found] == [(0, 1), (2,), (3,)]


@pytest.mark.parametrize(
    ("indices", "gap"), [([0], None), ([0, 0], None), ([4, 0, 1, 7], 3.0)]
)
def test_smallest_gap(indices, gap):
    found = plane_grids.smallest_gap([make_plane(index) for index in indices])
    assert found == (None if gap is None else pytest.approx(gap, abs=1e-5))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
