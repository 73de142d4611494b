import dataclasses
import inspect
import math
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests import synthetic
from tfdicom.augment.presets import AugmentOptions
from tfdicom.input_options import InputOptions
from tfdicom.input_pipeline import input_fn

pytestmark = pytest.mark.long

ROWS, COLUMNS = 12, 16
PATIENTS = {
    "a": synthetic.frames(5),
    "b": synthetic.frames(4, annotated="10"),
    "c": synthetic.frames(4, spacing=None, slice_index=None),
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Folder and examples: 13 in train, of which 9 are annotated in full."""
    folder = tmp_path_factory.mktemp("mr")
    patients = PATIENTS
    test = {"d": synthetic.frames(3), "e": synthetic.frames(2, annotated="01")}
    return folder, synthetic.write_dataset(folder, {"train": patients, "test": test})


def _read(folder, split="train", **fields):
    """Keys, images and masks of one pass, in order."""
    fields = {"unannotated": "ignore", "jit_compile": False, **fields}
    return _gathered(input_fn(folder, split, with_info=True, **fields))


def _gathered(data):
    batches = list(data.as_numpy_iterator())
    keys = [key.decode() for batch in batches for key in batch[-1]["key"]]
    images, masks = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
    return keys, images, masks


def _keys(data) -> list[str]:
    return [key.decode() for batch in data for key in batch[-1]["key"].numpy()]


def _expected_mask(example, unknown=0):
    mask = example.masks.transpose(1, 2, 0).astype(np.uint8)
    return np.where(np.array(example.annotated) == 1, mask, unknown)


def _expected_image(example):
    values = example.image * example.rescale_slope + example.rescale_intercept
    return (values - example.series_statistics[0]) / example.series_statistics[1]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_without_training_everything_comes_in_order(dataset, jit_compile):
    folder, written = dataset
    for split in ("train", "test"):
        keys, images, masks = _read(
            folder, split, training=False, augment="standard", jit_compile=jit_compile
        )
        assert keys == [one.key for one in written[split]]
        for example, image, mask in zip(written[split], images, masks, strict=True):
            np.testing.assert_allclose(image, _expected_image(example), atol=1e-5)
            np.testing.assert_array_equal(mask, _expected_mask(example, 255))
    assert images.dtype == np.float32 and masks.dtype == np.uint8


def test_splits_are_combined(dataset):
    folder, written = dataset
    keys, _, _ = _read(folder, "test+train")
    assert keys == [one.key for one in written["test"] + written["train"]]


def test_shapes_are_static(dataset):
    folder, _ = dataset
    image, mask = input_fn(folder, classes="outer").element_spec
    assert image == tf.TensorSpec([None, ROWS, COLUMNS, 1], tf.float32)
    assert mask == tf.TensorSpec([None, ROWS, COLUMNS, 1], tf.uint8)
    spec = input_fn(folder, image_size="8,9", drop_remainder=True).element_spec
    assert spec[0].shape == [8, 8, 9, 1]


@pytest.mark.parametrize("classes", ["outer", "outer;inner"])
def test_classes_come_in_the_order_asked_for(dataset, classes):
    folder, written = dataset
    _, _, masks = _read(folder, training=False, classes=classes)
    places = [synthetic.CLASSES.index(name) for name in classes.split(";")]
    for example, mask in zip(written["train"], masks, strict=True):
        np.testing.assert_array_equal(mask, _expected_mask(example, 255)[..., places])


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_example_looks_the_same_in_any_batch(dataset, jit_compile):
    folder, _ = dataset
    looks = []
    for size in (1, 5, 8, 13):
        keys, images, masks = _read(
            folder,
            batch_size=size,
            augment="standard,flip_left_right=0.5",
            jit_compile=jit_compile,
        )
        looks.append((keys, images, masks))
    for keys, images, masks in looks[1:]:
        assert keys == looks[0][0]
        np.testing.assert_allclose(images, looks[0][1], atol=1e-5)
        np.testing.assert_array_equal(masks, looks[0][2])


@pytest.mark.slow
def test_compiled_or_not_is_the_same_to_rounding(dataset):
    folder, _ = dataset
    plain, compiled = (
        _read(folder, augment="standard", jit_compile=jit) for jit in (False, True)
    )
    assert plain[0] == compiled[0]
    np.testing.assert_allclose(plain[1], compiled[1], atol=1e-4)
    assert (plain[2] != compiled[2]).mean() < 1e-3


def test_epochs_differ_and_come_again(dataset):
    folder, written = dataset
    runs = []
    for _ in range(2):
        data = input_fn(
            folder,
            with_info=True,
            unannotated="ignore",
            augment="light",
            jit_compile=False,
        )
        runs.append([_gathered(data) for _ in range(3)])
    everything = sorted(one.key for one in written["train"])
    for (keys, images, _), (again, images_again, _) in zip(*runs, strict=True):
        assert sorted(keys) == everything
        assert keys == again
        np.testing.assert_array_equal(images, images_again)
    orders = [keys for keys, _, _ in runs[0]]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    key = orders[0][0]
    first, second = (
        images[keys.index(key)] for keys, images, _ in (runs[0][0], runs[0][1])
    )
    assert abs(first - second).max() > 0.01


def test_seeds_differ(dataset):
    folder, _ = dataset
    assert _read(folder, seed=0)[0] != _read(folder, seed=1)[0]
    big = _read(folder, seed=2**63 - 1)[0]
    assert big == _read(folder, seed=2**63 - 1)[0]


@pytest.mark.parametrize("global_seed", [0, 5])
def test_the_programs_own_seed_changes_nothing(dataset, global_seed):
    folder, _ = dataset
    before = _read(folder)[0]
    tf.random.set_seed(global_seed)
    try:
        assert _read(folder)[0] == before
    finally:
        tf.random.set_seed(None)


def test_several_epochs_in_one_pass_are_the_single_ones(dataset):
    folder, _ = dataset
    fields = {"augment": "light", "unannotated": "ignore", "jit_compile": False}
    single = input_fn(folder, with_info=True, **fields)
    passes = [_gathered(single) for _ in range(3)]
    together = input_fn(folder, with_info=True, num_epochs=3, batch_size=7, **fields)
    for _ in range(2):  # and a second pass begins anew
        keys, images, _ = _gathered(together)
        assert keys == [key for one in passes for key in one[0]]
        expected = np.concatenate([images for _, images, _ in passes])
        np.testing.assert_allclose(images, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["none", "memory", "auto", "disk"])
@pytest.mark.parametrize("compression", ["none", "zlib"])
def test_a_cache_changes_nothing(dataset, cache, compression, tmp_path):
    if cache == "none" and compression != "none":
        pytest.skip("records of a compressed shard cannot be shuffled without a cache")
    folder, written = dataset
    if compression != "none":
        synthetic.write_dataset(
            tmp_path / "zlib", {"train": PATIENTS}, compression=compression
        )
    cache = str(tmp_path / "cache") if cache == "disk" else cache
    fields = {"unannotated": "ignore", "with_info": True, "jit_compile": False}
    plain = input_fn(folder, cache="none", **fields)
    folder = folder if compression == "none" else tmp_path / "zlib"
    data = input_fn(folder, cache=cache, **fields)
    for _ in range(3):
        keys, images, masks = _gathered(data)
        expected = _gathered(plain)
        assert keys == expected[0]
        assert sorted(keys) == sorted(one.key for one in written["train"])
        np.testing.assert_array_equal(images, expected[1])
        np.testing.assert_array_equal(masks, expected[2])


def test_a_pass_that_is_left_early_counts_as_one(dataset):
    folder, _ = dataset
    whole = input_fn(folder, with_info=True, jit_compile=False, batch_size=4)
    first, second = _keys(whole), _keys(whole)
    data = input_fn(folder, with_info=True, jit_compile=False, batch_size=4)
    assert _keys(data.take(1)) == first[:4]
    assert _keys(data) == second


def test_the_epoch_lives_as_long_as_what_is_made_of_the_dataset(dataset):
    folder, _ = dataset
    data = input_fn(folder, jit_compile=False).map(lambda image, mask: mask).prefetch(1)
    assert sum(len(mask) for mask in data) == 9
    assert sum(len(mask) for mask in data) == 9


@pytest.mark.parametrize("unannotated", ["drop", "weight", "ignore"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"batch_size": 5},
        {"batch_size": 5, "drop_remainder": True},
        {"batch_size": 4, "num_epochs": 2},
        {"batch_size": 16, "training": False},
    ],
)
def test_cardinality_is_what_comes(dataset, fields, unannotated):
    folder, _ = dataset
    data = input_fn(folder, unannotated=unannotated, jit_compile=False, **fields)
    assert len(data) == len(list(data)) > 0


def test_endless_never_ends(dataset):
    folder, _ = dataset
    data = input_fn(folder, num_epochs=None, batch_size=6, jit_compile=False)
    assert data.cardinality() == tf.data.INFINITE_CARDINALITY
    sizes = [len(image) for image, _ in data.take(12)]
    assert sizes == [6] * 12


def test_a_split_that_does_not_fit_has_the_same_order(tmp_path):
    frames = synthetic.frames(7, shape=(512, 512, 1))
    written = synthetic.write_dataset(tmp_path, {"train": {"a": frames, "b": frames}})
    keys, _, _ = _read(tmp_path, cache_memory_mb=1)
    assert sorted(keys) == sorted(one.key for one in written["train"])
    assert keys != [one.key for one in written["train"]]
    assert keys == _read(tmp_path)[0]


def test_compressed_shards_are_shuffled_in_memory_or_from_a_copy(tmp_path):
    frames = synthetic.frames(4, shape=(512, 512, 1))
    synthetic.write_dataset(tmp_path, {"train": {"a": frames}}, compression="zlib")
    for fields in ({"cache": "none"}, {"cache_memory_mb": 1}):
        with pytest.raises(ValueError, match="can be shuffled only in memory or from"):
            input_fn(tmp_path, **fields)
        assert len(list(input_fn(tmp_path, training=False, **fields))) == 1
    keys, _, _ = _read(tmp_path)
    copied = _read(tmp_path, cache=str(tmp_path / "copy"), cache_memory_mb=1)
    assert copied[0] == keys


@pytest.mark.parametrize("compression", ["zlib", "gzip"])
def test_reads_compressed_shards(tmp_path, compression):
    patients = {"a": synthetic.frames(3)}
    written = synthetic.write_dataset(
        tmp_path, {"test": patients}, compression=compression
    )
    keys, _, masks = _read(tmp_path, "test")
    assert keys == [one.key for one in written["test"]]
    np.testing.assert_array_equal(masks[2], _expected_mask(written["test"][2]))


def test_drop_leaves_out_and_says_so(dataset, capfd):
    folder, written = dataset
    data = input_fn(folder, with_info=True, training=False, jit_compile=False)
    full = [one.key for one in written["train"] if one.annotated == (1, 1)]
    assert _keys(data) == full
    input_fn(folder, "test")
    said = capfd.readouterr().err
    assert "split test: 2 of 5 examples left out, not annotated for all of" in said
    input_fn(folder, "test")
    assert "left out" not in capfd.readouterr().err


def test_normalisation_is_said_once(dataset, capfd):
    folder, _ = dataset
    input_fn(folder, normalize="window:321:123")
    input_fn(folder, normalize="window:321:123")
    said = capfd.readouterr().err
    assert said.count("normalisation of MR: window with center 321") == 1


def test_weight_gives_masks_and_weights_by_class(dataset):
    folder, written = dataset
    data = input_fn(folder, unannotated="weight", training=False, batch_size=13)
    ((image, masks, weights),) = data.as_numpy_iterator()
    assert image.shape == (13, ROWS, COLUMNS, 1)
    for place, name in enumerate(synthetic.CLASSES):
        assert masks[name].shape == (13, ROWS, COLUMNS, 1)
        assert weights[name].shape == (13, 1, 1) and weights[name].dtype == np.float32
        for n, example in enumerate(written["train"]):
            assert weights[name][n, 0, 0] == example.annotated[place]
            np.testing.assert_array_equal(masks[name][n, ..., 0], example.masks[place])


def test_ignore_plane_is_ignored_too(tmp_path):
    ignore = np.zeros((ROWS, COLUMNS), bool)
    ignore[2:5, 3:] = True
    frames = [synthetic.Frame(ignore=ignore), synthetic.Frame(annotated="01")]
    written = synthetic.write_dataset(tmp_path, {"test": {"a": frames}})["test"]
    _, _, masks = _read(tmp_path, "test")
    wanted = np.where(ignore[..., None], 255, _expected_mask(written[0]))
    np.testing.assert_array_equal(masks[0], wanted)
    np.testing.assert_array_equal(masks[1], _expected_mask(written[1], 255))


def test_info_says_where_an_example_is_from(dataset):
    folder, written = dataset
    data = input_fn(
        folder, training=False, with_info=True, unannotated="ignore", batch_size=13
    )
    ((_, _, info),) = data.as_numpy_iterator()
    assert sorted(info) == [
        "acquisition_group",
        "age_band",
        "deformed",
        "epoch",
        "key",
        "key_hash",
        "matrix",
        "occurrence",
        "orientation",
        "patient",
        "phase_index",
        "position",
        "rater",
        "series",
        "sex",
        "slice_index",
        "slice_spacing",
        "source_size",
        "spacing",
        "weight",
    ]
    for n, example in enumerate(written["train"]):
        assert info["patient"][n].decode() == example.patient
        assert info["series"][n].decode() == example.series
        index = -1 if example.slice_index is None else example.slice_index
        assert (info["slice_index"][n], info["phase_index"][n]) == (index, -1)
        spacing = example.pixel_spacing or (math.nan, math.nan)
        np.testing.assert_array_equal(info["spacing"][n], np.float32(spacing))
        np.testing.assert_array_equal(info["matrix"][n], np.eye(3))
        assert info["key_hash"][n] == example.key_hash
        np.testing.assert_array_equal(info["source_size"][n], example.shape[:2])
        assert info["acquisition_group"][n] == -1 and info["rater"][n] == b""
        for name in ("slice_spacing", "position", "orientation"):
            assert np.isnan(info[name][n]).all(), name
    assert not info["epoch"].any() and not info["occurrence"].any()
    assert not info["deformed"].any()


def _sampled(values, column, row, fill):
    """Bilinear value at a point, by hand."""
    total = 0.0
    for c in (math.floor(column), math.floor(column) + 1):
        for r in (math.floor(row), math.floor(row) + 1):
            inside = 0 <= c < values.shape[1] and 0 <= r < values.shape[0]
            value = values[r, c] if inside else fill
            total += value * (1 - abs(column - c)) * (1 - abs(row - r))
    return total


@pytest.mark.parametrize("image_size", [None, "9,20"])
def test_matrix_leads_to_the_source(dataset, image_size):
    folder, written = dataset
    data = input_fn(
        folder,
        with_info=True,
        augment="rotation=40,scale=0.3,shift=0.2,flip_left_right=0.5",
        image_size=image_size,
        unannotated="ignore",
        batch_size=13,
    )
    ((images, _, info),) = data.as_numpy_iterator()
    by_key = {one.key.encode(): one for one in written["train"]}
    points = np.random.default_rng(0).integers(0, images.shape[1], (25, 2))
    for image, key, matrix in zip(images, info["key"], info["matrix"], strict=True):
        source = _expected_image(by_key[key])[..., 0]
        for row, column in points:
            at = matrix.astype(np.float64) @ (column, row, 1)
            wanted = _sampled(source, at[0], at[1], source.min())
            assert image[row, column, 0] == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(("fill", "value"), [("minimum", None), ("-7.5", -7.5)])
@pytest.mark.parametrize("augment", [None, "rotation=0.001"])
def test_padding_to_a_size_is_filled(dataset, fill, value, augment):
    folder, written = dataset
    keys, images, masks = _read(
        folder, image_size="20,10", image_fill=fill, augment=augment
    )
    by_key = {one.key: one for one in written["train"]}
    for key, image, mask in zip(keys, images, masks, strict=True):
        source = _expected_image(by_key[key])
        border = source.min() if value is None else value
        np.testing.assert_allclose(image[:3], border, atol=1e-2)
        np.testing.assert_allclose(image[-3:], border, atol=1e-2)
        np.testing.assert_allclose(image[4:16], source[:, 3:13], atol=1e-2)
        assert set(np.unique(mask[:3])) <= {0, 255}


def test_intensity_changes_are_of_the_frames_own_deviation(dataset):
    folder, written = dataset
    by_key = {one.key: one for one in written["train"]}
    keys, images, _ = _read(folder, augment=AugmentOptions(brightness=0.5))
    additions = []
    for key, image in zip(keys, images, strict=True):
        source = _expected_image(by_key[key])
        change = image - source
        assert np.ptp(change) < 1e-4
        additions.append(change.mean() / source.std())
    assert max(additions) <= 0.5 and min(additions) >= -0.5
    assert max(additions) > 0.2 and min(additions) < -0.2
    keys, images, _ = _read(folder, augment="contrast=0.5")
    for key, image in zip(keys, images, strict=True):
        source = _expected_image(by_key[key])
        assert image.mean() == pytest.approx(source.mean(), abs=1e-4)
        assert 1 / 1.5 <= image.std() / source.std() <= 1.5


@pytest.mark.parametrize(
    "dtype",
    ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"],
)
@pytest.mark.parametrize("shape", [(7, 5, 1), (8, 3, 3)])
def test_every_kind_of_pixel(tmp_path, dtype, shape):
    patients = {"a": synthetic.frames(3, dtype=dtype, shape=shape)}
    written = synthetic.write_dataset(tmp_path, {"test": patients})["test"]
    _, images, masks = _read(tmp_path, "test", normalize="none", batch_size=3)
    for example, image, mask in zip(written, images, masks, strict=True):
        np.testing.assert_array_equal(image, example.image.astype(np.float32))
        np.testing.assert_array_equal(mask, _expected_mask(example))


@pytest.mark.parametrize("augment", [None, "standard"])
def test_shapes_and_dtypes_may_differ(tmp_path, augment):
    frames = [
        synthetic.Frame(shape=(9, 20, 1), dtype="uint32"),
        synthetic.Frame(shape=(15, 7, 1), dtype="int8"),
        synthetic.Frame(dtype="float32", annotated="01"),
    ]
    frames = [*frames, *frames, *frames]
    written = synthetic.write_dataset(tmp_path, {"train": {"a": frames}})["train"]
    fields = {"image_size": "10,12", "training": augment is not None}
    found = [
        _read(tmp_path, batch_size=size, augment=augment, **fields) for size in (4, 8)
    ]
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-5)
    np.testing.assert_array_equal(found[0][2], found[1][2])
    keys, images, masks = found[0]
    assert sorted(keys) == sorted(one.key for one in written)
    assert images.shape == (9, 10, 12, 1)
    if augment:
        assert np.isfinite(images).all() and set(np.unique(masks)) == {0, 1, 255}
        return
    for example, image, mask in zip(written, images, masks, strict=True):
        source = _expected_image(example).astype(np.float32)
        lowest = source.min()
        wanted = tf.image.resize_with_crop_or_pad(source - lowest, 10, 12) + lowest
        np.testing.assert_allclose(image, wanted, atol=1e-5)
        wanted = tf.image.resize_with_crop_or_pad(_expected_mask(example), 10, 12)
        wanted = np.where(np.array(example.annotated) == 1, wanted, 255)
        np.testing.assert_array_equal(mask, wanted)


def test_keras_fit_sees_every_epoch_anew(dataset):
    folder, written = dataset
    seen = tf.Variable(tf.zeros([0], tf.int64), shape=[None], trainable=False)

    def noted(image, mask, info):
        return image, mask[..., :1], info["key"]

    class Model(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = tf.keras.layers.Conv2D(1, 1, activation="sigmoid")

        def call(self, image):
            return self.layer(image)

        def train_step(self, data):
            image, mask, keys = data
            numbers = tf.strings.to_hash_bucket_strong(keys, 2**62, [1, 2])
            seen.assign(tf.concat([seen, numbers], axis=0))
            return super().train_step((image, mask))

    model = Model()
    model.compile("sgd", "binary_crossentropy")
    data = input_fn(
        folder, with_info=True, unannotated="ignore", batch_size=5, jit_compile=False
    ).map(noted)
    orders = []
    end = tf.keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: orders.append(seen.numpy())
    )
    model.build((None, ROWS, COLUMNS, 1))
    model.fit(data, epochs=3, verbose=0, callbacks=[end])
    epochs = np.split(orders[-1], 3)
    names = tf.constant([one.key for one in written["train"]])
    everything = np.sort(tf.strings.to_hash_bucket_strong(names, 2**62, [1, 2]))
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), everything)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    fresh = input_fn(folder, with_info=True, unannotated="ignore", jit_compile=False)
    for epoch in epochs:
        keys = tf.constant(_keys(fresh))
        hashed = tf.strings.to_hash_bucket_strong(keys, 2**62, [1, 2])
        np.testing.assert_array_equal(epoch, hashed)


def _model(classes: int) -> tf.keras.Model:
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    layer = tf.keras.layers.Conv2D(classes, 1, activation="sigmoid")
    return tf.keras.Model(inputs, layer(inputs))


def test_keras_takes_a_dataset_without_further_argument(dataset):
    folder, _ = dataset
    model = _model(2)
    model.compile("sgd", "binary_crossentropy")
    steps = []
    begin = tf.keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: steps.append(begin.params["steps"])
    )
    history = model.fit(
        input_fn(folder, batch_size=4),
        validation_data=input_fn(folder, "test"),
        epochs=2,
        verbose=0,
        callbacks=[begin],
    )
    assert np.isfinite(history.history["val_loss"]).all()
    assert steps == [3]  # known before the first epoch


# As many columns as examples: weights of a wrong shape would not be noticed else.
@pytest.mark.parametrize("batch_size", [COLUMNS, 5])
def test_keras_weighs_every_class(tmp_path, batch_size):
    frames = [*synthetic.frames(9, annotated="10"), *synthetic.frames(7)]
    synthetic.write_dataset(tmp_path, {"train": {"a": frames}}, shards=1)
    data = input_fn(
        tmp_path, unannotated="weight", training=False, batch_size=batch_size
    )
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    outputs = {
        name: tf.keras.layers.Conv2D(1, 1, activation="sigmoid", name=name)(inputs)
        for name in synthetic.CLASSES
    }
    model = tf.keras.Model(inputs, outputs)
    model.compile("sgd", loss={name: "binary_crossentropy" for name in outputs})
    logs = model.evaluate(data, verbose=0, return_dict=True)
    total = 0.0
    for image, masks, weights in data:
        for name, predicted in model(image).items():
            entropy = tf.keras.losses.binary_crossentropy(masks[name], predicted)
            weighed = tf.reduce_mean(entropy, axis=[1, 2]) * weights[name][:, 0, 0]
            total += float(tf.reduce_sum(weighed))
    assert logs["loss"] == pytest.approx(total / 16, rel=1e-4)


def _graph_batches(folder, steps, **fields):
    with tf.Graph().as_default():
        data = input_fn(folder, with_info=True, unannotated="ignore", **fields)
        batch = tf.compat.v1.data.make_one_shot_iterator(data).get_next()
        with tf.compat.v1.Session() as session:
            return [session.run(batch) for _ in range(steps)]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_graph_gives_the_same(dataset, jit_compile):
    folder, _ = dataset
    fields = {"augment": "standard", "num_epochs": 3, "jit_compile": jit_compile}
    batches = _graph_batches(folder, 5, **fields)
    keys, images, masks = _read(folder, **fields)
    found = [key.decode() for batch in batches for key in batch[2]["key"]]
    assert found == keys
    found = np.concatenate([batch[0] for batch in batches])
    # XLA fuses otherwise in a session, and rounds otherwise.
    np.testing.assert_allclose(found, images, atol=1e-4 if jit_compile else 0)
    found = np.concatenate([batch[1] for batch in batches])
    assert (found != masks).mean() <= (1e-3 if jit_compile else 0)


@pytest.mark.estimator
def test_estimator_trains(dataset, tmp_path):
    folder, _ = dataset

    def model_fn(features, labels, mode, params):
        logits = tf.compat.v1.layers.conv2d(features, 2, 1)
        truth = tf.cast(labels, tf.float32)
        loss = tf.compat.v1.losses.sigmoid_cross_entropy(truth, logits)
        step = tf.compat.v1.train.get_global_step()
        train = tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train)

    estimator = tf.estimator.Estimator(model_fn, str(tmp_path), params={})
    params = {"batch_size": 4}
    estimator.train(
        lambda: input_fn(folder, num_epochs=None, params=params, augment="light"),
        steps=7,
    )
    assert estimator.get_variable_value("global_step") == 7
    figures = estimator.evaluate(lambda: input_fn(folder, "test"))
    assert np.isfinite(figures["loss"])


def test_keywords_are_the_fields_of_the_options(dataset):
    folder, _ = dataset
    names = [field.name for field in dataclasses.fields(InputOptions)]
    assert set(names) <= set(inspect.signature(input_fn).parameters)
    assert all(name in input_fn.__doc__ for name in names)
    options = InputOptions(batch_size=3, training=False)
    data = input_fn(folder, "test", options=options, batch_size=2)
    assert [len(image) for image, _ in data] == [2, 1]
    with pytest.raises(TypeError, match="no keyword batchsize"):
        input_fn(folder, batchsize=3)


def test_errors_come_at_the_call(dataset, tmp_path):
    folder, _ = dataset
    with pytest.raises(ValueError, match="no split 'valid'; this data set has train"):
        input_fn(folder, "valid")
    with pytest.raises(FileNotFoundError, match="holds no data set"):
        input_fn(tmp_path)
    synthetic.write_dataset(tmp_path, {"train": {"a": synthetic.frames(1)}})
    (tmp_path / "train-00000-of-00002.tfrecord").unlink()
    with pytest.raises(FileNotFoundError, match="00002.tfrecord is missing"):
        input_fn(tmp_path)


def test_records_of_another_schema_version_are_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(synthetic.example_schema, "SCHEMA_VERSION", 7)
        synthetic.write_dataset(tmp_path, {"train": {"a": synthetic.frames(3)}})
    for cache in ("none", "auto"):
        data = input_fn(tmp_path, cache=cache, jit_compile=False)
        message = "another schema version than 1, .* Their versions:.*7"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            list(data)


def test_one_data_set_by_two_names_is_one(dataset, tmp_path):
    folder, _ = dataset
    (tmp_path / "link").symlink_to(folder)
    for other in (f"{folder}/", f"{folder}/../{folder.name}", tmp_path / "link"):
        with pytest.raises(ValueError, match="name each data set once"):
            input_fn([folder, other])


@pytest.mark.parametrize("fill", [-1e5, 1e7])
def test_a_far_fill_leaves_the_pixels_as_they_are(dataset, fill):
    folder, _ = dataset
    fields = {"training": True, "seed": 3, "cache": "none"}
    _, plain, _ = _read(folder, **fields)
    still = {"augment": "rotation=0.000001", "image_fill": fill}
    _, moved, _ = _read(folder, **still, **fields)
    inner = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(moved[inner], plain[inner], atol=1e-4)


def test_padding_is_the_same_with_and_without_training(dataset):
    folder, written = dataset
    fields = {"image_size": "16,20", "training": False}
    keys, images, _ = _read(folder, augment="edge=nearest", **fields)
    for key, image in zip(keys, images, strict=True):
        (example,) = (one for one in written["train"] if one.key == key)
        wanted = np.pad(_expected_image(example)[..., 0], 2, mode="edge")
        np.testing.assert_allclose(image[..., 0], wanted, atol=1e-4)


def test_reading_imports_no_pydicom():
    code = (
        "import sys, tfdicom.input_pipeline, tfdicom.losses; "
        "assert not {'pydicom', 'highdicom'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
