"""The forms of the labels, as ``input_fn`` gives them."""

import functools
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

import tfdicom
from tests import synthetic
from tests.real_data import SAMPLE
from tfdicom import losses
from tfdicom.dataset_reading import read_examples
from tfdicom.input_pipeline import input_fn

pytestmark = pytest.mark.long

ROWS, COLUMNS = 12, 16
RANDOM = np.random.default_rng(8)
COVERED = {"options": {"covered_fraction": True}}
FORMS = ["planes", "label_map", "one_hot", "soft", "distance"]
# What to do with unannotated classes, and whether XLA compiles.
RULES = [("drop", False), ("weight", True), ("ignore", False), ("ignore", True)]


def _covered():
    return RANDOM.integers(0, 256, (2, ROWS, COLUMNS)).astype(np.uint8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Folder and the 10 examples of test: unannotated classes, ignored pixels."""
    folder = tmp_path_factory.mktemp("forms")
    ignore = np.zeros((ROWS, COLUMNS), bool)
    ignore[3:6, 4:] = True
    frames = [
        synthetic.Frame(
            covered=_covered(),
            annotated=annotated,
            ignore=ignore if number % 2 else None,
        )
        for number, annotated in enumerate(["11", "10", "01", "11", "00"] * 2)
    ]
    splits = {"test": {"a": frames}, "train": {"b": frames[::5]}}
    return folder, synthetic.write_dataset(folder, splits, **COVERED)["test"]


def _read(folder, split="test", **fields):
    """The parts of the elements of one pass, each in one piece."""
    fields = {"jit_compile": False, "batch_size": 4, **fields}
    batches = list(input_fn(folder, split, **fields).as_numpy_iterator())
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)


def _kept(examples, unannotated):
    drop = unannotated == "drop"
    return [one for one in examples if not drop or all(one.annotated)]


def _is_unknown(example, unannotated):
    """bool ``[rows, columns, classes]``."""
    unknown = np.zeros((ROWS, COLUMNS, 2), bool)
    if unannotated != "drop":
        unknown |= np.array(example.annotated) == 0
    if unannotated == "ignore" and example.ignore is not None:
        bits = np.unpackbits(np.frombuffer(example.ignore, np.uint8), bitorder="little")
        unknown |= bits[: ROWS * COLUMNS].reshape(ROWS, COLUMNS, 1) == 1
    return unknown


def _label(example, unannotated, order):
    """Label map by the rule's words, -1 where it is not known."""
    mask = example.masks.transpose(1, 2, 0)
    unknown = _is_unknown(example, unannotated)
    labels = np.zeros((ROWS, COLUMNS), int)
    for row, column in np.ndindex(ROWS, COLUMNS):
        for place in order:
            if unknown[row, column, place]:
                labels[row, column] = -1
                break
            if mask[row, column, place]:
                labels[row, column] = place + 1
                break
    return labels


@pytest.mark.parametrize(("unannotated", "jit_compile"), RULES)
@pytest.mark.parametrize("form", ["label_map", "one_hot"])
def test_classes_exclude_each_other(dataset, form, unannotated, jit_compile):
    folder, examples = dataset
    priority, order = [(None, (0, 1)), ("outer;inner", (1, 0))][form == "one_hot"]
    _, labels, *weights = _read(
        folder,
        label_form=form,
        label_priority=priority,
        unannotated=unannotated,
        jit_compile=jit_compile,
    )
    kept = _kept(examples, unannotated)
    wanted = np.stack([_label(one, unannotated, order) for one in kept])
    unknown = wanted == -1
    assert unknown.any() == (unannotated != "drop")
    if unannotated == "weight":
        (weight,) = weights
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight, ~unknown)
        wanted[unknown] = 0
    else:
        assert not weights
    if form == "one_hot":
        wanted = np.where(unknown[..., None], 0, wanted[..., None] == range(3))
        if unannotated == "weight":
            wanted[unknown] = (1, 0, 0)
        unknown = unknown[..., None]
    if unannotated == "ignore":
        wanted = np.where(unknown, 255, wanted)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, wanted)


def _distance(plane, limit=5):
    if not plane.any() or plane.all():
        return np.full(plane.shape, limit if not plane.any() else -limit)
    edt = ndimage.distance_transform_edt
    return np.clip(edt(~plane) - edt(plane), -limit, limit)


@pytest.mark.parametrize(("unannotated", "jit_compile"), RULES)
@pytest.mark.parametrize("form", ["soft", "distance"])
def test_classes_have_a_plane_of_numbers_each(dataset, form, unannotated, jit_compile):
    folder, examples = dataset
    limit = {"distance_limit": 5} if form == "distance" else {}
    _, planes, *weights = _read(
        folder,
        label_form=form,
        unannotated=unannotated,
        jit_compile=jit_compile,
        **limit,
    )
    kept = _kept(examples, unannotated)
    if unannotated == "weight":
        for place, name in enumerate(synthetic.CLASSES):
            known = [one.annotated[place] for one in kept]
            np.testing.assert_array_equal(weights[0][name][:, 0, 0], known)
        planes = np.concatenate([planes[name] for name in synthetic.CLASSES], axis=-1)
    assert planes.dtype == np.float32
    for example, found in zip(kept, planes, strict=True):
        if form == "distance":
            wanted = np.stack([_distance(plane) for plane in example.masks], axis=-1)
        else:
            covered = np.frombuffer(example.covered_fraction, np.uint8)
            wanted = covered.reshape(2, ROWS, COLUMNS).transpose(1, 2, 0) / 255
        if unannotated == "ignore":
            wanted = np.where(_is_unknown(example, unannotated), 255, wanted)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_shapes_are_static(dataset, form):
    folder, _ = dataset
    data = input_fn(folder, label_form=form, image_size="8,9", batch_size=3)
    found = data.element_spec[1]
    shapes = {"label_map": [8, 9], "one_hot": [8, 9, 3]}
    dtype = tf.float32 if form in ("soft", "distance") else tf.uint8
    assert found == tf.TensorSpec([None, *shapes.get(form, [8, 9, 2])], dtype)


def test_info_comes_last(dataset):
    folder, _ = dataset
    data = input_fn(
        folder, label_form="label_map", unannotated="weight", with_info=True
    )
    image, labels, weights, info = data.element_spec
    assert labels.dtype == tf.uint8 and weights.dtype == tf.float32 and "key" in info


@pytest.mark.parametrize("form", FORMS)
def test_a_graph_gives_the_same(dataset, form):
    folder, _ = dataset
    fields = {
        "label_form": form,
        "unannotated": "weight" if form == "label_map" else "ignore",
        "class_weights": "none" if form == "distance" else "inverse",
        "batch_size": 10,
        "jit_compile": False,
    }
    with tf.Graph().as_default():
        data = input_fn(folder, "test", **fields)
        batch = tf.compat.v1.data.make_one_shot_iterator(data).get_next()
        with tf.compat.v1.Session() as session:
            found = session.run(batch)
    compare = functools.partial(np.testing.assert_allclose, rtol=1e-6)
    tf.nest.map_structure(compare, found, _read(folder, **fields))


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory):
    """All annotated; inner lies half inside of outer, and both are rare."""
    folder = tmp_path_factory.mktemp("overlapping")
    frames = []
    for shift in range(6):
        masks = np.zeros((2, ROWS, COLUMNS), bool)
        masks[0, 2:4, 1 + shift : 5 + shift] = True
        masks[1, 3:9, 2:9] = True
        frames.append(synthetic.Frame(masks=masks, covered=255 * masks.astype("u1")))
    splits = {"train": {"a": frames}, "test": {"b": frames[:2]}}
    synthetic.write_dataset(folder, splits, **COVERED)
    return folder


@pytest.mark.parametrize("priority", ["inner;outer", "outer;inner"])
@pytest.mark.parametrize("form", ["label_map", "one_hot"])
def test_every_label_weighs_the_same_in_total(overlapping, form, priority):
    fields = {"label_form": form, "label_priority": priority, "training": False}
    _, labels, weights = _read(overlapping, "train", class_weights="inverse", **fields)
    labels = labels.argmax(-1) if form == "one_hot" else labels
    assert weights.shape == labels.shape
    totals = [weights[labels == label].sum() for label in range(3)]
    np.testing.assert_allclose(totals, weights.size / 3, rtol=1e-5)
    _, _, roots = _read(overlapping, "train", class_weights="inverse_sqrt", **fields)
    assert roots.mean() == pytest.approx(1)
    ratio = roots / np.sqrt(weights)
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-5)


@pytest.mark.parametrize("form", ["planes", "soft"])
def test_both_sides_of_a_class_weigh_the_same_in_total(overlapping, form):
    _, masks, weights = _read(
        overlapping, "train", label_form=form, class_weights="inverse", training=False
    )
    for name in synthetic.CLASSES:
        assert masks[name].shape == (6, ROWS, COLUMNS, 1)
        inside = masks[name][..., 0] > 0.5
        totals = [weights[name][inside].sum(), weights[name][~inside].sum()]
        np.testing.assert_allclose(totals, inside.size / 2, rtol=1e-5)


def test_weights_of_a_validation_are_those_of_the_training(overlapping):
    fields = {"label_form": "label_map", "class_weights": "inverse", "training": False}
    _, labels, weights = _read(overlapping, "train", **fields)
    _, others, again = _read(overlapping, "test", **fields)
    for label in range(3):
        (weight,) = set(weights[labels == label])
        assert set(again[others == label]) == {weight}


@pytest.mark.parametrize(
    ("form", "unannotated"),
    [
        ("planes", "ignore"),
        ("planes", "weight"),
        ("label_map", "ignore"),
        ("one_hot", "weight"),
        ("soft", "ignore"),
    ],
)
def test_unknown_pixels_weigh_nothing(dataset, form, unannotated):
    folder, examples = dataset
    fields = {"label_form": form, "unannotated": unannotated}
    weighed = _read(folder, class_weights="inverse", **fields)
    labels, weights = weighed[1:]
    if form in ("label_map", "one_hot"):
        wanted = np.stack([_label(one, unannotated, (0, 1)) for one in examples])
        np.testing.assert_array_equal(weights == 0, wanted == -1)
    else:
        unknown = np.stack([_is_unknown(one, unannotated) for one in examples])
        for place, name in enumerate(synthetic.CLASSES):
            np.testing.assert_array_equal(weights[name] == 0, unknown[..., place])
    plain = _read(folder, **fields)[1]
    if unannotated == "ignore" and isinstance(labels, dict):
        labels = np.concatenate([labels[name] for name in synthetic.CLASSES], axis=-1)
    tf.nest.map_structure(np.testing.assert_array_equal, labels, plain)


def test_the_weights_are_said(overlapping, capfd):
    # 8 of 192 pixels: the roots of 23 and 1, over 24, weigh the sides.
    input_fn(overlapping, classes="inner", class_weights="inverse_sqrt")
    said = capfd.readouterr().err
    assert "class weights: inner 4.14 (outside 0.863)" in said


SQUARE = (ROWS, ROWS)


def _like_its_image(shape):
    """An image that is its own soft mask."""
    covered = RANDOM.integers(0, 256, (1, *shape)).astype(np.uint8)
    return synthetic.Frame(
        shape=(*shape, 1),
        dtype="uint8",
        pixels=covered[0, ..., None],
        covered=covered,
        annotated="1",
    )


_MOVES = "rotation=40,scale=0.4,elastic=0.1"


@pytest.mark.parametrize(
    ("shapes", "augment"),
    [
        ([SQUARE, (9, 14)], None),
        ([SQUARE], _MOVES),
        pytest.param([SQUARE, (9, 14)], _MOVES, marks=pytest.mark.slow),
    ],
)
def test_a_soft_mask_moves_with_its_image(tmp_path, shapes, augment):
    frames = [_like_its_image(shape) for shape in shapes * 3]
    synthetic.write_dataset(
        tmp_path, {"train": {"a": frames}}, classes=["all"], **COVERED
    )
    image, mask = _read(
        tmp_path,
        "train",
        label_form="soft",
        normalize="none",
        image_fill=0,
        image_size="11,13",
        augment=augment,
        jit_compile=True,
    )
    assert image.std() > 20
    np.testing.assert_allclose(mask, image / 255, atol=1e-4)


@pytest.mark.parametrize("form", ["label_map", "distance"])
def test_forms_are_of_the_mask_after_the_move(dataset, form):
    """A flip, which moves whole pixels, of the planes is the flip of their form."""
    folder, _ = dataset
    fields = {"label_form": form, "training": True, "with_info": True}
    kept, moved = (
        _read(folder, augment=augment, batch_size=2, **fields)
        for augment in (None, "flip_left_right=1")
    )
    np.testing.assert_array_equal(moved[-1]["key"], kept[-1]["key"])
    np.testing.assert_allclose(moved[1], kept[1][:, :, ::-1], atol=1e-5)


@pytest.mark.parametrize("form", ["label_map", "soft", "distance"])
def test_a_class_that_a_data_set_lacks_is_unknown(dataset, tmp_path, form):
    folder, _ = dataset
    frames = [synthetic.Frame(annotated="1", covered=_covered()[:1]) for _ in range(3)]
    masks = synthetic.write_dataset(
        tmp_path, {"test": {"z": frames}}, classes=["outer"], first_number=50, **COVERED
    )["test"]
    _, labels, info = _read(
        [folder, tmp_path], label_form=form, unannotated="ignore", with_info=True
    )
    others = labels[info["patient"] == b"z"]
    if form == "label_map":  # whatever outer says, inner may still win
        assert (others == 255).all()
        return
    assert (others[..., 0] == 255).all() and (others[..., 1] != 255).all()
    if form == "soft":
        for example, found in zip(masks, others, strict=True):
            covered = np.frombuffer(example.covered_fraction, np.uint8) / 255
            np.testing.assert_allclose(found[..., 1].ravel(), covered, rtol=1e-6)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A converted sample with covered fractions, and how it was converted."""
    folder = tmp_path_factory.mktemp("converted") / "out"
    options = tfdicom.ConvertOptions(
        split="train", id_key_file="public", covered_fraction=True
    )
    tfdicom.convert(options=options, input_dir=str(SAMPLE), output_dir=str(folder))
    return folder, options


@pytest.mark.parametrize("form", ["label_map", "soft"])
def test_a_source_gives_what_its_data_set_gives(converted, form):
    folder, options = converted
    read = {"label_form": form, "training": False, "batch_size": 6, "image_size": 64}
    batches = list(tfdicom.generate(folder, **read))
    others = list(tfdicom.generate(SAMPLE, convert_options=options, **read))
    tf.nest.map_structure(np.testing.assert_array_equal, batches, others)


def test_contours_cover_what_the_records_say(converted):
    folder, _ = converted
    read = {"label_form": "soft", "training": False, "unannotated": "ignore"}
    masks = np.concatenate([mask for _, mask in tfdicom.generate(folder, **read)])
    examples = list(read_examples(folder, "train"))
    assert len(masks) == len(examples)
    for example, mask in zip(examples, masks, strict=True):
        covered = np.frombuffer(example.covered_fraction, np.uint8) / 255
        covered = covered.reshape(example.masks.shape).transpose(1, 2, 0)
        wanted = np.where(np.array(example.annotated) == 1, covered, 255)
        np.testing.assert_allclose(mask, wanted, rtol=1e-6)
        # Half covered is where the mask is, but for holes in the drawing's raster.
        assert ((covered >= 0.5) != example.masks.transpose(1, 2, 0)).mean() < 1e-3


def test_a_source_has_no_weights_and_covers_only_when_asked():
    with pytest.raises(ValueError, match="that is not converted has no counts"):
        tfdicom.generate(SAMPLE, class_weights="inverse")
    with pytest.raises(ValueError, match="convert it with --covered_fraction"):
        tfdicom.generate(SAMPLE, label_form="soft")


@pytest.mark.parametrize(
    ("form", "loss"),
    [
        ("label_map", "sparse_categorical_crossentropy"),
        ("one_hot", "categorical_crossentropy"),
    ],
)
def test_keras_weighs_every_pixel_of_labels(dataset, form, loss):
    folder, _ = dataset
    data = input_fn(
        folder,
        "test",
        label_form=form,
        unannotated="weight",
        class_weights="inverse",
        batch_size=5,
    )
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    convolution = tf.keras.layers.Conv2D(3, 3, padding="same", activation="softmax")
    model = tf.keras.Model(inputs, convolution(inputs))
    model.compile("sgd", loss)
    wanted = 0.0
    for image, labels, weights in data:
        labels = labels if form == "label_map" else tf.argmax(labels, axis=-1)
        predicted = model(image).numpy()
        chosen = np.take_along_axis(predicted, labels.numpy()[..., None], axis=-1)
        wanted += float((-np.log(chosen[..., 0]) * weights.numpy()).mean() / 2)
    found = model.evaluate(data, verbose=0)
    assert found == pytest.approx(wanted, rel=1e-4)
    history = model.fit(data, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]


def test_keras_weighs_every_pixel_of_planes(dataset):
    folder, _ = dataset
    data = input_fn(
        folder,
        "test",
        unannotated="weight",
        class_weights="inverse_sqrt",
        batch_size=5,
    )
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    outputs = {
        name: tf.keras.layers.Conv2D(1, 1, activation="sigmoid", name=name)(inputs)
        for name in synthetic.CLASSES
    }
    model = tf.keras.Model(inputs, outputs)
    model.compile("sgd", loss={name: "binary_crossentropy" for name in outputs})
    wanted = 0.0
    for image, masks, weights in data:
        for name, predicted in model(image).items():
            truth = masks[name].numpy().astype(float)
            p = predicted.numpy()
            entropy = -truth * np.log(p) - (1 - truth) * np.log(1 - p)
            wanted += float((entropy[..., 0] * weights[name].numpy()).mean() / 2)
    found = model.evaluate(data, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(wanted, rel=1e-4)
    history = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all()


def test_keras_leaves_out_unknown_labels(dataset):
    folder, _ = dataset
    data = input_fn(
        folder, "test", label_form="label_map", unannotated="ignore", batch_size=10
    )
    loss = tf.keras.losses.SparseCategoricalCrossentropy(ignore_class=255)
    inputs = tf.keras.Input((ROWS, COLUMNS, 1))
    convolution = tf.keras.layers.Conv2D(3, 1, activation="softmax")
    model = tf.keras.Model(inputs, convolution(inputs))
    model.compile("sgd", loss)
    history = model.fit(data, epochs=2, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[0] > 0


@pytest.mark.estimator
def test_an_estimator_takes_weights_with_the_features(dataset, tmp_path):
    folder, _ = dataset

    def train_input():
        data = input_fn(
            folder,
            "test",
            label_form="label_map",
            unannotated="weight",
            class_weights="inverse",
            num_epochs=None,
        )
        return data.map(
            lambda image, label, weight: ({"image": image, "weight": weight}, label)
        )

    def model_fn(features, labels, mode):
        logits = tf.compat.v1.layers.conv2d(features["image"], 3, 1)
        loss = tf.compat.v1.losses.sparse_softmax_cross_entropy(
            tf.cast(labels, tf.int32), logits, weights=features["weight"]
        )
        step = tf.compat.v1.train.get_global_step()
        train = tf.compat.v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
        return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train)

    estimator = tf.estimator.Estimator(model_fn, str(tmp_path))
    estimator.train(train_input, steps=3)
    assert np.isfinite(estimator.evaluate(train_input, steps=1)["loss"])


def test_masked_losses_take_soft_masks(dataset):
    folder, _ = dataset
    _, masks = _read(folder, label_form="soft", unannotated="ignore")
    known = masks != 255
    predicted = RANDOM.uniform(0.1, 0.9, masks.shape).astype(np.float32)
    entropy = -masks * np.log(predicted) - (1 - masks) * np.log(1 - predicted)
    found = losses.masked_binary_crossentropy(masks, predicted)[:, 0, 0]
    wanted = [
        one[k].mean() if k.any() else 0 for one, k in zip(entropy, known, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, *sys.argv[1:]]))
