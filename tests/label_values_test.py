"""Labels beside masks, from records to batches, as ``input_fn`` gives them."""

import functools
import itertools
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfdicom
from tests import service_processes, synthetic
from tfdicom import announcements, label_values
from tfdicom.input_pipeline import input_fn
from tfdicom.label_kinds import LabelInfo

pytestmark = pytest.mark.long

ROWS, COLUMNS = 12, 16
AGE = LabelInfo("age", "number")
SEX = LabelInfo("sex", "class", ("m", "f"))
GRADE = LabelInfo("grade", "class", ("low", "mid", "high"))
LABELS = (AGE, SEX, GRADE)
ROWS_OF_TABLE = [
    ("40.5", "m", "low"),
    ("", "f", "high"),
    ("1e2", "", "mid"),
    ("-7", "f", ""),
    ("", "", ""),
    ("62", "m", "mid"),
]
ANNOTATED = ["11", "11", "10", "11", "11", "01"]


def _frames(**fields):
    pairs = zip(ROWS_OF_TABLE, ANNOTATED, strict=True)
    return [
        synthetic.Frame(**{"labels": row, "annotated": flags, **fields})
        for row, flags in pairs
    ]


def _write(folder, frames=None, **fields):
    frames = _frames() if frames is None else frames
    splits = {"train": {"a": frames}, "test": {"b": frames}}
    written = synthetic.write_dataset(folder, splits, **{"labels": LABELS, **fields})
    return written["test"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six examples with masks and labels, not all of them known."""
    folder = tmp_path_factory.mktemp("labels")
    _write(folder)
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The same without masks: there are no classes."""
    folder = tmp_path_factory.mktemp("bare")
    _write(folder, _frames(annotated=""), classes=())
    return folder


def _read(folder, split="test", **fields):
    """The parts of the elements of one pass, each in one piece."""
    fields = {"jit_compile": False, "batch_size": 4, **fields}
    batches = list(input_fn(folder, split, **fields).as_numpy_iterator())
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


def _wanted(name, *, missing=None):
    """Values of a label by the table's words; ``missing`` where there is none."""
    place = [one.name for one in LABELS].index(name)
    words = LABELS[place].vocabulary
    cells = [row[place] for row in ROWS_OF_TABLE]
    kept = [cell for cell in cells if cell or missing is not None]
    return [
        (words.index(cell) if words else float(cell)) if cell else missing
        for cell in kept
    ]


@pytest.mark.parametrize("name", ["age", "grade"])
def test_a_single_label_stands_alone(folder, bare, name):
    # Once because there are no masks, once because none are asked for.
    data_dir, fields = (bare, {}) if name == "age" else (folder, {"classes": ""})
    dtype = np.float32 if name == "age" else np.int64
    image, label = _read(data_dir, labels=name, **fields)
    np.testing.assert_array_equal(label, _wanted(name))
    assert label.dtype == dtype and len(image) == len(label)
    missing = np.nan if name == "age" else -1
    image, label = _read(data_dir, labels=name, unannotated="ignore", **fields)
    np.testing.assert_array_equal(label, np.array(_wanted(name, missing=missing)))
    assert label.dtype == dtype and image.shape == (6, ROWS, COLUMNS, 1)
    _, label, weight = _read(data_dir, labels=name, unannotated="weight", **fields)
    np.testing.assert_array_equal(label, _wanted(name, missing=0))
    known = [value != missing for value in _wanted(name, missing=missing)]
    if name == "age":
        known = [bool(row[0]) for row in ROWS_OF_TABLE]
    np.testing.assert_array_equal(weight, known)
    assert (label.dtype, weight.dtype) == (dtype, np.float32)


def test_several_labels_have_names(bare):
    image, labels = _read(bare, labels="grade;age")
    assert list(labels) == ["grade", "age"] and len(image) == 3
    np.testing.assert_array_equal(labels["grade"], [0, 1, 1])
    np.testing.assert_array_equal(labels["age"], [40.5, 100, 62])
    _, labels, weights = _read(bare, labels=["grade", "age"], unannotated="weight")
    assert list(labels) == list(weights) == ["grade", "age"]
    np.testing.assert_array_equal(weights["age"], [1, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(weights["grade"], [1, 1, 1, 0, 0, 1])


def test_masks_and_labels_stand_side_by_side(folder):
    image, found = _read(folder, labels="sex")
    # Of those that are annotated for both classes, the ones whose sex is known.
    np.testing.assert_array_equal(found["sex"], [0, 1, 1])
    whole, masks = _read(folder)
    np.testing.assert_array_equal(found["mask"], masks[:3])
    np.testing.assert_array_equal(image, whole[:3])
    _, found = _read(folder, labels="sex;age", unannotated="ignore")
    assert list(found) == ["mask", "sex", "age"]
    np.testing.assert_array_equal(found["sex"], [0, 1, -1, 1, -1, 0])
    assert (found["mask"][2, ..., 1] == 255).all()


def test_weights_are_of_masks_and_labels(folder):
    _, found, weights = _read(folder, labels="sex", unannotated="weight")
    assert list(found) == list(weights) == ["inner", "outer", "sex"]
    np.testing.assert_array_equal(weights["outer"][:, 0, 0], [1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(weights["sex"], [1, 1, 0, 1, 0, 1])
    fields = {"label_form": "label_map", "class_weights": "inverse"}
    _, found, weights = _read(folder, labels="sex", **fields)
    assert list(found) == list(weights) == ["mask", "sex"]
    assert weights["mask"].shape == (3, ROWS, COLUMNS)
    np.testing.assert_array_equal(weights["sex"], [1, 1, 1])


def test_images_alone(bare, folder):
    (image,) = _read(bare)
    assert image.shape == (6, ROWS, COLUMNS, 1)
    same, info = _read(folder, classes=(), with_info=True)
    np.testing.assert_array_equal(same, image)
    assert len(info["key"]) == 6


WAYS = {
    "padded": {"image_size": 20},
    "resampled": {"target_spacing": 2.5, "image_size": 8, "cache": "none"},
    "packed": {"augment": "rotation=9,shift=0.1"},
    "compiled": {"augment": "rotation=9", "jit_compile": True, "image_size": 8},
    "unpacked": {"augment": "scale=0.3,image_interpolation=cubic"},
    "cut out": {"augment": "cutout=0.9,cutout_mask=True"},
}


_SLOW = {"compiled": [pytest.mark.slow]}


@pytest.mark.parametrize(
    "way", [pytest.param(one, marks=_SLOW.get(one, [])) for one in WAYS]
)
def test_images_are_the_same_without_masks(folder, way):
    fields = {"labels": "age", "unannotated": "ignore", "batch_size": 6, **WAYS[way]}
    fields["training"] = "augment" in fields
    image, found = _read(folder, **fields)
    alone, age = _read(folder, classes="", **fields)
    np.testing.assert_allclose(alone, image, atol=1e-5)
    np.testing.assert_array_equal(age, found["age"])


@pytest.mark.parametrize(
    ("compression", "shapes", "classes"),
    [
        ("none", [(12, 16)], synthetic.CLASSES),
        ("none", [(12, 16), (9, 20)], synthetic.CLASSES),
        ("zlib", [(12, 16), (9, 20)], ()),
    ],
)
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_labels_are_read_in_every_way(tmp_path, compression, shapes, classes, cache):
    annotated = "1" * len(classes)
    frames = [
        synthetic.Frame(shape=(*shape, 1), labels=row, annotated=annotated)
        for row, shape in zip(ROWS_OF_TABLE, itertools.cycle(shapes), strict=False)
    ]
    _write(tmp_path, frames, compression=compression, classes=classes)
    fields = {"labels": "grade;age", "unannotated": "ignore", "image_size": 8}
    image, found = _read(tmp_path, batch_size=6, cache=cache, **fields)
    np.testing.assert_array_equal(found["grade"], [0, 2, 1, -1, -1, 1])
    np.testing.assert_array_equal(found["age"], _wanted("age", missing=np.nan))
    assert image.shape == (6, 8, 8, 1) and ("mask" in found) == bool(classes)


def test_shapes_are_static(folder):
    data = input_fn(folder, labels="sex;age", drop_remainder=True, batch_size=2)
    image, found = data.element_spec
    assert image.shape == (2, ROWS, COLUMNS, 1)
    assert found["sex"] == tf.TensorSpec([2], tf.int64)
    assert found["age"] == tf.TensorSpec([2], tf.float32)
    assert found["mask"].shape == (2, ROWS, COLUMNS, 2)


def test_what_is_left_out_is_counted_and_words_are_said(folder, capsys):
    announcements.say_once.cache_clear()
    data = input_fn(folder, "test", labels="grade", batch_size=1)
    assert len(data) == len(list(data)) == 2
    said = capsys.readouterr().err
    assert "label grade: 0 low, 1 mid, 2 high" in said
    assert (
        "split test: 4 of 6 examples left out, not annotated for all of inner, outer, "
        "or without a value for grade"
    ) in said


def test_several_data_sets_agree_on_the_numbers(folder, tmp_path):
    other = LabelInfo("grade", "class", ("high", "low"))
    rows = [("high",), ("low",), ("",)]
    frames = [synthetic.Frame(labels=row) for row in rows]
    synthetic.write_dataset(
        tmp_path, {"test": {"x": frames}}, labels=[other], first_number=50
    )
    read = functools.partial(_read, [folder, tmp_path], classes="")
    with pytest.raises(ValueError, match=r"labels='grade:low\|mid\|high'"):
        read(labels="grade")
    _, found = read(labels="grade:high|mid|low|none")
    np.testing.assert_array_equal(found, [2, 0, 1, 1, 0, 2])
    with pytest.raises(ValueError, match=f"{tmp_path} has no label 'age': with"):
        read(labels="age")
    _, found = read(labels="age", unannotated="ignore")
    np.testing.assert_array_equal(found[6:], [np.nan] * 3)


def test_generate_gives_the_same(bare):
    (batch,) = tfdicom.generate(bare, "test", labels="sex", jit_compile=False)
    np.testing.assert_array_equal(batch[1], _wanted("sex"))


def test_a_foreground_is_not_wanted_without_masks(tmp_path, capsys):
    frames = _frames(annotated="", modality="CT")
    _write(tmp_path, frames, classes=())
    announcements.say_once.cache_clear()
    (image,) = _read(tmp_path, "train", training=False)
    assert "(of all pixels, as it has no masks)" in capsys.readouterr().err
    assert abs(image.mean()) < 0.05 and image.std() == pytest.approx(1, abs=0.05)


def test_text_becomes_numbers():
    names = tf.constant([["age", "sex"], ["sex", "age"], ["sex", ""], ["", ""]])
    values = tf.constant([["1.", "f"], ["", ".5e1"], ["m", ""], ["", ""]])
    found = label_values.label_values(names, values, [SEX, AGE])
    nan = np.nan
    np.testing.assert_array_equal(found, [[1, 1], [nan, 5], [0, nan], [nan, nan]])
    assert found.dtype == tf.float32


def test_a_word_of_another_table_is_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError, match="label 'sex': values"):
        label_values.label_values(tf.constant([["sex"]]), tf.constant([["x"]]), [SEX])


def _dense(units, activation=None, name=None):
    return tf.keras.layers.Dense(units, activation=activation, name=name)


def test_keras_learns_a_class(bare):
    data = input_fn(bare, "test", labels="grade", unannotated="weight", batch_size=6)
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    flat = tf.keras.layers.Flatten()(inputs)
    model = tf.keras.Model(inputs, _dense(3, "softmax")(flat))
    model.compile(
        "sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"]
    )
    image, label, weight = next(iter(data))
    chosen = np.take_along_axis(model(image).numpy(), label.numpy()[:, None], 1)
    wanted = (-np.log(chosen[:, 0]) * weight.numpy()).sum() / 6
    found = model.evaluate(data, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(float(wanted), rel=1e-4)
    assert np.isfinite(model.fit(data, epochs=2, verbose=0).history["loss"]).all()


def test_keras_leaves_out_what_is_not_known(bare):
    data = input_fn(bare, "test", labels="grade", unannotated="ignore", batch_size=6)
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    flat = tf.keras.layers.Flatten()(inputs)
    model = tf.keras.Model(inputs, _dense(3, "softmax")(flat))
    loss = tf.keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    model.compile("sgd", loss)
    found = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(found).all() and found[0] > 0


def test_keras_learns_a_number(bare):
    data = input_fn(bare, "test", labels="age", batch_size=3)
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    flat = tf.keras.layers.Flatten()(inputs)
    model = tf.keras.Model(inputs, _dense(1)(flat))
    model.compile("sgd", "mse")
    parts = [(age.numpy(), model(image).numpy()[:, 0]) for image, age in data]
    age, predicted = (np.concatenate(part) for part in zip(*parts, strict=True))
    found = model.evaluate(data, verbose=0)
    assert found == pytest.approx(float(((age - predicted) ** 2).mean()), rel=1e-4)
    assert np.isfinite(model.fit(data, epochs=1, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("unannotated", ["drop", "weight"])
def test_keras_learns_masks_and_labels_together(folder, unannotated):
    data = input_fn(folder, "test", labels="grade;sex", unannotated=unannotated)
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    flat = tf.keras.layers.Flatten()(inputs)
    masks = {"mask": 2} if unannotated == "drop" else {"inner": 1, "outer": 1}
    outputs = {
        name: tf.keras.layers.Conv2D(depth, 1, activation="sigmoid", name=name)(inputs)
        for name, depth in masks.items()
    }
    outputs["grade"] = _dense(3, "softmax", "grade")(flat)
    outputs["sex"] = _dense(1, "sigmoid", "sex")(flat)
    losses = {name: "binary_crossentropy" for name in outputs}
    losses["grade"] = "sparse_categorical_crossentropy"
    model = tf.keras.Model(inputs, outputs)
    model.compile("sgd", losses)
    history = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all()


def test_keras_takes_images_alone(bare):
    data = input_fn(bare, "test")
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    model = tf.keras.Model(inputs, tf.keras.layers.Conv2D(1, 1)(inputs))
    assert model.predict(data, verbose=0).shape == (6, ROWS, COLUMNS, 1)


@pytest.mark.estimator
def test_an_estimator_learns_labels(folder, tmp_path):
    def model_fn(features, labels, mode):
        flat = tf.reshape(features, [-1, ROWS * COLUMNS])
        logits = tf.compat.v1.layers.dense(flat, 3)
        loss = tf.compat.v1.losses.sparse_softmax_cross_entropy(labels["grade"], logits)
        loss += tf.reduce_mean(labels["age"]) * 0.0
        step = tf.compat.v1.train.get_global_step()
        train = tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train)

    estimator = tf.estimator.Estimator(model_fn, str(tmp_path))
    estimator.train(
        lambda: input_fn(folder, labels="grade;age", num_epochs=None), steps=3
    )
    figures = estimator.evaluate(lambda: input_fn(folder, "test", labels="grade;age"))
    assert np.isfinite(figures["loss"])


@pytest.mark.slow
def test_workers_elsewhere_know_the_words(folder, bare, tmp_path):
    cluster = service_processes.Cluster(tmp_path)
    try:
        for data_dir in (folder, bare):
            fields = {"labels": "grade", "classes": "", "batch_size": 2}
            data = input_fn(data_dir, "test", data_service=cluster.address, **fields)
            found = np.concatenate([label for _, label in data.as_numpy_iterator()])
            assert sorted(found) == sorted(_wanted("grade"))
    finally:
        cluster.kill()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
