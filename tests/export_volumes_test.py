import dataclasses
import sys

import numpy as np
import pytest

from tests import synthetic
from tfdicom import export_volumes
from tfdicom.export_volumes import Stack
from tfdicom.spatial import ImagePlane

ORIENTATION = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])


def frame(at, *, phase=None, phases=None, annotated="11", step=NORMAL * 8, **fields):
    """A frame at ``at`` steps from the first."""
    one = synthetic.make_example(
        synthetic.Frame(annotated=annotated), round(at * 10) + 1000 * (phase or 0)
    )
    position = tuple((np.array([3.0, -4.0, 5.0]) + np.array(step) * at).tolist())
    return dataclasses.replace(
        one,
        **{
            "position": position,
            "orientation": ORIENTATION,
            "slice_index": int(at),
            "slice_count": 10,
            "phase_index": phase,
            "phase_count": phases,
            **fields,
        },
    )


def places(stack):
    return [[one.slice_index for one in phase] for phase in stack.phases]


def found(frames):
    return [places(stack) for stack in export_volumes.stacks(frames)]


def test_frames_are_put_in_order():
    assert found([frame(at) for at in (2, 0, 3, 1)]) == [[[0, 1, 2, 3]]]


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        # A slice is missing.
        ([frame(at) for at in (0, 1, 3, 4)], [[[0, 1]], [[3, 4]]]),
        # Nobody counted slices; a step is twice as large.
        (
            [frame(at, slice_index=None) for at in (0, 1, 3, 4)],
            [[[None, None]], [[None, None]]],
        ),
        # The step is another one, and no slice is missing.
        (
            [frame(at, slice_index=n) for n, at in enumerate((0, 1, 2, 2.5, 3))],
            [[[0, 1, 2]], [[3, 4]]],
        ),
        ([frame(0), frame(1, series="other")], [[[0]], [[1]]]),
        ([frame(0), frame(1, acquisition_group=1)], [[[0]], [[1]]]),
        ([frame(0), frame(1, rater="r")], [[[0]], [[1]]]),
        ([frame(0), frame(1, pixel_spacing=(2.0, 2.0))], [[[0]], [[1]]]),
        # The same place twice.
        ([frame(0), frame(0, instance="b", slice_index=1)], [[[0]], [[1]]]),
    ],
)
def test_gaps_make_several_volumes(frames, expected):
    assert found(frames) == expected


def test_phases_are_one_volume_where_they_hold_the_same_slices():
    frames = [frame(at, phase=t, phases=4) for t in (0, 1, 3) for at in (0, 1)]
    stacks = list(export_volumes.stacks(frames))
    assert [places(stack) for stack in stacks] == [[[0, 1], [0, 1]], [[0, 1]]]
    series = frames[0].series[:16]
    assert [stack.name for stack in stacks] == [
        f"{series}_s000-001_p000-001",
        f"{series}_s000-001_p003",
    ]
    frames = [frame(0, phase=0, phases=2), frame(1, phase=0, phases=2)]
    frames += [frame(0, phase=1, phases=2)]
    assert found(frames) == [[[0, 1]], [[0]]]


def test_a_whole_series_has_its_name():
    frames = [frame(at, slice_count=3) for at in range(3)]
    (stack,) = export_volumes.stacks(frames)
    assert stack.name == frames[0].series[:16]
    assert not stack.is_part


@pytest.mark.parametrize("step", [NORMAL * 8, NORMAL * 8 + (0.0, 1.5, 0.5)])
def test_every_voxel_lies_where_its_pixel_does(step):
    """Also of a tilted gantry, whose slices are shifted against each other."""
    frames = [frame(at, step=step) for at in range(4)]
    matrix = export_volumes.affine(frames)
    random = np.random.default_rng(0)
    for k, one in enumerate(frames):
        pixels = random.uniform(0, 12, (5, 2))
        plane = ImagePlane(one.position, one.orientation, one.pixel_spacing)
        voxels = np.column_stack([pixels, np.full(5, k), np.ones(5)])
        ras = (matrix @ voxels.T).T[:, :3]
        np.testing.assert_allclose(
            ras * (-1, -1, 1), plane.to_patient(pixels), atol=1e-4
        )


@pytest.mark.parametrize(("spacing", "length"), [(6.0, 6.0), (None, 1.0)])
def test_a_single_slice_is_as_thick_as_is_known(spacing, length):
    matrix = export_volumes.affine([frame(0, slice_spacing=spacing)])
    assert np.linalg.norm(matrix[:3, 2]) == pytest.approx(length)
    np.testing.assert_allclose(matrix[:3, 2] * (-1, -1, 1) / length, NORMAL, atol=1e-6)


def test_without_a_place_there_is_no_affine():
    with pytest.raises(ValueError, match="does not say where it lies"):
        export_volumes.affine([frame(0, position=None)])


def test_parts_of_equal_value():
    frames = tuple(
        frame(at, annotated=a) for at, a in enumerate(("11", "10", "10", "11"))
    )
    stack = Stack((frames,))
    parts = [
        (value, places(part), whole)
        for value, part, whole in export_volumes.alike_parts(
            stack, lambda one: one.annotated[1]
        )
    ]
    assert parts == [
        (1, [[0]], False),
        (0, [[1, 2]], False),
        (1, [[3]], False),
    ]
    ((value, part, whole),) = export_volumes.alike_parts(
        stack, lambda one: one.annotated[0]
    )
    assert (value, part, whole) == (1, stack, True)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
