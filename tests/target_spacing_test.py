"""``target_spacing`` from records to batches, against scipy and plain geometry."""

import math
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfdicom
from tests import source_folders, synthetic
from tfdicom.input_options import InputOptions
from tfdicom.input_pipeline import input_fn

pytestmark = pytest.mark.long

ROWS, COLUMNS = 12, 16


def _write(folder, *frames, split="test"):
    patients = {"a": list(frames)}
    return synthetic.write_dataset(folder, {split: patients}, shards=1)[split]


def _read(folder, split="test", **fields):
    """Images, masks and the rest of one pass."""
    data = input_fn(folder, split, with_info=True, **fields)
    batches = list(data.as_numpy_iterator())
    images, masks = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
    names = batches[0][2]
    info = {
        name: np.concatenate([batch[2][name] for batch in batches]) for name in names
    }
    return images, masks, info


def _source(example):
    values = example.image.astype(float)
    return (values - example.series_statistics[0]) / example.series_statistics[1]


def _reference(plane, spacing, target, size, *, fill, smallest=None):
    """The same by scipy, in double precision; smoothed where ``smallest`` is given."""
    ndimage = pytest.importorskip("scipy.ndimage")
    steps = np.divide(target, np.float32(spacing))
    for axis, step in enumerate(steps):
        if smallest and step > 1.5:
            sigma = math.sqrt(step**2 - 1) / 2.354820045
            widest = math.sqrt((target[axis] / smallest) ** 2 - 1) / 2.354820045
            plane = ndimage.gaussian_filter1d(
                plane,
                sigma,
                axis=axis,
                mode="reflect",
                truncate=math.ceil(3 * widest) / sigma,
            )
    offset = (np.array(plane.shape) - 1) / 2 - (np.array(size) - 1) / 2 * steps
    return ndimage.affine_transform(
        plane, steps, offset, size, order=1, mode="grid-constant", cval=fill
    )


def _assert_resampled(example, image, mask, target, *, smallest):
    size, source = mask.shape[:2], _source(example)
    for channel in range(source.shape[2]):
        expected = _reference(
            source[..., channel],
            example.pixel_spacing,
            target,
            size,
            fill=source.min(),
            smallest=smallest,
        )
        np.testing.assert_allclose(image[..., channel], expected, atol=2e-4)
    for k in range(mask.shape[2]):
        plane = example.masks[k].astype(float)
        expected = _reference(plane, example.pixel_spacing, target, size, fill=0.0)
        sure = abs(expected - 0.5) > 1e-4
        np.testing.assert_array_equal(mask[..., k][sure], (expected >= 0.5)[sure])


FRAMES = {
    "grey": {},
    "float": {"dtype": "float32"},
    "colour": {"shape": (ROWS, COLUMNS, 3)},
}


@pytest.mark.parametrize(
    ("target", "image_size", "size", "kind", "jit_compile"),
    [
        ("0.9,1", None, (20, 24), "grey", True),  # more pixels
        (1.9, None, (9, 13), "grey", True),  # fewer, sampled as they are
        ("2.2,3", None, (8, 8), "grey", True),  # smoothed along columns' numbers
        ("2.2,3", None, (8, 8), "grey", False),
        ((1.9, 1.2), "11,12", (11, 12), "float", True),
        ((3.1, 2.6), "9,13", (9, 13), "float", False),  # smoothed, and a border
        ([3.1, 2.6], "9,13", (9, 13), "colour", True),
    ],
)
def test_agrees_with_scipy(tmp_path, target, image_size, size, kind, jit_compile):
    frames = synthetic.frames(3, spacing=(1.5, 1.5), **FRAMES[kind])
    written = _write(tmp_path, *frames)
    images, masks, info = _read(
        tmp_path, target_spacing=target, image_size=image_size, jit_compile=jit_compile
    )
    wanted = InputOptions(target_spacing=target).spacing
    assert images.shape[1:3] == masks.shape[1:3] == size
    for n, example in enumerate(written):
        _assert_resampled(example, images[n], masks[n], wanted, smallest=1.5)
        matrix = info["matrix"][n]
        steps = (wanted[1] / 1.5, wanted[0] / 1.5)
        np.testing.assert_allclose(np.diag(matrix)[:2], steps, rtol=1e-6)
        middle = matrix @ ((size[1] - 1) / 2, (size[0] - 1) / 2, 1)
        expected = ((COLUMNS - 1) / 2, (ROWS - 1) / 2, 1)
        np.testing.assert_allclose(middle, expected, rtol=1e-6)
        np.testing.assert_array_equal(info["spacing"][n], [1.5, 1.5])


@pytest.mark.parametrize(
    ("target", "jit_compile"),
    [((1.6, 1.6), False), ((2.5, 1.1), False), ((1.6, 1.6), True)],
)
def test_sources_may_differ(tmp_path, target, jit_compile):
    written = _write(
        tmp_path,
        synthetic.Frame(shape=(9, 20, 1), dtype="uint16", spacing=(2.0, 0.5)),
        synthetic.Frame(shape=(15, 7, 1), dtype="int8", spacing=(1.2, 2.4)),
        synthetic.Frame(spacing=(0.7, 0.7), annotated="01"),
    )
    images, masks, _ = _read(
        tmp_path,
        target_spacing=target,
        image_size="9,8",
        unannotated="ignore",
        jit_compile=jit_compile,
    )
    masks[masks == 255] = 0
    for example, image, mask in zip(written, images, masks, strict=True):
        _assert_resampled(example, image, mask, target, smallest=0.5)


@pytest.mark.parametrize("shapes", [[(ROWS, COLUMNS)], [(ROWS, COLUMNS), (9, 20)]])
def test_soft_masks_are_resampled_as_images_are(tmp_path, shapes):
    frames = []
    for number, shape in enumerate(shapes):
        covered = np.random.default_rng(number).integers(0, 256, shape, np.uint8)
        frame = {"shape": (*shape, 1), "dtype": "uint8", "annotated": "1"}
        frame |= {"pixels": covered[..., np.newaxis], "covered": covered[np.newaxis]}
        frames.append(synthetic.Frame(**frame))
    splits, fields = {"test": {"a": frames}}, {"options": {"covered_fraction": True}}
    synthetic.write_dataset(tmp_path, splits, classes=["all"], **fields)
    fields = {"label_form": "soft", "normalize": "none", "image_fill": 0}
    fields |= {"image_size": "7,8", "jit_compile": False}
    images, masks, _ = _read(tmp_path, target_spacing="2.5,2.2", **fields)
    np.testing.assert_allclose(masks, images / 255, atol=1e-6)
    # Each output pixel's own part of the area, and not that of the pixel in its middle.
    assert masks[0, 2:-2, 2:-2].std() < 0.13 < frames[0].pixels.std() / 255 / 2


def test_a_graph_and_numpy_batches_give_the_same(tmp_path):
    _write(tmp_path, *synthetic.frames(3, spacing=(1.5, 1.5)))
    fields = {"target_spacing": "2.5", "with_info": True, "jit_compile": False}
    ((image, mask, info),) = tfdicom.generate(tmp_path, "test", **fields)
    assert image.shape == (3, 7, 10, 1)
    with tf.Graph().as_default():
        data = input_fn(tmp_path, "test", **fields)
        batch = tf.compat.v1.data.make_one_shot_iterator(data).get_next()
        with tf.compat.v1.Session() as session:
            other = session.run(batch)
    np.testing.assert_allclose(image, other[0], atol=1e-5)
    np.testing.assert_array_equal(mask, other[1])
    np.testing.assert_allclose(info["matrix"], other[2]["matrix"], rtol=1e-6)


MOTIONS = (
    "rotation=40,shear=10,scale=0.3,shift=0.2,elastic=0.05,flip_left_right=0.5,"
    "random_crop=0.5,foreground_crop=0.4"
)


@pytest.mark.parametrize(
    ("dtype", "jit_compile"),
    [("int16", False), pytest.param("int32", True, marks=pytest.mark.slow)],
)
def test_the_sources_own_spacing_changes_nothing(tmp_path, dtype, jit_compile):
    _write(tmp_path, *synthetic.frames(9, dtype=dtype), split="train")
    fields = {"augment": MOTIONS, "image_size": "8,10", "batch_size": 9}
    fields |= {"jit_compile": jit_compile}
    plain = _read(tmp_path, "train", **fields)
    found = _read(tmp_path, "train", target_spacing="1.5,1.25", **fields)
    np.testing.assert_array_equal(found[2]["matrix"], plain[2]["matrix"])
    np.testing.assert_array_equal(found[0], plain[0])
    np.testing.assert_array_equal(found[1], plain[1])


def test_without_augmentation_it_changes_nothing_either(tmp_path):
    _write(tmp_path, *synthetic.frames(3))
    fields = {"image_size": "12,16", "jit_compile": False}
    plain = _read(tmp_path, **fields)
    found = _read(tmp_path, target_spacing="1.5,1.25", **fields)
    np.testing.assert_array_equal(found[2]["matrix"], np.tile(np.eye(3), (3, 1, 1)))
    np.testing.assert_allclose(found[0], plain[0], atol=2e-6)
    np.testing.assert_array_equal(found[1], plain[1])


def _disc(shape, spacing, radius):
    row, column = (
        (np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)
    )
    return np.hypot(row[:, None], column) <= radius


@pytest.mark.parametrize("target", ["1.0", "3.2,1.5"])
def test_a_disc_stays_a_disc_under_any_motion(tmp_path, target):
    spacing, radius = (1.8, 0.9), 25.0
    disc = _disc((44, 80), spacing, radius)
    frame = {
        "shape": (*disc.shape, 1),
        "spacing": spacing,
        "masks": np.stack([disc, disc]),
        "pixels": (1000 * disc[..., np.newaxis]).astype(np.int16),
    }
    _write(tmp_path, *synthetic.frames(6, **frame), split="train")
    numbers = [*map(float, target.split(","))]
    down, across = numbers[0], numbers[-1]
    size = (round(80 / down), round(72 / across))
    images, masks, info = _read(
        tmp_path,
        "train",
        augment="rotation=180,flip_left_right=0.5",
        target_spacing=target,
        image_size=size,
        normalize="min_max",
        jit_compile=False,
    )
    assert abs(info["matrix"][:, 0, 1]).max() > 0.5  # turned
    expected = _disc(size, (down, across), radius)
    edge = 2 * math.pi * radius * 1.8 / (down * across)
    for one in (
        *(images[..., 0] >= 0.5),
        *np.moveaxis(masks, -1, 1).reshape(-1, *size),
    ):
        assert (one != expected).sum() < 0.35 * edge
        area = one.sum() * down * across
        assert area == pytest.approx(math.pi * radius**2, rel=0.03)


def test_random_windows_stay_inside_and_reach_the_edges(tmp_path):
    _write(tmp_path, *synthetic.frames(40, spacing=(1.5, 1.0)), split="train")
    _, _, info = _read(
        tmp_path,
        "train",
        augment="random_crop=1",
        target_spacing="1.8,1.6",
        image_size="5,5",
        batch_size=40,
        jit_compile=False,
    )
    steps = np.array([1.6, 1.8 / 1.5])
    first = info["matrix"][:, :2, 2] - steps / 2  # edge of the first pixel
    last = info["matrix"] @ (4, 4, 1)
    last = last[:, :2] + steps / 2
    assert (first > -0.5 - 1e-4).all()
    assert (last < np.array([COLUMNS, ROWS]) - 0.5 + 1e-4).all()
    assert first.min() == pytest.approx(-0.5, abs=1e-4)
    assert (last.max(axis=0) > np.array([COLUMNS, ROWS]) - 1.5).all()


def test_sampling_is_as_asked_also_without_training(tmp_path):
    written = _write(tmp_path, *synthetic.frames(2, spacing=(1.5, 1.5)))
    fields = {
        "target_spacing": 0.5,
        "augment": "mask_interpolation=nearest,edge=nearest",
    }
    images, masks, _ = _read(tmp_path, **fields)
    assert images.shape == (2, 3 * ROWS, 3 * COLUMNS, 1)
    for example, image, mask in zip(written, images, masks, strict=True):
        expected = example.masks.transpose(1, 2, 0).repeat(3, axis=0).repeat(3, axis=1)
        np.testing.assert_array_equal(mask, expected)
        # Beyond the centres of the outermost pixels nothing changes any more.
        np.testing.assert_allclose(image[0, 1::3], _source(example)[0], atol=1e-5)
        np.testing.assert_allclose(
            image[:2, :2], image[:1, :1].repeat(2, 0).repeat(2, 1), atol=1e-5
        )


def test_spacings_that_differ_want_an_image_size(tmp_path):
    _write(tmp_path, synthetic.Frame(), synthetic.Frame(spacing=(1.0, 1.0)))
    message = "target_spacing='2': .* measure 1 to 1.5 mm .* choose image_size="
    with pytest.raises(ValueError, match=message):
        input_fn(tmp_path, "test", target_spacing="2")
    data = input_fn(tmp_path, "test", target_spacing=2, image_size=8)
    assert data.element_spec[0].shape == [None, 8, 8, 1]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_without_spacing_it_is_refused(tmp_path, jit_compile):
    absent = synthetic.Frame(spacing=None)
    written = _write(tmp_path / "some", absent, synthetic.Frame(spacing=(1.5, 1.5)))
    fields = {"target_spacing": 2, "image_size": 8, "jit_compile": jit_compile}
    with pytest.raises(tf.errors.InvalidArgumentError, match=written[0].key):
        list(input_fn(tmp_path / "some", "test", **fields))
    _write(tmp_path / "all", absent)
    with pytest.raises(ValueError, match="split 'test' do not say their pixel spacing"):
        input_fn(tmp_path / "all", "test", **fields)


def test_a_source_folder_is_resampled_as_its_data_set(source, tmp_path):
    source_folders.convert(source.root, tmp_path / "out", split="train")
    fields = {"target_spacing": "3.5,2", "image_size": "16,24", "training": False}
    fields |= {"classes": "inner", "jit_compile": False}
    first, second = (
        list(tfdicom.generate(folder, **fields))
        for folder in (source.root, tmp_path / "out")
    )
    assert len(first) == len(second) > 0
    for batch, other in zip(first, second, strict=True):
        np.testing.assert_allclose(batch[0], other[0], atol=1e-5)
        np.testing.assert_array_equal(batch[1], other[1])
    source_folders.edit(source.image(source.patients[0], 1), PixelSpacing=None)
    with pytest.raises(ValueError, match="do not say their pixel spacing"):
        next(tfdicom.generate(source.root, **fields))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
