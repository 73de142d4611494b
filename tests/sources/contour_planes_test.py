import sys

import numpy as np
import pytest

from tests.rtstruct_objects import AXIAL, OBLIQUE, SAGITTAL, TILTED, header, headers
from tfdicom.reasons import InputSkipped
from tfdicom.sources import contour_planes

UNEVEN = [0, 3, 6, 7, 12]


def points_at(frame, off=0.0, lean=0.0):
    """A triangle parallel to a frame, mm off it; or leaning by so much per mm."""
    corners = frame.plane.to_patient(np.array([[5.0, 5], [25, 5], [5, 25]]))
    offsets = off + lean * np.array([0.0, 25.0, 0.0])
    return corners + np.outer(offsets, frame.plane.normal)


def found(points, frames):
    stacks = contour_planes.stacks_of(frames)
    return contour_planes.frames_on(points, range(len(frames)), stacks)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, OBLIQUE, TILTED])
@pytest.mark.parametrize("order", [1, -1])
def test_a_contour_lies_on_its_slice(orientation, order):
    frames = headers(UNEVEN[::order], orientation=orientation)
    for number, frame in enumerate(frames):
        assert found(points_at(frame), frames) == (number,)


@pytest.mark.parametrize(
    ("slice_number", "off", "on"),
    [
        (0, 1.1, True),
        (0, -1.1, True),
        (0, 1.3, False),
        (0, 1.5, False),
        (2, 0.35, True),  # its nearer neighbour is 1 mm away
        (2, -0.35, True),
        (2, -1.1, False),
        (4, 1.9, True),
        (4, -1.9, True),
        (4, 2.1, False),
        (4, 900.0, False),
    ],
)
def test_a_slice_reaches_towards_its_nearer_neighbour(slice_number, off, on):
    frames = headers(UNEVEN, orientation=OBLIQUE)
    points = points_at(frames[slice_number], off)
    if on:
        assert found(points, frames) == (slice_number,)
    else:
        with pytest.raises(InputSkipped) as caught:
            found(points, frames)
        assert caught.value.code == "contour_off_plane"


@pytest.mark.parametrize(
    ("lean", "flat"), [(0.0, True), (0.01, True), (0.02, True), (0.1, False)]
)
def test_what_leans_is_refused(lean, flat):
    frames = headers(UNEVEN)
    points = points_at(frames[1], lean=lean)
    if flat:
        assert found(points, frames) == (1,)
    else:
        with pytest.raises(InputSkipped, match="mm along the normal") as caught:
            found(points, frames)
        assert caught.value.code == "contour_not_parallel"


def test_another_orientation_is_refused():
    with pytest.raises(InputSkipped) as caught:
        found(points_at(headers([0])[0]), headers(UNEVEN, orientation=SAGITTAL))
    assert caught.value.code == "contour_not_parallel"


def test_stacks_are_of_one_series_and_orientation():
    frames = [
        *headers([0, 3], name="a"),
        *headers([0, 3], name="b"),
        *headers([0, 3], name="a", orientation=SAGITTAL),
        header(None, 9),
        *headers([6], name="a"),
    ]
    stacks = contour_planes.stacks_of(frames)
    assert [one.frames for one in stacks] == [(0, 1, 7), (2, 3), (4, 5)]
    assert found(points_at(frames[1]), frames) == (1, 3)
    assert contour_planes.frames_on(points_at(frames[1]), {2, 3}, stacks) == (3,)


def test_phases_share_a_slice():
    frames = headers([3, 0, 3, 0, 8])
    (stack,) = contour_planes.stacks_of(frames)
    assert stack.slices == (1, 0, 1, 0, 2)
    np.testing.assert_allclose(stack.gaps, [3, 3, 5])
    assert stack.frames_of(0) == (1, 3)
    assert found(points_at(frames[0]), frames) == (0, 2)


def test_a_named_frame_on_another_slice_is_no_place():
    frames = headers(UNEVEN)
    stacks = contour_planes.stacks_of(frames)
    with pytest.raises(InputSkipped, match="another slice") as caught:
        contour_planes.frames_on(points_at(frames[1]), {3}, stacks)
    assert caught.value.code == "contour_off_plane"


def test_frames_without_planes_hold_nothing():
    with pytest.raises(InputSkipped) as caught:
        found(points_at(headers([0])[0]), [header(None)])
    assert caught.value.code == "frame_without_geometry"


def test_a_single_slice_reaches_no_further_than_a_pixel():
    frames = headers([0], spacing=(0.5, 0.8))
    assert found(points_at(frames[0], 0.3), frames) == (0,)
    with pytest.raises(InputSkipped):
        found(points_at(frames[0], 0.4), frames)


def test_frames_that_may_be_meant():
    frames = headers([0, 3, 6, 9, 12])
    (stack,) = contour_planes.stacks_of(frames)
    assert stack.frames_near(points_at(frames[2])) == (2,)
    assert stack.frames_near(points_at(frames[2], 1.5)) == (2, 3)
    assert stack.frames_near(points_at(frames[1], lean=0.2)) == (1, 2, 3)


@pytest.mark.parametrize(
    ("places", "between"),
    [([], []), ([4], []), ([1, 2, 3], []), ([5, 1, 4], [2, 3])],
)
def test_gaps(places, between):
    assert list(contour_planes.gaps_between(places)) == between


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
