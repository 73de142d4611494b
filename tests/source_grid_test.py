import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tests import synthetic
from tfdicom.input_pipeline import input_fn
from tfdicom.source_grid import to_source_grid

pytestmark = pytest.mark.long

RANDOM = np.random.default_rng(0)


def _info(*matrices, size=(12, 16), deformed=False):
    count = len(matrices)
    return {
        "matrix": np.array(matrices, np.float32),
        "source_size": np.array([size] * count, np.int64),
        "deformed": np.full(count, deformed),
    }


def _matrix(*, step=(1.0, 1.0), start=(0.0, 0.0)):
    """From output to source: steps and first pixel as row, column."""
    return [[step[1], 0, start[1]], [0, step[0], start[0]], [0, 0, 1]]


def _planes(shape, dtype="uint8", high=2):
    return RANDOM.integers(0, high, shape).astype(dtype)


VALUES = {
    "mask": _planes((1, 8, 20, 2)),
    "bool": _planes((1, 8, 20, 2), bool),
    "with unknown": np.where(RANDOM.random((1, 8, 20, 2)) < 0.3, 255, 1).astype("u1"),
    "probabilities": RANDOM.random((1, 8, 20, 3)).astype(np.float32),
    "doubles": RANDOM.random((1, 8, 20, 1)),
    "not numbers": np.full((1, 8, 20, 1), np.nan, np.float32),
    "half": RANDOM.random((1, 8, 20, 1)).astype(np.float16),
    "label map": _planes((1, 8, 20), "int32", 300),
}


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize("name", VALUES)
def test_crop_and_pad_are_inverted_bit_for_bit(name, interpolation):
    values = VALUES[name]
    # Of a source of 12 x 16: rows 3 to 10, columns -2 to 17.
    info = _info(_matrix(start=(3 + 2e-5, -2)))
    (back,) = to_source_grid(values, info, interpolation=interpolation)
    assert back.dtype == values.dtype
    expected = np.zeros((12, 16, *values.shape[3:]), values.dtype)
    expected[3:11] = values[0, :, 2:18]
    np.testing.assert_array_equal(back, expected)


def test_what_was_cropped_away_is_filled():
    info = _info(_matrix(start=(3, -2)))
    (back,) = to_source_grid(VALUES["mask"], info, fill=255)
    assert (back[:3] == 255).all() and (back[11] == 255).all()
    np.testing.assert_array_equal(back[3:11], VALUES["mask"][0, :, 2:18])
    (back,) = to_source_grid(VALUES["doubles"], info, fill=255, threshold=0.5)
    assert (back[:3] == 255).all()
    np.testing.assert_array_equal(back[3:11], VALUES["doubles"][0, :, 2:18] >= 0.5)


def test_a_threshold_comes_after_the_interpolation():
    values = np.array([0.0, 1.0, 0.0], np.float32).reshape(1, 1, 3, 1)
    info = _info(_matrix(step=(1, 2), start=(0, 0.5)), size=(1, 6))
    (back,) = to_source_grid(values, info)
    expected = [0, 0.25, 0.75, 0.75, 0.25, 0]
    np.testing.assert_allclose(back[0, :, 0], expected)
    (back,) = to_source_grid(values, info, threshold=0.3)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back[0, :, 0], [0, 0, 1, 1, 0, 0])


@pytest.mark.parametrize("seed", range(4))
def test_probabilities_agree_with_scipy(seed):
    random = np.random.default_rng(seed)
    values = random.random((1, 9, 14, 2)).astype(np.float32)
    linear = random.normal(0, 0.4, (2, 2)) + np.eye(2)
    matrix = np.eye(3)
    matrix[:2] = np.column_stack([linear, random.normal(2, 3, 2)])
    info = _info(matrix, size=(17, 13))
    (back,) = to_source_grid(values, info, fill=-1)
    inverse = np.linalg.inv(info["matrix"][0].astype(float))
    row, column = np.mgrid[:17, :13]
    x, y, _ = np.einsum("ij,jrc->irc", inverse, np.stack([column, row, row * 0 + 1]))
    inside = (abs(y - 4) < 4.5) & (abs(x - 6.5) < 7)
    for k in range(2):
        plane = values[0, ..., k].astype(float)
        wanted = ndimage.map_coordinates(plane, [y, x], order=1, mode="nearest")
        wanted = np.where(inside, wanted, -1)
        np.testing.assert_allclose(back[..., k], wanted, atol=2e-3)
    assert 0.1 < inside.mean()


def _there_and_back(folder, *frames, interpolation="linear", **fields):
    """Written examples, and their masks after the way through the reader and back."""
    written = synthetic.write_dataset(folder, {"test": {"a": frames}}, shards=1)["test"]
    batches = input_fn(folder, "test", with_info=True, jit_compile=False, **fields)
    back = [
        mask
        for _, masks, info in batches
        for mask in to_source_grid(masks, info, interpolation=interpolation)
    ]
    return [one.masks.transpose(1, 2, 0) for one in written], back


def _disc(shape, spacing, radius, centre=(0.0, 0.0)):
    row, column = (
        (np.arange(n) - (n - 1) / 2) * s - c
        for n, s, c in zip(shape, spacing, centre, strict=True)
    )
    return np.hypot(row[:, None], column) <= radius


def test_the_reader_s_windows_are_inverted(tmp_path):
    frames = [
        synthetic.Frame(shape=(9, 20, 1)),
        synthetic.Frame(shape=(15, 7, 1)),
        synthetic.Frame(),
    ]
    truth, back = _there_and_back(tmp_path, *frames, image_size="11,13", batch_size=2)
    rows, columns = 11, 13
    for mask, found in zip(truth, back, strict=True):
        assert found.shape == mask.shape and found.dtype == np.uint8
        expected = np.zeros_like(mask)
        first = [max(0, (mask.shape[0] - rows) // 2)]
        first.append(max(0, (mask.shape[1] - columns) // 2))
        kept = np.s_[first[0] : first[0] + rows, first[1] : first[1] + columns]
        expected[kept] = mask[kept]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("target", ["1", "0.75", "0.5,0.6", "0.3"])
def test_a_finer_grid_gives_any_mask_back(tmp_path, target):
    truth, back = _there_and_back(
        tmp_path,
        *synthetic.frames(3, spacing=(1.5, 1.5)),
        target_spacing="1.5" if target == "1" else target,
    )
    np.testing.assert_array_equal(back, truth)


@pytest.mark.parametrize("target", ["0.9", "1,1.2", "1.45"])
def test_a_finer_grid_gives_any_mask_back_by_nearest(tmp_path, target):
    truth, back = _there_and_back(
        tmp_path,
        *synthetic.frames(3, spacing=(1.5, 1.5)),
        target_spacing=target,
        image_size="40",
        augment="mask_interpolation=nearest",
        interpolation="nearest",
    )
    np.testing.assert_array_equal(back, truth)


@pytest.mark.parametrize(
    ("target", "share"),
    [("0.9", 0.1), ("1.2,1.1", 0.1), ("1.45", 0.1), ("2", 0.3), ("3,2.6", 0.5)],
)
def test_a_disc_comes_back_but_for_its_boundary(tmp_path, target, share):
    disc = _disc((60, 64), (1.5, 1.25), 30.0, (0.7, -1.1))
    frame = {"shape": (60, 64, 1), "spacing": (1.5, 1.25)}
    frame["masks"] = np.stack([disc, ~disc])
    _, (back,) = _there_and_back(
        tmp_path, synthetic.Frame(**frame), target_spacing=target, image_size="120"
    )
    wrong = back[..., 0] != disc
    boundary = ndimage.binary_dilation(disc) & ~ndimage.binary_erosion(disc)
    assert not (wrong & ~ndimage.binary_dilation(boundary)).any()
    assert wrong.sum() <= share * boundary.sum()
    assert back[..., 0].sum() == pytest.approx(disc.sum(), rel=0.02)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    step=st.tuples(st.floats(0.1, 0.5), st.floats(0.1, 0.5)),
    shift=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    seed=st.integers(0, 99),
)
def test_half_the_step_and_less_loses_nothing(step, shift, seed):
    """The forward way by scipy: a mask, linear, threshold 0.5."""
    mask = np.random.default_rng(seed).random((7, 6)) < 0.5
    size = [int(np.ceil(n / s)) + 4 for n, s in zip((7, 6), step, strict=True)]
    start = [
        s * (f - 2) for s, f in zip(step, shift, strict=True)
    ]  # two pixels and a bit before the source
    matrix = np.float32(_matrix(step=step, start=start)).astype(float)
    fine = ndimage.affine_transform(
        mask.astype(float),
        [matrix[1, 1], matrix[0, 0]],
        [matrix[1, 2], matrix[0, 2]],
        size,
        order=1,
        mode="nearest",
    )
    ((back,),) = [to_source_grid(fine[None] >= 0.5, _info(matrix, size=mask.shape))]
    np.testing.assert_array_equal(back, mask)


def test_flips_and_quarter_turns_are_inverted_exactly(tmp_path):
    frames = synthetic.frames(12, shape=(14, 14, 1), spacing=(1.5, 1.5))
    written = synthetic.write_dataset(tmp_path, {"train": {"a": frames}})["train"]
    augment = "rotate_90=0.7,flip_left_right=0.5,flip_up_down=0.5"
    data = input_fn(
        tmp_path, augment=augment, batch_size=12, with_info=True, jit_compile=False
    )
    ((_, masks, info),) = data.as_numpy_iterator()
    by_key = {one.key.encode(): one.masks.transpose(1, 2, 0) for one in written}
    turned = 0
    for key, mask, back in zip(
        info["key"], masks, to_source_grid(masks, info), strict=True
    ):
        np.testing.assert_array_equal(back, by_key[key])
        turned += (mask != back).any()
    assert turned > 6


def test_rotation_and_scale_are_inverted_but_for_the_boundary(tmp_path):
    disc = _disc((64, 64), (1.5, 1.25), 22.0, (8.0, -5.0))
    frame = {"shape": (64, 64, 1), "spacing": (1.5, 1.25)}
    frame["masks"] = np.stack([disc, disc])
    frames = [synthetic.Frame(**frame)] * 6
    synthetic.write_dataset(tmp_path, {"train": {"a": frames}})
    augment = "rotation=50,scale=0.2,shear=10,shift=0.05,flip_left_right=0.5"
    data = input_fn(tmp_path, augment=augment, with_info=True, jit_compile=False)
    ((_, masks, info),) = data.as_numpy_iterator()
    edge = ndimage.binary_dilation(disc) & ~ndimage.binary_erosion(disc)
    moved = 0
    for mask, back in zip(masks, to_source_grid(masks, info), strict=True):
        moved += (mask[..., 0] != disc).sum()
        assert (back[..., 0] != disc).sum() < 0.4 * edge.sum()
        assert back.shape == (64, 64, 2)
    assert moved > 6 * edge.sum()


def test_an_elastic_deformation_is_refused(tmp_path):
    synthetic.write_dataset(tmp_path, {"train": {"a": synthetic.frames(2)}})
    data = input_fn(tmp_path, augment="elastic=0.1", with_info=True, jit_compile=False)
    ((_, masks, info),) = data.as_numpy_iterator()
    with pytest.raises(ValueError, match="no matrix can undo an elastic deformation"):
        to_source_grid(masks, info)


STEP = _info(_matrix(step=(1.7, 2.3), start=(0.3, 0.6)), size=(14, 30))


@pytest.mark.parametrize("info", [STEP, _info(np.linalg.inv(STEP["matrix"][0]))])
def test_a_label_map_of_one_label_is_a_mask(info):
    mask = _planes((1, 8, 12))
    (plane,) = to_source_grid(mask[..., None], info)
    (labels,) = to_source_grid(mask, info)
    (flags,) = to_source_grid(mask.astype(bool), info)
    np.testing.assert_array_equal(labels, plane[..., 0])
    np.testing.assert_array_equal(flags, plane[..., 0] == 1)


def test_the_label_with_the_largest_weight_wins():
    labels = np.array([[[3, 3], [7, 9]]], np.int32)
    # The middle of the four: 3 has half, though 7 and 9 are as near.
    matrix = _matrix(start=(-0.4, -0.5))
    (back,) = to_source_grid(labels, _info(matrix, size=(1, 1)))
    assert back.tolist() == [[3]]
    (back,) = to_source_grid(labels, _info(_matrix(start=(-0.9, -0.8)), size=(1, 1)))
    assert back.tolist() == [[9]]
    nearest = to_source_grid(
        labels, _info(matrix, size=(1, 1)), interpolation="nearest"
    )
    assert nearest[0].tolist() == [[3]]


def test_tensors_are_taken_too():
    values = VALUES["probabilities"]
    info = _info(_matrix(start=(3, -2)))
    (expected,) = to_source_grid(values, info)
    tensors = {name: tf.constant(one) for name, one in info.items()}
    (back,) = to_source_grid(tf.constant(values), tensors)
    np.testing.assert_array_equal(back, expected)
    (back,) = to_source_grid(tf.cast(values, tf.bfloat16), tensors)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, expected, atol=4e-3)


MASK = np.zeros((1, 4, 4, 1), np.uint8)


@pytest.mark.parametrize(
    ("prediction", "fields", "message"),
    [
        (MASK, {"interpolation": "cubic"}, "interpolation='cubic': choose one of"),
        (MASK, {"threshold": 0.5}, "threshold=0.5: is for probabilities.* uint8"),
        (MASK * 0.5, {"threshold": 0}, "threshold=0: above 0 and up to 1"),
        (MASK * 0.5, {"threshold": np.nan}, "threshold=nan"),
        (MASK, {"fill": -1}, "fill=-1: .* uint8, so an integer from 0 to 255"),
        (MASK.astype(bool), {"fill": 255}, "fill=255: .* bool, .* from 0 to 1"),
        (MASK[..., 0] * 0.5, {}, r"float64 of shape \(1, 4, 4\); wanted are"),
        (MASK[0], {}, "info is of 1 examples, and the prediction of 4"),
        (MASK, {"fill": np.nan}, "fill=nan: .* uint8, so an integer"),
        (MASK[0, 0], {}, r"shape \(4, 1\); wanted are"),
        (MASK.astype("c8"), {}, "complex64 of shape"),
        (MASK[:, :0], {}, "holds no pixel"),
        (MASK.repeat(2, 0), {}, "info is of 1 examples, and the prediction of 2"),
        (MASK + 2, {"info": STEP}, "masks are 0 or 1 .* hold 2; choose interp"),
        (MASK, {"info": {}}, "info: matrix, source_size and deformed are wanted"),
        (MASK, {"info": None}, "info: matrix, source_size and deformed are wanted"),
    ],
)
def test_what_makes_no_sense_is_refused(prediction, fields, message):
    fields = {"info": _info(_matrix()), **fields}
    with pytest.raises(ValueError, match=message):
        to_source_grid(prediction, **fields)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
