import math
import sys

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import distance

from tfdicom import volume_measures
from tfdicom.volume_measures import SliceGrid

SPACING = (1.5, 0.8)


def _grid(positions, spacing=SPACING, thickness=None):
    positions = np.array(positions, float)
    step = abs(positions[1] - positions[0]) if len(positions) > 1 else 5.0
    thickness = np.full(len(positions), step) if thickness is None else thickness
    return SliceGrid(spacing, positions, np.asarray(thickness, float))


def _even(count, step=3.0):
    return _grid(np.arange(count) * step)


def _ball(shape, step, radius, centre):
    """Pixels whose centres are in a ball; centre in mm."""
    axes = [np.arange(n) * s for n, s in zip(shape, (step, *SPACING), strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    far = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
    return far <= radius**2


SHAPE, STEP = (16, 40, 64), 3.0
BALL = _ball(SHAPE, STEP, 16.0, (22.0, 29.0, 25.0))


def _box(shape, *ends):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*one) for one in ends)] = True
    return mask


def test_a_ball_has_its_volume():
    found = volume_measures.volume_ml(BALL, _even(16))
    assert found == pytest.approx(4 / 3 * math.pi * 16**3 / 1000, rel=0.01)


def test_slices_weigh_as_thick_as_they_are():
    mask = _box((3, 4, 5), (0, 3), (0, 2), (0, 3))
    grid = _grid([0, 2, 7], thickness=[2, 3.5, 5])
    found = volume_measures.volume_ml(mask, grid)
    assert found == pytest.approx(6 * 1.5 * 0.8 * 10.5 / 1000)
    assert math.isnan(volume_measures.volume_ml(mask, _grid([0, 2, 7], (1, math.nan))))


@pytest.mark.parametrize(
    ("indices", "positions", "missing"),
    [
        ((0, 1, 2, 3), (0, 4, 8, 12), (0, 0, 0)),
        ((0, 1, 4), (0, 4, 16), (0, 2)),  # left out by the indices
        ((0, 1, 2, 3), (0, 4, 12, 16), (0, 1, 0)),  # by the step alone
        ((0, 1, 2, 3, 4), (0, -4, -8, -24, -28), (0, 0, 3, 0)),
        ((0, 1, 2, 4, 5), (0, 4, 8, 20, 24), (0, 0, 2, 0)),  # one by each
        ((0, 1, 2, 3), (0, 4, 10, 14), (0, 0, 0)),  # 1.5 times, and no more
        ((0, 1, 2, 3), (0, 4, 10.1, 14), (0, 1, 0)),
        ((0, 1, 2, 3, 4), (0, 4, 7.7, 16, 20), (0, 0, 1, 0)),  # even but for little
        ((0, 1, 2, 3), (0, 3, 7, 14), (0, 0, 0)),  # no usual step
        ((0, 1, 2, 4), (0, 3, 7, 21), (0, 0, 1)),
        ((0, 1, 2), (0, 4, 14), (0, 0)),  # which of two is usual?
        ((0, 1, 2, 3), (0, 4, math.nan, 16), (0, 0, 0)),
        ((-1, -1), (0, 9), (0,)),
        ((0, 1, 2), (5, 5, 5), (0, 0)),
        ((3,), (0,), ()),
    ],
)
def test_missing_slices_are_known_by_index_and_step(indices, positions, missing):
    found = volume_measures.missing_between(np.array(indices), np.array(positions))
    assert found.tolist() == list(missing)


def test_dice_of_boxes_is_known():
    one = _box((4, 6, 8), (0, 4), (0, 4), (0, 4))
    other = _box((4, 6, 8), (0, 4), (1, 5), (0, 4))
    assert volume_measures.dice(one, other) == 2 * 48 / (64 + 64)
    assert volume_measures.dice(one, one) == 1.0
    empty = np.zeros_like(one)
    assert volume_measures.dice(one, empty) == 0.0
    assert math.isnan(volume_measures.dice(empty, empty))


@pytest.mark.parametrize(
    ("shift", "wanted"), [((0, 0, 3), 2.4), ((0, 2, 0), 3.0), ((2, 0, 0), 6.0)]
)
@pytest.mark.parametrize("percentile", [100, 95])
def test_a_shifted_box_is_as_far_as_it_was_shifted(shift, wanted, percentile):
    shape = (9, 20, 24)
    one = _box(shape, (2, 6), (4, 12), (5, 14))
    other = np.roll(one, shift, (0, 1, 2))
    found = volume_measures.hausdorff(one, other, _even(9), percentile=percentile)
    # Of the whole box: its far face is that far from the other one, and more than 5 %.
    assert found == pytest.approx(wanted)


def test_balls_of_one_centre_are_the_difference_of_their_radii_apart():
    inner = _ball(SHAPE, STEP, 11.0, (22.0, 29.0, 25.0))
    found = volume_measures.hausdorff(BALL, inner, _even(16), percentile=100)
    assert found == pytest.approx(5.0, abs=math.hypot(*SPACING, STEP) / 2)


def _random_pair(seed, shape=(7, 16, 18)):
    noise = np.random.default_rng(seed).normal(size=(2, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 1.5, 2, 2))
    return smooth > 0.02


def _independent(one, other, spacing, percentile):
    """By erosion and distance transforms."""
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (one, other)]
    fields = [ndimage.distance_transform_edt(~s, sampling=spacing) for s in surfaces]
    ways = fields[1][surfaces[0]], fields[0][surfaces[1]]
    return max(np.percentile(way, percentile) for way in ways)


@pytest.mark.parametrize("percentile", [50, 95, 100])
@pytest.mark.parametrize("seed", range(5))
def test_distances_agree_with_distance_transforms(seed, percentile):
    one, other = _random_pair(seed)
    found = volume_measures.hausdorff(one, other, _even(7), percentile=percentile)
    wanted = _independent(one, other, (3.0, *SPACING), percentile)
    assert found == pytest.approx(wanted, rel=1e-9)
    # The larger of both ways, so the same the other way round.
    assert found == volume_measures.hausdorff(
        other, one, _even(7), percentile=percentile
    )


@pytest.mark.parametrize("seed", range(3))
def test_both_agree_with_simpleitk(seed):
    sitk = pytest.importorskip("SimpleITK")
    one, other = _random_pair(seed)
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (one, other)]
    for image in images:
        image.SetSpacing((SPACING[1], SPACING[0], 3.0))
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    wanted = overlap.GetDiceCoefficient()
    assert volume_measures.dice(one, other) == pytest.approx(wanted)
    # Of whole sets: from a pixel of one to the nearest of the other, at most.
    far = sitk.HausdorffDistanceImageFilter()
    far.Execute(*images)
    found = volume_measures.hausdorff(one, other, _even(7), percentile=100)
    assert found >= far.GetHausdorffDistance() - 1e-3
    outside = [one & ~other, other & ~one]
    if any(part.any() for part in outside):
        assert found == pytest.approx(
            max(
                far.GetHausdorffDistance(), _independent(one, other, (3, *SPACING), 100)
            )
        )


def test_slices_lie_where_they_say():
    one = _box((4, 5, 5), (0, 2), (0, 5), (0, 5))
    other = _box((4, 5, 5), (0, 4), (0, 5), (0, 5))
    # From the last slice to the second: 1 mm + 7 mm, and not two usual steps.
    grid = _grid([-3, -1, 6, 7])
    assert volume_measures.hausdorff(one, other, grid, percentile=100) == 8.0
    falling = _grid([7, 6, -1, -3])
    assert volume_measures.hausdorff(one, other, falling, percentile=100) == 9.0


def test_a_single_slice_is_a_plane():
    one = _box((1, 20, 20), (0, 1), (2, 17), (2, 17))
    other = _box((1, 20, 20), (0, 1), (2, 19), (2, 17))
    grid = _grid([math.nan], thickness=[math.nan])
    assert volume_measures.hausdorff(one, other, grid, percentile=100) == 3.0
    outline = [_outline(mask[0]) * SPACING for mask in (one, other)]
    far = [distance.directed_hausdorff(*pair)[0] for pair in (outline, outline[::-1])]
    assert max(far) == 3.0


def _outline(mask):
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def test_without_an_answer_it_is_nan():
    full, empty = np.ones((2, 3, 3), bool), np.zeros((2, 3, 3), bool)
    for pair in ((full, empty), (empty, full), (empty, empty)):
        assert math.isnan(volume_measures.hausdorff(*pair, _even(2)))
    unknown = _grid([0, math.nan])
    assert math.isnan(volume_measures.hausdorff(full, full, unknown))
    unknown = _grid([0, 3], (math.nan, math.nan))
    assert math.isnan(volume_measures.hausdorff(full, full, unknown))
    assert volume_measures.hausdorff(full, full, _even(2)) == 0.0


def test_a_missing_scipy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tfdicom\[evaluate\]'"):
        volume_measures.load_scipy()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
